/* The handlers of /v1/database. */
#ifndef HS_FACE_ROUTES_DATABASE_H
#define HS_FACE_ROUTES_DATABASE_H

#include <jansson.h>
#include <stdbool.h>

#include "face/app.h"

struct hs_http_request;

/* routes_add.c */
void hs_face_post_add(struct hs_http_request *req);

/* routes_database.c */
void hs_face_post_remove(struct hs_http_request *req);
void hs_face_post_verify(struct hs_http_request *req);
void hs_face_get_list(struct hs_http_request *req);
void hs_face_get_identities(struct hs_http_request *req);

/* is_heavy of the routes that remove: purging backups makes a new backup of the whole gallery. */
bool hs_face_is_purge(struct hs_http_request *req);

/* is_heavy of the list: true if the request is for all identities, or for more than a thousand. */
bool hs_face_is_full_list(struct hs_http_request *req);

/* routes_identity.c: /v1/database/identities/{name} and the paths below it */
void hs_face_get_identity(struct hs_http_request *req);
void hs_face_put_identity(struct hs_http_request *req);
void hs_face_delete_identity(struct hs_http_request *req);
void hs_face_get_embeddings(struct hs_http_request *req);
void hs_face_get_embedding(struct hs_http_request *req);
void hs_face_delete_embedding(struct hs_http_request *req);

/* ---- shared helpers ---- */

/* Returns an identity as JSON; NULL if memory is short. If another program wrote metadata that
 * cannot be shown, `metadata_error` replaces it. */
json_t *hs_face_identity_json(const struct hs_gallery_identity *identity);

/* The same with `embeddings`, without their values; in routes_identity.c. */
json_t *hs_face_person_json(const struct hs_gallery_person *person);

/* Returns a text of the gallery as JSON, with '?' for bytes that are not UTF-8. NULL if the text is
 * NULL or memory is short. */
json_t *hs_face_text_json(const char *text);

/* Sends the response for an error of the gallery; HS_ENOTFOUND refers to the identity `name`. Also
 * logs a gallery whose file is lost. */
void hs_face_reply_gallery_failure(struct hs_http_request *req, const struct hs_face_app *app, const char *name,
                                   int code, const struct hs_error *err);

/* Runs a handler whose changes of the gallery are those of the request's client, for the audit log. */
void hs_face_as_client(struct hs_http_request *req, hs_http_handler handle);

/* Logs a change of the gallery that a request made, with the ids that apply: without the name, because logs are kept
 * when a person is erased. 0: no id. */
void hs_face_log_change(const struct hs_http_request *req, int64_t identity_id, int64_t embedding_id,
                        const char *message);

/* Reads the identity `name`; on failure sends the error response and returns NULL. Caller frees
 * with hs_gallery_person_destroy. */
struct hs_gallery_person *hs_face_get_person(struct hs_http_request *req, const char *name, bool with_values);

/* Removes an identity and, if `purge`, the backups that contain it; sends the response. */
void hs_face_remove_named(struct hs_http_request *req, const struct hs_face_app *app, const char *name, bool purge);

/* Adds to `response` what was erased, and the files that still contain it or were purged, and sends
 * it. Takes `response` and finishes `erased`. */
void hs_face_reply_erased(struct hs_http_request *req, const struct hs_face_app *app, json_t *response,
                          struct hs_gallery_erased *erased, bool purge);

#endif
