/* Reads the parameters of face API requests (pictures, boxes, names) and sends the common
 * responses. A function that returns false or NULL has already sent an error response. */
#ifndef HS_FACE_REQUEST_PARAMS_H
#define HS_FACE_REQUEST_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "face/app.h"
#include "face/response_json.h"
#include "http/request.h"
#include "service/request_options.h"

/* Requires a body; otherwise responds "No JSON body". */
bool hs_face_require_body(struct hs_http_request *req);

/* Reads the identity's name from the body; responds "Missing 'name' field" if it is absent.
 * Borrowed from the body. */
bool hs_face_require_name(struct hs_http_request *req, const char **ret_name);

/* Responds 503 "Database not enabled" if the gallery is not open. */
bool hs_face_require_gallery(struct hs_http_request *req, const struct hs_face_app *app);

/* Responds 200 and takes `response`. Wipes its member `embedding`, if any, before freeing it. */
void hs_face_reply_embedding(struct hs_http_request *req, json_t *response);

struct hs_face_param_spec {
    const char *image; /* name of the picture's field, such as "image" */
    bool with_bbox;    /* read `bbox` */
    bool embed;
    bool gallery;   /* compare embeddings with the gallery's, which requires the same space */
    bool all_faces; /* read `tiny_faces`, `large_faces` and `max_faces`; otherwise the request is for one face,
                     * and large faces are always searched for */
};

/* Returns the pipeline for this request: the app's, but with the detector or embedding model in
 * `model` and the embedding model in `recognition_model`. Also reads `timeout` and `keep_alive`. */
int hs_face_acquire_pipeline(struct hs_http_request *req, const struct hs_face_app *app,
                             const struct hs_face_param_spec *param_spec, struct hs_face_pipeline *ret_pipeline,
                             struct hs_error *err);
void hs_face_unref_models(const struct hs_face_app *app, const struct hs_face_pipeline *pipeline);

/* Finds the faces in the request's picture. The caller always finishes *ret_result. */
bool hs_face_run_request(struct hs_http_request *req, const struct hs_face_app *app,
                         const struct hs_face_param_spec *param_spec, struct hs_face_result *ret_result);

/* The same in two steps: hs_face_read_picture returns the bytes of the picture, which the caller
 * frees with free(); hs_face_run_request_on finds the faces in them. */
bool hs_face_read_picture(struct hs_http_request *req, const char *field, uint8_t **ret_data, size_t *ret_len);
bool hs_face_run_request_on(struct hs_http_request *req, const struct hs_face_app *app,
                            const struct hs_face_param_spec *param_spec, const uint8_t *data, size_t len,
                            struct hs_face_result *ret_result);

/* Reads the request's parameters for the pipeline. A box is written to *ret_inside, and
 * *ret_request points to it. ret_inside may be NULL if !param_spec->with_bbox. HS_EINVAL. */
int hs_face_read_request(struct hs_http_request *req, const struct hs_face_app *app,
                         const struct hs_face_param_spec *param_spec, struct hs_face_request *ret_request,
                         struct hs_rect *ret_inside, struct hs_error *err);

/* Returns the JSON of an error about a picture, for a response with several pictures. */
json_t *hs_face_failure_json(const struct hs_http_request *req, int code, const struct hs_error *err);

/* Reads `metadata` as the text of a JSON object; a form contains it as such a text. *ret_text is
 * NULL if it is absent and "" for null; caller frees with free(). The gallery checks its limits. */
bool hs_face_read_metadata(struct hs_http_request *req, char **ret_text);

/* Reads `expires_at` in the form of hs_gallery_update; *ret_present is false if it is absent. HS_EINVAL. */
int hs_face_read_expiry(const struct hs_body *body, char ret_time[HS_GALLERY_TIME_SIZE], bool *ret_present,
                        struct hs_error *err);

/* Reads a boolean query parameter; false if absent. */
bool hs_face_read_query_bool(struct hs_http_request *req, const struct hs_field *field, bool *ret);

/* Returns true unless `purge` is set and the client is not an administrator (http/access.h); then
 * responds 403. */
bool hs_face_read_purge(struct hs_http_request *req, bool purge);

/* Returns the best face that has an embedding; otherwise responds "No face detected", or "Failed to
 * extract embedding" if there are faces without embeddings. */
const struct hs_face_found *hs_face_require_best(struct hs_http_request *req, const struct hs_face_result *result);

/* Returns the box for the response: the request's box unchanged, or else the face's own. The result
 * is a new reference. */
json_t *hs_face_response_bbox(struct hs_http_request *req, const struct hs_face_found *found,
                              const struct hs_face_result *result);

/* Sends the response for an error of the gallery or of a network. */
void hs_face_reply_failure(struct hs_http_request *req, int code, const struct hs_error *err);

#endif
