#include "http/failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json_build.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "http/request.h"
#include "http/request_internal.h"

enum { PROBLEM_MAX = 1 << 20 };

/* ---- the two shapes ---- */

json_t *hs_http_error_json(const struct hs_http_request *req, int code, const char *field, const char *message)
{
    char line[HS_ERROR_MESSAGE_SIZE];
    hs_str_copy(line, sizeof(line), message);
    hs_str_make_line(line); /* may quote client text, truncated inside a character */
    if (req->options->error_shape == HS_HTTP_ERROR_TEXT)
        return json_pack("{s:s}", "error", line);
    bool client = hs_status_http(code) < 500 || code == HS_EUNIMPLEMENTED || code == HS_EHTTPVERSION;
    const char *type = client ? "invalid_request_error" : code == HS_ETIMEOUT ? "timeout" : "internal_error";
    return json_pack("{s:{s:s, s:s, s:s, s:s*}}", "error", "message", line, "type", type, "code", hs_status_name(code),
                     "field", field);
}

/* ---- RFC 9457 ---- */

static bool wants_problem(const struct hs_http_request *req)
{
    return hs_accept_prefers(req, "application/problem+json");
}

/* Takes `more`, which may be NULL. */
static void reply_problem(struct hs_http_request *req, int code, const char *field, const char *message, json_t *more)
{
    char line[2 * HS_ERROR_MESSAGE_SIZE];
    int http_status = hs_status_http(code);
    struct hs_buf text;
    size_t len;
    hs_str_copy(line, sizeof(line), message);
    hs_str_make_line(line);
    json_t *problem = json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:s*}", "type", "about:blank", "title",
                                hs_http_status_phrase(http_status), "status", http_status, "detail", line, "instance",
                                req->id, "code", hs_status_name(code), "field", field);
    if (more)
        problem = hs_json_with_members(problem, more);
    hs_buf_init(&text, PROBLEM_MAX);
    int r = problem ? hs_json_write(problem, req->options->json_style, &text) : HS_ENOMEM;
    json_decref(problem);
    if (r == 0) {
        uint8_t *data = hs_buf_take(&text, &len);
        hs_http_reply_bytes(req, http_status, "application/problem+json", data, len);
    } else {
        hs_http_reply_json(req, http_status, NULL); /* out of memory */
    }
    hs_buf_finish(&text);
}

/* ---- responses ---- */

/* For the metrics, unless the response became a 503 without memory. */
static void count_error(struct hs_http_request *req, int code)
{
    if (req->stage != HS_HTTP_STREAMING && req->reply.status == hs_status_http(code))
        req->reply.error = code;
}

void hs_http_reply_error(struct hs_http_request *req, int code, const char *field, const char *format, ...)
{
    char message[HS_ERROR_MESSAGE_SIZE], seconds[16];
    int http_status = hs_status_http(code);
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    if (http_status == 429 || http_status == 503) {
        int wait_s = http_status == 429 && req->retry_after_s ? req->retry_after_s : req->options->retry_after_s;
        hs_str_format(seconds, sizeof(seconds), "%d", wait_s);
        hs_http_add_header(req, "Retry-After", seconds);
    }
    if (wants_problem(req))
        reply_problem(req, code, field, message, NULL);
    else
        hs_http_reply_json(req, http_status, hs_http_error_json(req, code, field, message));
    count_error(req, code);
}

void hs_http_reply_known_error(struct hs_http_request *req, int code, const char *known, const char *detail,
                               json_t *more)
{
    char message[2 * HS_ERROR_MESSAGE_SIZE];
    if (wants_problem(req)) {
        hs_str_format(message, sizeof(message), "%s%s%s", known, detail ? ": " : "", detail ? detail : "");
        reply_problem(req, code, NULL, message, more);
        count_error(req, code);
        return;
    }
    json_t *json = req->options->error_shape == HS_HTTP_ERROR_TEXT ? json_pack("{s:s}", "error", known)
                                                                   : hs_http_error_json(req, code, NULL, known);
    if (detail)
        json = hs_json_with_member(json, "detail", json_string(detail));
    if (more)
        json = hs_json_with_members(json, more);
    hs_http_reply_json(req, hs_status_http(code), json);
    count_error(req, code);
}

/* ---- failures of lower layers ---- */

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
