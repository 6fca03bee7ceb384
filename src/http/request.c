#include "http/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/str.h"
#include "http/param.h"
#include "http/request_internal.h"
#include "http/stream.h"

enum { ANSWER_MAX = 64 << 20 };

const struct hs_field hs_field_timeout_header = {
    .name = "X-Request-Timeout",
    .type = HS_FIELD_SECONDS,
    .min = 0.001,
    .max = 86400,
    .help = "As `timeout`; the shorter one applies",
};
const struct hs_field hs_field_timeout = {
    .name = "timeout",
    .type = HS_FIELD_SECONDS,
    .min = 0.001,
    .max = 86400,
    .setting = "performance.request_timeout",
    .help = "Time limit for the response, counted from the end of the body. The header `X-Request-Timeout` does the "
            "same. It can only shorten the configured limit",
};

/* ---- Creation and destruction ---- */

/* Copies the target and finds its path and query. The head parser has validated an absolute target. */
static bool read_target(struct hs_http_request *req, const char *target)
{
    req->target = strdup(target);
    if (!req->target)
        return false;
    char *path = req->target, *scheme = path[0] == '/' ? NULL : strstr(path, "://");
    if (scheme) {
        size_t authority_len = strcspn(scheme + 3, "/?");
        path = scheme + 3 + authority_len;
        req->authority = hs_str_dup_n(scheme + 3, authority_len);
        if (!req->authority)
            return false;
    }
    size_t len = strcspn(path, "?");
    req->query = path + len + (path[len] == '?');
    req->path = scheme && len == 0 ? strdup("/") : hs_str_dup_n(path, len);
    /* Each decoded argument needs one byte more than in the query, or two if it has no '='. */
    req->args = req->path ? malloc(2 * strlen(req->query) + 2) : NULL;
    return req->args;
}

struct hs_http_request *hs_request_create(const struct hs_http_options *options, void *context, const char *target)
{
    struct hs_http_request *req = calloc(1, sizeof(*req));
    if (!req)
        return NULL;
    req->options = options;
    req->context = context;
    req->started_ns = hs_clock_now_ns();
    req->deadline_ns = HS_NO_DEADLINE;
    hs_cancel_init(&req->cancel);
    hs_http_stream_init(&req->stream, req);
    hs_buf_init(&req->text, SIZE_MAX);
    req->text.wipe = true; /* may have an API key */
    hs_buf_init(&req->reply.headers, 16384);
    if (!read_target(req, target)) {
        hs_request_destroy(req);
        return NULL;
    }
    return req;
}

/* Frees the reply's bytes and releases their budget. */
static void drop_reply(struct hs_http_request *req)
{
    struct hs_http_reply *reply = &req->reply;
    if (reply->is_secret)
        hs_mem_free_wiped(reply->data, reply->len);
    else if (!reply->is_static)
        free(reply->data);
    reply->data = NULL;
    reply->is_static = reply->is_secret = false;
    if (reply->charged > 0)
        hs_budget_release(&req->server->responses, reply->charged);
    reply->charged = 0;
}

void hs_request_destroy(struct hs_http_request *req)
{
    if (!req)
        return;
    hs_body_destroy(req->body);
    hs_cancel_finish(&req->cancel);
    hs_http_stream_finish(&req->stream);
    drop_reply(req);
    hs_buf_finish(&req->text);
    hs_buf_finish(&req->reply.headers);
    free(req->target);
    free(req->authority);
    free(req->path);
    free(req->headers);
    free(req->args);
    hs_http_revision_unref(req->revision);
    free(req);
}

/* ---- Headers ---- */

int hs_request_set_headers(struct hs_http_request *req, const struct hs_http_pair *headers, size_t count,
                           struct hs_error *err)
{
    size_t size = 1;
    for (size_t i = 0; i < count; i++)
        size += strlen(headers[i].name) + strlen(headers[i].value) + 2;
    req->headers = calloc(count + 1, sizeof(*req->headers));
    bool room = req->headers && hs_buf_reserve(&req->text, size) == 0;
    for (size_t i = 0; room && i < count; i++) {
        req->headers[i].name = (const char *) req->text.data + req->text.len;
        hs_buf_append(&req->text, headers[i].name, strlen(headers[i].name) + 1);
        req->headers[i].value = (const char *) req->text.data + req->text.len;
        hs_buf_append(&req->text, headers[i].value, strlen(headers[i].value) + 1);
    }
    req->header_count = room ? count : 0;
    /* Use the client's id if it is safe in logs and headers. */
    const char *given = hs_http_header(req, "X-Request-Id");
    size_t len = given ? strspn(given, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") : 0;
    if (len > 0 && len < HS_HTTP_ID_SIZE && given[len] == '\0') {
        hs_str_copy(req->id, sizeof(req->id), given);
    } else {
        uint8_t random[16];
        randombytes_buf(random, sizeof(random));
        sodium_bin2hex(req->id, sizeof(req->id), random, sizeof(random));
    }
    return room ? 0 : hs_error_set(err, HS_ENOMEM, "no memory for the headers");
}

/* ---- The client ---- */

/* Returns the last value of a header that proxies set, because earlier ones may come from the client. */
static const char *last_header(const struct hs_http_request *req, const char *name)
{
    for (size_t i = req->header_count; i > 0; i--) {
        if (hs_str_equal_nocase(req->headers[i - 1].name, name)) {
            const char *value = req->headers[i - 1].value, *comma = strrchr(value, ',');
            return comma ? comma + 1 + strspn(comma + 1, " \t") : value;
        }
    }
    return NULL;
}

void hs_request_set_peer(struct hs_http_request *req, const char *peer, bool secure)
{
    const struct hs_proxies *proxies = &req->server->proxies;
    const char *forwarded[HS_HTTP_HEADERS_MAX];
    size_t count = 0;
    hs_str_copy(req->client, sizeof(req->client), peer);
    req->secure = secure;
    req->proxied = hs_proxies_trust(proxies, peer);
    if (!req->proxied)
        return;
    for (size_t i = 0; i < req->header_count; i++) {
        if (hs_str_equal_nocase(req->headers[i].name, "X-Forwarded-For"))
            forwarded[count++] = req->headers[i].value;
    }
    hs_proxies_find_client(proxies, peer, forwarded, count, req->client);
    const char *scheme = last_header(req, "X-Forwarded-Proto");
    if (scheme)
        req->secure = hs_str_equal_nocase(scheme, "https");
}

const char *hs_http_client(const struct hs_http_request *req)
{
    return req->client;
}

/* RFC 9112, 3.2.2: if the target contains the host, Host is ignored. */
const char *hs_http_host(const struct hs_http_request *req)
{
    const char *forwarded = req->proxied ? last_header(req, "X-Forwarded-Host") : NULL;
    return forwarded ? forwarded : req->authority ? req->authority : hs_http_header(req, "Host");
}

const char *hs_http_scheme(const struct hs_http_request *req)
{
    return req->secure ? "https" : "http";
}

bool hs_http_is_proxied(const struct hs_http_request *req)
{
    static const char *const names[] = { "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via" };
    bool proxied = req->proxied;
    for (size_t i = 0; i < HS_ARRAY_LEN(names); i++)
        proxied |= hs_http_header(req, names[i]) != NULL;
    return proxied;
}

/* ---- Request data for the handler ---- */

void *hs_http_context(const struct hs_http_request *req)
{
    return req->context;
}

const char *hs_http_id(const struct hs_http_request *req)
{
    return req->id;
}

const char *hs_http_actor(const struct hs_http_request *req)
{
    return req->actor;
}

bool hs_http_is_known(const struct hs_http_request *req)
{
    return !req->keyed || req->actor[0];
}

const char *hs_http_param(const struct hs_http_request *req, size_t index)
{
    return req->params[index];
}

/* Decodes the query arguments into req->args. Each starts with a flag byte, 0 until the argument is
 * read. */
static void read_args(struct hs_http_request *req)
{
    char *out = req->args;
    for (const char *p = req->query; *p != '\0';) {
        size_t len = strcspn(p, "&"), name_len = strcspn(p, "=&");
        size_t value_at = name_len < len ? name_len + 1 : len;
        if (len > 0) {
            *out++ = 0;
            hs_str_copy_n(out, name_len + 1, p, name_len);
            hs_str_percent_decode(out, true);
            out += strlen(out) + 1;
            hs_str_copy_n(out, len - value_at + 1, p + value_at, len - value_at);
            hs_str_percent_decode(out, true);
            out += strlen(out) + 1;
        }
        p += len + (p[len] == '&');
    }
    req->args_end = out;
}

/* Returns the argument after `arg`, or the first one if `arg` is NULL. Returns NULL at the end. */
static char *next_arg(struct hs_http_request *req, char *arg)
{
    if (!req->args_end)
        read_args(req);
    char *next = req->args;
    if (arg) {
        char *value = arg + 1 + strlen(arg + 1) + 1;
        next = value + strlen(value) + 1;
    }
    return next < req->args_end ? next : NULL;
}

const char *hs_http_peek_query(struct hs_http_request *req, const char *name)
{
    char *arg = NULL;
    while ((arg = next_arg(req, arg)) && strcmp(arg + 1, name) != 0)
        continue;
    return arg ? arg + 1 + strlen(name) + 1 : NULL;
}

const char *hs_http_query(struct hs_http_request *req, const char *name)
{
    for (char *arg = NULL; (arg = next_arg(req, arg));) {
        if (strcmp(arg + 1, name) == 0)
            *arg = 1;
    }
    return hs_http_peek_query(req, name);
}

size_t hs_http_query_unused(struct hs_http_request *req, char ret_names[HS_BODY_UNUSED_MAX][HS_BODY_NAME_SIZE])
{
    size_t count = 0;
    for (char *arg = NULL; (arg = next_arg(req, arg));) {
        if (!*arg)
            count = hs_body_add_unused(ret_names, count, arg + 1);
    }
    for (size_t i = 0; i < count; i++)
        hs_str_make_line(ret_names[i]);
    return count;
}

const char *hs_http_header(const struct hs_http_request *req, const char *name)
{
    for (size_t i = 0; i < req->header_count; i++) {
        if (hs_str_equal_nocase(req->headers[i].name, name))
            return req->headers[i].value;
    }
    return NULL;
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

static void set_timeout(struct hs_http_request *req, double seconds)
{
    int64_t wanted_ns = req->body_end_ns + (int64_t) (seconds * 1000) * HS_NS_PER_MS;
    if (wanted_ns < req->deadline_ns)
        req->deadline_ns = wanted_ns;
}

int hs_http_read_timeout(struct hs_http_request *req, const char **ret_field, struct hs_error *err)
{
    const char *header = hs_http_header(req, "X-Request-Timeout");
    double seconds = -1;
    const struct hs_field *field = &hs_field_timeout_header;
    *ret_field = field->name;
    if (header && (!hs_str_to_seconds(header, &seconds) || !(seconds >= field->min && seconds <= field->max)))
        return hs_error_set(err, HS_EINVAL, "X-Request-Timeout: must be between 0.001 and 86400 seconds");
    if (header)
        set_timeout(req, seconds);
    *ret_field = hs_field_timeout.name;
    if (!req->body)
        return 0;
    int r = hs_field_seconds(req->body, &hs_field_timeout, -1, &seconds, err);
    if (r == 0 && seconds > 0)
        set_timeout(req, seconds);
    return r;
}

double hs_accept_quality(const char *accept, const char *type)
{
    size_t len = strlen(type);
    for (const char *at = accept; *at; at += *at == ',') {
        at += strspn(at, " \t");
        size_t item = strcspn(at, ",");
        if (strcspn(at, ";, \t") == len && strncasecmp(at, type, len) == 0) {
            char text[8];
            double quality = 1;
            const char *q = memmem(at, item, "q=", 2);
            if (q && hs_str_copy_n(text, sizeof(text), q + 2, (size_t) (at + item - q) - 2))
                hs_str_to_double(text, &quality);
            return quality;
        }
        at += item;
    }
    return -1;
}

bool hs_accept_prefers(const struct hs_http_request *req, const char *type)
{
    const char *accept = hs_http_header(req, "Accept");
    double quality = accept ? hs_accept_quality(accept, type) : -1;
    return quality > 0 && quality >= hs_accept_quality(accept, "application/json");
}

void hs_http_continue_with(struct hs_http_request *req, hs_http_handler rest)
{
    req->continuation = rest;
}

/* ---- Responses ---- */

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

static void reply_static(struct hs_http_request *req)
{
    const char *body = strstr(hs_http_static_response(req->options), "\r\n\r\n") + 4;
    if (req->stage == HS_HTTP_STREAMING)
        return;
    drop_reply(req);
    req->reply.status = 503;
    req->reply.error = HS_ENOMEM;
    req->reply.data = (uint8_t *) (uintptr_t) body;
    req->reply.len = strlen(body);
    req->reply.is_static = true;
    hs_str_copy(req->reply.content_type, sizeof(req->reply.content_type), req->options->json_content_type);
}

void hs_http_reply_bytes(struct hs_http_request *req, int http_status, const char *content_type, uint8_t *data,
                         size_t len)
{
    if (req->stage == HS_HTTP_STREAMING) {
        free(data);
        return;
    }
    drop_reply(req);
    req->reply.status = http_status;
    req->reply.error = 0;
    req->reply.data = data;
    req->reply.len = len;
    hs_str_copy(req->reply.content_type, sizeof(req->reply.content_type), content_type);
}

static void reply_json(struct hs_http_request *req, int http_status, json_t *value, bool secret)
{
    struct hs_buf text;
    hs_buf_init(&text, ANSWER_MAX);
    text.wipe = secret;
    int r = value ? hs_json_write(value, req->options->json_style, &text) : HS_ENOMEM;
    if (r == 0 && req->stage != HS_HTTP_STREAMING) {
        size_t len;
        uint8_t *data = hs_buf_take(&text, &len);
        hs_http_reply_bytes(req, http_status, req->options->json_content_type, data, len);
        req->reply.is_secret = secret;
    }
    hs_buf_finish(&text);
    json_decref(value);
    if (r == HS_ETOOLARGE)
        hs_http_reply_error(req, HS_EINTERNAL, NULL, "The answer is larger than %d MiB or too deeply nested",
                            ANSWER_MAX >> 20);
    else if (r < 0)
        reply_static(req);
}

void hs_http_reply_json(struct hs_http_request *req, int http_status, json_t *value)
{
    reply_json(req, http_status, value, false);
}

void hs_http_reply_secret_json(struct hs_http_request *req, int http_status, json_t *value)
{
    reply_json(req, http_status, value, true);
}

int hs_http_append_line(const struct hs_http_request *req, const json_t *value, struct hs_buf *out)
{
    enum hs_json_style style = req->options->json_style == HS_JSON_PRETTY ? HS_JSON_SORTED : req->options->json_style;
    return hs_json_write(value, style, out);
}

/* ---- Work ---- */

/* A response holds memory until the client has read it. */
static void charge_reply(struct hs_http_request *req)
{
    struct hs_http_reply *reply = &req->reply;
    if (!req->server || req->stage == HS_HTTP_STREAMING || reply->is_static || reply->len <= HS_HTTP_RESPONSE_FREE)
        return;
    /* The deadline is in the past, so that slow clients do not block the worker. */
    if (hs_budget_wait(&req->server->responses, reply->len, 0, NULL, &reply->charged) < 0) {
        hs_count(&hs_http_refusals, HS_HTTP_REFUSED_RESPONSES);
        hs_http_reply_error(req, HS_EBUSY, NULL, "Too many large answers at once, try again");
    }
}

static void end_work(struct hs_http_request *req)
{
    if (req->reply.status == 0)
        hs_http_reply_error(req, HS_EINTERNAL, NULL, "The request was not answered: this is a fault of the server");
    charge_reply(req);
    /* Free the body now, so that a client that reads slowly does not hold its memory. */
    hs_body_destroy(req->body);
    req->body = NULL;
}

void hs_request_run(struct hs_http_request *req)
{
    if (hs_cancel_is_set(&req->cancel)) {
        hs_http_reply_error(req, HS_ECANCELED, NULL, "The client disconnected");
    } else if (hs_clock_now_ns() >= req->deadline_ns) {
        hs_count(&hs_http_refusals, HS_HTTP_REFUSED_DEADLINE);
        hs_http_reply_error(req, HS_ETIMEOUT, NULL, "The request timed out while it was queued; try again");
    } else {
        req->route->handle(req);
    }
    if (!req->continuation)
        end_work(req);
}

void hs_request_run_continuation(struct hs_http_request *req)
{
    req->continuation(req);
    end_work(req);
}

/* ---- Wire format ---- */

const char *hs_http_status_phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } reasons[] = {
        { 200, "OK" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 204, "No Content" },
        { 304, "Not Modified" },
        { 308, "Permanent Redirect" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 415, "Unsupported Media Type" },
        { 417, "Expectation Failed" },
        { 422, "Unprocessable Content" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 499, "Client Closed Request" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(reasons); i++) {
        if (reasons[i].status == status)
            return reasons[i].phrase;
    }
    return "Unknown";
}

/* RFC 9110, 5.6.7; the names must not depend on the locale. */
static void write_date(struct hs_buf *out)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t now = (time_t) hs_clock_wall_s();
    struct tm tm;
    if (gmtime_r(&now, &tm))
        hs_buf_printf(out, "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n", days + 3 * tm.tm_wday, tm.tm_mday,
                      months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

int hs_request_write_head(const struct hs_http_request *req, const struct hs_http_framing *framing, struct hs_buf *out)
{
    const struct hs_http_reply *reply = &req->reply;
    hs_buf_printf(out, "HTTP/1.1 %d %s\r\n", reply->status, hs_http_status_phrase(reply->status));
    write_date(out);
    if (framing->close)
        hs_buf_append_str(out, "Connection: close\r\n");
    else if (framing->keep_alive)
        hs_buf_append_str(out, "Connection: keep-alive\r\n");
    if (reply->content_type[0])
        hs_buf_printf(out, "Content-Type: %s\r\n", reply->content_type);
    if (framing->has_length)
        hs_buf_printf(out, "Content-Length: %zu\r\n", reply->len);
    else if (framing->chunked)
        hs_buf_append_str(out, "Transfer-Encoding: chunked\r\n");
    hs_buf_printf(out, "X-Request-Id: %s\r\n", req->id);
    const char *p = (const char *) reply->headers.data, *end = p ? p + reply->headers.len : NULL;
    while (p < end) {
        const char *value = p + strlen(p) + 1;
        hs_buf_printf(out, "%s: %s\r\n", p, value);
        p = value + strlen(value) + 1;
    }
    return hs_buf_append_str(out, "\r\n");
}

const char *hs_http_static_response(const struct hs_http_options *options)
{
    return options->error_shape == HS_HTTP_ERROR_TEXT
               ? "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: application/json\r\n"
                 "Content-Length: 51\r\nRetry-After: 1\r\n\r\n{\"error\":\"The server is out of memory; try again\"}\n"
               : "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: application/json\r\n"
                 "Content-Length: 116\r\nRetry-After: 1\r\n\r\n"
                 "{\"error\": {\"message\": \"The server is out of memory; try again\", \"type\": \"internal_error\", "
                 "\"code\": \"out_of_memory\"}}\n";
}
