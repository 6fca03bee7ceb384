/* Parameters of requests to the face API: pictures, boxes and names; and the answers that are always the same.
 * Functions that return false or NULL have answered already. */
#ifndef HS_FACE_REQUEST_PARAMS_H
#define HS_FACE_REQUEST_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "face/app.h"
#include "face/response_json.h"
#include "http/request.h"
#include "service/request_options.h"

/* "No JSON body" for what holds nothing. */
bool hs_face_ask_body(struct hs_http_request *req);

/* The name of an identity out of the body: "Missing 'name' field" if there is none. Borrowed from the body. */
bool hs_face_ask_name(struct hs_http_request *req, const char **ret_name);

/* 503 "Database not enabled" if there is no gallery. */
bool hs_face_ask_gallery(struct hs_http_request *req, const struct hs_face_app *app);

/* Answers 200, and takes the reference; its `embedding` (which may be absent) is overwritten before it is freed. */
void hs_face_reply_vector(struct hs_http_request *req, json_t *answer);

struct hs_face_wish {
    const char *image; /* the field that holds the picture: "image" */
    bool boxed;        /* take `bbox` into account */
    bool embed;
    bool gallery;  /* its vectors are compared with the gallery's, so they must be of the same space */
    bool searches; /* take `tiny_faces`, `large_faces` and `max_faces` into account; else the request is for one face,
                      and large ones are always looked for */
};

/* The pipeline for this request: the app's, but with the detector or the embedding model that `model` names, and the
 * embedding model that `recognition_model` names. Also reads `timeout` and `keep_alive`. */
int hs_face_ask_pipeline(struct hs_http_request *req, const struct hs_face_app *app, const struct hs_face_wish *wish,
                         struct hs_face_pipeline *ret_pipeline, struct hs_error *err);
void hs_face_unref_models(const struct hs_face_app *app, const struct hs_face_pipeline *pipeline);

/* Finds the faces of the request's picture. The caller finishes *ret_result in any case. */
bool hs_face_ask_faces(struct hs_http_request *req, const struct hs_face_app *app, const struct hs_face_wish *wish,
                       struct hs_face_result *ret_result);

/* The same in two steps: the bytes of the picture, which the caller frees with free(), and the faces in them. */
bool hs_face_ask_picture(struct hs_http_request *req, const char *field, uint8_t **ret_data, size_t *ret_len);
bool hs_face_ask_faces_in(struct hs_http_request *req, const struct hs_face_app *app, const struct hs_face_wish *wish,
                          const uint8_t *data, size_t len, struct hs_face_result *ret_result);

/* The request's parameters for the pipeline; a box is written to *ret_inside, to which the request then points (NULL
 * allowed if !wish->boxed). HS_EINVAL. */
int hs_face_ask_request(struct hs_http_request *req, const struct hs_face_app *app, const struct hs_face_wish *wish,
                        struct hs_face_request *ret_request, struct hs_rect *ret_inside, struct hs_error *err);

/* The JSON of an error that has to do with a picture, for an answer that holds several. */
json_t *hs_face_failure_json(const struct hs_http_request *req, int code, const struct hs_error *err);

/* `metadata` as the text of a JSON object; in a form it is sent as such a text. *ret_text is NULL if it is absent,
 * "" for null; the caller frees it. Its bounds are left to the gallery. */
bool hs_face_ask_metadata(struct hs_http_request *req, char **ret_text);

/* A parameter of the query that is true or false; false if it is absent. */
bool hs_face_ask_query_bool(struct hs_http_request *req, const char *name, bool *ret);

/* True unless backups are to be deleted and the client is no administrator (http/access.h), which is answered 403. */
bool hs_face_ask_purge(struct hs_http_request *req, bool purge);

/* The best face that has a vector; answers "No face detected", or "Failed to extract embedding" if there are faces
 * but none has one. */
const struct hs_face_found *hs_face_ask_best(struct hs_http_request *req, const struct hs_face_result *result);

/* The box to answer with: the one that the request gave, just as it gave it, else the face's own. A new reference. */
json_t *hs_face_ask_bbox(struct hs_http_request *req, const struct hs_face_found *found,
                         const struct hs_face_result *result);

/* Answers with an error of the gallery or of a network. */
void hs_face_reply_failure(struct hs_http_request *req, int code, const struct hs_error *err);

#endif
