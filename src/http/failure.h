/* Answers to a request that failed with an error of the layers below. What the error holds beyond hs_error_public goes
 * to the log, with the request's id. */
#ifndef HS_HTTP_FAILURE_H
#define HS_HTTP_FAILURE_H

#include <jansson.h>

#include "hs/status.h"

struct hs_http_request;

/* The text for the client; ret_text is returned. */
const char *hs_http_failure_text(const struct hs_http_request *req, const struct hs_error *err,
                                 char ret_text[HS_ERROR_MESSAGE_SIZE]);

/* As hs_http_reply_error and hs_http_error_json, with the text above. */
void hs_http_reply_failure(struct hs_http_request *req, int code, const char *field, const struct hs_error *err);
json_t *hs_http_failure_json(const struct hs_http_request *req, int code, const char *field,
                             const struct hs_error *err);

#endif
