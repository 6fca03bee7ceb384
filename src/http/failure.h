/* Error responses for failures in lower layers. (failure.c also has the error responses of http/request.h.) Logs the
 * parts of the error beyond hs_error_public, with the request id. */
#ifndef HS_HTTP_FAILURE_H
#define HS_HTTP_FAILURE_H

#include <jansson.h>

#include "hs/status.h"

struct hs_http_request;

/* Writes the text for the client to ret_text and returns ret_text. */
const char *hs_http_failure_text(const struct hs_http_request *req, const struct hs_error *err,
                                 char ret_text[HS_ERROR_MESSAGE_SIZE]);

/* Like hs_http_reply_error and hs_http_error_json, but with the text of hs_http_failure_text. */
void hs_http_reply_failure(struct hs_http_request *req, int code, const char *field, const struct hs_error *err);
json_t *hs_http_failure_json(const struct hs_http_request *req, int code, const char *field,
                             const struct hs_error *err);

#endif
