/* The state of hailo-face: two models, the pipeline over them, the gallery and its index. */
#ifndef HS_FACE_APP_H
#define HS_FACE_APP_H

#include <pthread.h>
#include <stdbool.h>

#include "face/gallery_key.h"
#include "face/gallery_maintenance.h"
#include "face/index.h"
#include "face/pipeline.h"
#include "face/settings.h"
#include "service/app.h"

/* The two models, in the order of hs_app.models. */
enum { HS_FACE_DETECTOR, HS_FACE_EMBEDDER, HS_FACE_MODELS };

/* Additions in progress with an Idempotency-Key, by the SHA-256 of the key (routes_add.c). */
struct hs_face_idempotency_key {
    char key_sha256[65];
    struct hs_face_idempotency_key *next;
};

struct hs_face_idempotency {
    pthread_mutex_t lock; /* guards the list */
    struct hs_face_idempotency_key *first;
};

struct hs_face_idempotency *hs_face_idempotency_create(void); /* NULL: out of memory */
void hs_face_idempotency_destroy(
    struct hs_face_idempotency *idempotency); /* no request may be in progress; NULL allowed */

/* Returns false if a request with that key is in progress. Otherwise borrows `key` until
 * hs_face_idempotency_end. Any thread. */
bool hs_face_idempotency_begin(struct hs_face_idempotency *idempotency, const char *key_sha256,
                               struct hs_face_idempotency_key *key);
void hs_face_idempotency_end(struct hs_face_idempotency *idempotency, struct hs_face_idempotency_key *key);

struct hs_face_app {
    struct hs_app_core core;                   /* must be first */
    const struct hs_face_settings *settings;   /* part of core.config */
    struct hs_model_pool *detector, *embedder; /* the configured ones in core.caches */
    struct hs_face_pipeline pipeline;
    struct hs_gallery *gallery;              /* NULL if not opened, or database.enabled is false */
    struct hs_face_index *index;             /* NULL if gallery is */
    struct hs_face_gallery_key *gallery_key; /* NULL if gallery is */
    struct hs_face_maintenance *maintenance; /* NULL if gallery is; runs after hs_face_app_begin */
    struct hs_face_idempotency *idempotency;
    double recognition_threshold; /* in effect: the setting, or the default of the space */
};

/* hs_app.init, .open, .begin, .finish and .revise of hailo-face. `open` opens the gallery and logs
 * migrations and repairs, but does not read the content. `begin` starts to read and maintain the
 * gallery. */
int hs_face_app_init(void *state, struct hs_error *err);
int hs_face_app_open(void *state, struct hs_error *err);
void hs_face_app_begin(void *state);
void hs_face_app_finish(void *state);

/* hs_app.record: in the audit log of the gallery. HS_ENOTFOUND: there is no gallery. */
int hs_face_app_record(const struct hs_settings *settings, const char *action, const char *key, struct hs_error *err);
void hs_face_app_revise(void *state);

/* Creates the state for a command that processes pictures, with or without the gallery. Does not
 * back up the gallery, because the service does not start. Returns HS_EXIT_OK, or the exit code to
 * exit with. Caller frees with hs_app_destroy. */
int hs_face_start(const struct hs_invocation *call, bool gallery, struct hs_face_app **ret_app);

/* The same, with one more setting; an `extra` without an assignment counts as not given. */
int hs_face_start_with(const struct hs_invocation *call, bool gallery, const struct hs_config_override *extra,
                       struct hs_face_app **ret_app);

/* Returns a request for faces with the parameters from the settings, without embeddings. */
struct hs_face_request hs_face_app_request(const struct hs_face_app *app);

/* Runs hs_face_find on a file, without a deadline. Messages name the file. */
int hs_face_app_find_file(const struct hs_face_app *app, const char *path, const struct hs_face_request *request,
                          struct hs_face_result *result, struct hs_error *err);

/* The server's context is a struct hs_face_app. */
extern const struct hs_http_route hs_face_routes[];
extern const size_t hs_face_route_count;

#endif
