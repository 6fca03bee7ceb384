#include "http/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "http/exchange.h"
#include "http/param.h"

enum { ANSWER_MAX = 64 << 20, TIMEOUT_MAX_S = 86400 };
#define TIMEOUT_MIN_S 0.001

void *hs_http_context(const struct hs_http_request *req)
{
    return req->context;
}

const char *hs_http_method(const struct hs_http_request *req)
{
    return req->method;
}

const char *hs_http_path(const struct hs_http_request *req)
{
    return req->path;
}

const char *hs_http_param(const struct hs_http_request *req, size_t index)
{
    return req->params[index];
}

const char *hs_http_query(const struct hs_http_request *req, const char *name)
{
    for (size_t i = 0; i < req->arg_count; i++) {
        if (strcmp(req->args[i].name, name) == 0)
            return req->args[i].value;
    }
    return NULL;
}

const char *hs_http_header(const struct hs_http_request *req, const char *name)
{
    for (size_t i = 0; i < req->header_count; i++) {
        if (hs_str_equal_nocase(req->headers[i].name, name))
            return req->headers[i].value;
    }
    return NULL;
}

const char *hs_http_remote(const struct hs_http_request *req)
{
    return req->remote;
}

const char *hs_http_request_id(const struct hs_http_request *req)
{
    return req->id;
}

int64_t hs_http_received_ns(const struct hs_http_request *req)
{
    return req->received_ns;
}

void hs_http_set_timeout(struct hs_http_request *req, int64_t timeout_ms)
{
    int64_t wanted_ns = req->body_end_ns + timeout_ms * HS_NS_PER_MS;
    if (wanted_ns < req->deadline_ns)
        req->deadline_ns = wanted_ns;
}

int hs_http_read_timeout(struct hs_http_request *req, const char **ret_field, struct hs_error *err)
{
    const char *header = hs_http_header(req, "X-Request-Timeout");
    double seconds = -1;
    *ret_field = "X-Request-Timeout";
    if (header && (!hs_str_to_seconds(header, &seconds) || !(seconds >= TIMEOUT_MIN_S && seconds <= TIMEOUT_MAX_S)))
        return hs_error_set(err, HS_EINVAL, "X-Request-Timeout: must be between 0.001 and 86400 seconds");
    if (header)
        hs_http_set_timeout(req, (int64_t) (seconds * 1000));
    *ret_field = "timeout";
    if (!req->body)
        return 0;
    int r = hs_param_seconds(req->body, "timeout", TIMEOUT_MIN_S, TIMEOUT_MAX_S, false, -1, &seconds, err);
    if (r == 0 && seconds > 0)
        hs_http_set_timeout(req, (int64_t) (seconds * 1000));
    return r;
}

int64_t hs_http_deadline_ns(const struct hs_http_request *req)
{
    return req->deadline_ns;
}

struct hs_cancel *hs_http_cancel(struct hs_http_request *req)
{
    return &req->cancel;
}

struct hs_body *hs_http_body(struct hs_http_request *req)
{
    return req->body;
}

/* ---- Answers ---- */

void hs_http_add_header(struct hs_http_request *req, const char *name, const char *value)
{
    struct hs_buf *headers = &req->reply.headers;
    size_t name_size = strlen(name) + 1, value_size = strlen(value) + 1;
    if (req->stage == HS_HTTP_STREAMING)
        return;
    if (strpbrk(name, "\r\n: \t") || strpbrk(value, "\r\n") || name[0] == '\0')
        return;
    if (name_size + value_size <= headers->max - headers->len && hs_buf_reserve(headers, name_size + value_size) == 0) {
        hs_buf_append(headers, name, name_size);
        hs_buf_append(headers, value, value_size);
    }
}

void hs_http_reply_bytes(struct hs_http_request *req, int http_status, const char *content_type, uint8_t *data,
                         size_t len)
{
    if (req->stage == HS_HTTP_STREAMING) {
        free(data);
        return;
    }
    free(req->reply.data);
    req->reply.status = http_status;
    req->reply.data = data;
    req->reply.len = len;
    hs_str_copy(req->reply.content_type, sizeof(req->reply.content_type), content_type);
}

/* An answer without content is all that can be had without memory. */
static void reply_nothing(struct hs_http_request *req)
{
    hs_http_reply_bytes(req, 503, "text/plain", NULL, 0);
}

void hs_http_reply_json(struct hs_http_request *req, int http_status, json_t *value)
{
    struct hs_buf text;
    size_t len;
    hs_buf_init(&text, ANSWER_MAX);
    if (value && hs_json_write(value, req->options->json_style, &text) == 0) {
        uint8_t *data = hs_buf_take(&text, &len);
        hs_http_reply_bytes(req, http_status, req->options->json_content_type, data, len);
    } else {
        reply_nothing(req);
    }
    hs_buf_finish(&text);
    json_decref(value);
}

int hs_http_append_line(const struct hs_http_request *req, const json_t *value, struct hs_buf *out)
{
    enum hs_json_style style = req->options->json_style == HS_JSON_PRETTY ? HS_JSON_SORTED : req->options->json_style;
    int r = hs_json_write(value, style, out);
    return r == 0 && style == HS_JSON_SPACED ? hs_buf_append_str(out, "\n") : r;
}

static json_t *error_object(int code, const char *field, const char *message)
{
    const char *type = hs_status_http(code) < 500 ? "invalid_request_error"
                       : code == HS_ETIMEOUT      ? "timeout"
                                                  : "internal_error";
    json_t *detail =
        json_pack("{s:s, s:s, s:s}", "message", message, "type", type, "code", hs_status_name(code));
    if (detail && field && json_object_set_new(detail, "field", json_string(field)) < 0) {
        json_decref(detail);
        return NULL;
    }
    return json_pack("{s:o}", "error", detail);
}

json_t *hs_http_error_json(const struct hs_http_request *req, int code, const char *field, const char *message)
{
    char line[HS_ERROR_MESSAGE_SIZE];
    hs_str_copy(line, sizeof(line), message);
    hs_str_make_line(line); /* it may quote what a client sent, and be cut inside a character */
    return req->options->error_shape == HS_HTTP_ERROR_TEXT ? json_pack("{s:s}", "error", line)
                                                           : error_object(code, field, line);
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
        hs_str_format(seconds, sizeof(seconds), "%d", req->options->retry_after_s);
        hs_http_add_header(req, "Retry-After", seconds);
    }
    hs_http_reply_json(req, http_status, hs_http_error_json(req, code, field, message));
}
