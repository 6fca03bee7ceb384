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

/* is_heavy of the routes that may remove: a new backup is made of the whole gallery if old ones are purged. */
bool hs_face_purges(struct hs_http_request *req);

/* is_heavy of the list: all of it is asked for, or more than a thousand identities. */
bool hs_face_lists_all(struct hs_http_request *req);

/* routes_identity.c: /v1/database/identities/{name} and what is below it */
void hs_face_get_identity(struct hs_http_request *req);
void hs_face_put_identity(struct hs_http_request *req);
void hs_face_delete_identity(struct hs_http_request *req);
void hs_face_get_embeddings(struct hs_http_request *req);
void hs_face_get_embedding(struct hs_http_request *req);
void hs_face_delete_embedding(struct hs_http_request *req);

/* ---- what they share ---- */

/* NULL without memory. What another program has written and cannot be shown is told in its place: `metadata_error`. */
json_t *hs_face_identity_json(const struct hs_gallery_identity *identity);

/* A text of the gallery, in which bytes that are not UTF-8 become '?'. NULL for NULL, or without memory. */
json_t *hs_face_text_json(const char *text);

/* Answers with a failure of the gallery; HS_ENOTFOUND means the identity of that name. A gallery whose file is gone is
 * also reported in the log. */
void hs_face_reply_gallery_failure(struct hs_http_request *req, const struct hs_face_app *app, const char *name,
                                   int code, const struct hs_error *err);

/* The identity of that name; NULL if the request was answered with what is wrong. Caller frees it with
 * hs_gallery_person_destroy. */
struct hs_gallery_person *hs_face_get_person(struct hs_http_request *req, const char *name, bool with_values);

/* Removes an identity, and if `purge` the backups that hold it, and answers. */
void hs_face_remove_named(struct hs_http_request *req, const struct hs_face_app *app, const char *name, bool purge);

/* Adds to the answer what was erased and which files still hold it, or were purged; and answers. Takes the reference to
 * answer, finishes erased. */
void hs_face_reply_erased(struct hs_http_request *req, const struct hs_face_app *app, json_t *answer,
                          struct hs_gallery_erased *erased, bool purge);

#endif
