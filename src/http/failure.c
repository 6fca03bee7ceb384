#include "http/failure.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/request.h"
#include "http/request_internal.h"

const char *hs_http_failure_text(const struct hs_http_request *req, const struct hs_error *err,
                                 char ret_text[HS_ERROR_MESSAGE_SIZE])
{
    hs_error_public(err->message, ret_text);
    const struct hs_log_field fields[] = { HS_LOG_FIELD_STRING("request_id", req->id) };
    if (strcmp(ret_text, err->message) != 0)
        hs_log_fields(HS_LOG_WARNING, fields, HS_ARRAY_LEN(fields), "%s", err->message);
    return ret_text;
}

void hs_http_reply_failure(struct hs_http_request *req, int code, const char *field, const struct hs_error *err)
{
    char text[HS_ERROR_MESSAGE_SIZE];
    hs_http_reply_error(req, code, field, "%s", hs_http_failure_text(req, err, text));
}

json_t *hs_http_failure_json(const struct hs_http_request *req, int code, const char *field, const struct hs_error *err)
{
    char text[HS_ERROR_MESSAGE_SIZE];
    return hs_http_error_json(req, code, field, hs_http_failure_text(req, err, text));
}
