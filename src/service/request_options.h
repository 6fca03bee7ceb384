/* Request fields that every service has: model, keep-alive time and timeout. */
#ifndef HS_SERVICE_REQUEST_OPTIONS_H
#define HS_SERVICE_REQUEST_OPTIONS_H

#include "http/request.h"
#include "service/app.h"

/* Fields of a form that are read here, for a route's spec. */
#define HS_REQUEST_OPTION_FIELDS "model", "keep_alive", "timeout"

struct hs_request_options {
    const char *model; /* NULL: the configured one. Borrowed from the body */
    bool has_keep_alive;
    double keep_alive_s; /* -1: for good */
};

/* Reads `model`, `keep_alive` (which has no effect unless the client is an administrator, see http/access.h) and
 * `timeout` (seconds, as the X-Request-Timeout header) from the body, and shortens the request's deadline. HS_EINVAL:
 * *ret_field is wrong. */
int hs_request_options_read(struct hs_http_request *req, struct hs_request_options *ret_options, const char **ret_field,
                            struct hs_error *err);

/* The pool for the request out of core->caches[index], by the request's deadline, with its keep-alive time set: the
 * request's, else the configured one. The caller gives it back with hs_model_cache_unref. Errors of hs_model_cache_ref.
 */
int hs_request_options_ref(struct hs_http_request *req, const struct hs_request_options *options,
                           const struct hs_app_core *core, size_t index, struct hs_model_pool **ret_pool,
                           struct hs_error *err);

/* Adds to the answer's `warnings` (service/answer_warnings.h) fields of the body and of the query that are not known
 * here ("unknown_field"), and a keep_alive that has no effect ("ignored_field"). After the handler has read all its
 * fields. Takes and gives the reference; NULL is passed through, and comes without memory. */
json_t *hs_request_add_warnings(struct hs_http_request *req, json_t *answer);

#endif
