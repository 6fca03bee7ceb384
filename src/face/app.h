/* The face service put together from its settings: two networks, the pipeline, the gallery and its index. */
#ifndef HS_FACE_APP_H
#define HS_FACE_APP_H

#include <stdint.h>

#include "config/settings.h"
#include "face/index.h"
#include "face/idempotency.h"
#include "face/pipeline.h"
#include "face/settings.h"
#include "face/gallery_maintenance.h"
#include "models/store.h"
#include "service/models_api.h"

struct hs_face_app {
    struct hs_settings *config;
    const struct hs_face_settings *settings; /* of config */
    struct hs_store *store;
    struct hs_fleets *detectors, *embedders;
    struct hs_fleet *detector, *embedder; /* the configured ones of these */
    struct hs_models_api models;
    struct hs_face_pipeline pipeline;
    struct hs_gallery *gallery;    /* NULL where database.enabled is false */
    struct hs_face_index *index;   /* NULL as the gallery */
    struct hs_face_maintenance *maintenance; /* NULL as the gallery; works once hs_face_app_start_loading was called */
    struct hs_face_idempotency idempotency;
    double recognition_threshold; /* in force: the setting, or the space's own */
    int64_t started_ns;
    char refused[HS_REFUSED_SIZE]; /* after a failure of hs_face_app_init: the model file at fault; "": none is */
};

/* Takes config (also on failure), finds and verifies models, opens the gallery (and says in the log what was migrated
 * or repaired). Models are not loaded yet, and the gallery is not read. On failure everything is undone. Caller frees
 * with hs_face_app_finish. */
int hs_face_app_init(struct hs_face_app *app, struct hs_settings *config, struct hs_error *err);
void hs_face_app_finish(struct hs_face_app *app);

/* The same without the gallery, whatever the settings say: for what only looks at pictures. */
int hs_face_app_init_networks(struct hs_face_app *app, struct hs_settings *config, struct hs_error *err);

/* Begins to load both models, unless they are to be unloaded whenever nothing runs, and to read and look after the
 * gallery. Returns at once. */
void hs_face_app_start_loading(struct hs_face_app *app);

#endif
