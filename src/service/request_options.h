/* Request fields common to all services: model, keep-alive time and timeout. */
#ifndef HS_SERVICE_REQUEST_OPTIONS_H
#define HS_SERVICE_REQUEST_OPTIONS_H

#include "http/request.h"
#include "service/app.h"

/* The fields read here, for a route's list of fields. */
extern const struct hs_field hs_field_model, hs_field_keep_alive;
#define HS_REQUEST_OPTION_FIELDS &hs_field_model, &hs_field_timeout, &hs_field_keep_alive

struct hs_request_options {
    const char *model; /* NULL: the configured one; borrowed from the body */
    bool has_keep_alive;
    double keep_alive_s; /* -1: unlimited */
};

/* Reads `model`, `keep_alive` and `timeout` from the body. keep_alive has no effect unless the
 * client is an administrator (http/access.h). timeout, in seconds like the X-Request-Timeout
 * header, shortens the request's deadline. HS_EINVAL: *ret_field is invalid. */
int hs_request_options_read(struct hs_http_request *req, struct hs_request_options *ret_options, const char **ret_field,
                            struct hs_error *err);

/* Returns a pool from core->caches[index] for the request, waiting until its deadline, and sets the
 * keep-alive time: the request's, or else the configured one. The caller releases it with
 * hs_model_cache_unref. Errors of hs_model_cache_ref. */
int hs_request_options_ref(struct hs_http_request *req, const struct hs_request_options *options,
                           const struct hs_app_core *core, size_t index, struct hs_model_pool **ret_pool,
                           struct hs_error *err);

/* Appends to the response's `warnings` (service/response_warnings.h): "unknown_field" for each unread
 * field of the body or the query, and "ignored_field" for a keep_alive without effect. Call it
 * after the handler has read all its fields. Takes and returns the reference. Returns NULL if
 * `response` is NULL or memory runs out. */
json_t *hs_request_add_warnings(struct hs_http_request *req, json_t *response);

#endif
