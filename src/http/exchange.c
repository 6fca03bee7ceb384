#include "http/exchange.h"

#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/str.h"
#include "http/request.h"

/* ---- Target ---- */

/* Splits the copy of the query at '&' and '='. */
static bool read_args(struct hs_http_request *req)
{
    size_t count = req->query[0] != '\0';
    for (const char *p = req->query; (p = strchr(p, '&')); p++)
        count++;
    req->args = calloc(count + 1, sizeof(*req->args));
    if (!req->args)
        return false;
    for (char *p = req->query; p && *p;) {
        char *next = strchr(p, '&');
        if (next)
            *next++ = '\0';
        char *equals = strchr(p, '=');
        if (equals)
            *equals++ = '\0';
        hs_str_percent_decode(p, true);
        if (equals)
            hs_str_percent_decode(equals, true);
        req->args[req->arg_count++] = (struct hs_http_pair) { p, equals ? equals : "" };
        p = next;
    }
    return true;
}

static bool read_target(struct hs_http_request *req, const char *target)
{
    req->target = strdup(target);
    req->path = strdup(target);
    req->sent_path = strndup(target, strcspn(target, "?"));
    if (!req->target || !req->path || !req->sent_path)
        return false;
    char *mark = strchr(req->path, '?');
    if (mark)
        *mark++ = '\0';
    req->query = mark ? mark : req->path + strlen(req->path);
    hs_str_percent_decode(req->path, false);
    return read_args(req);
}

/* ---- Life ---- */

struct hs_http_request *hs_exchange_create(const struct hs_http_options *options, void *context, const char *remote,
                                           const char *target)
{
    struct hs_http_request *req = calloc(1, sizeof(*req));
    if (!req)
        return NULL;
    req->options = options;
    req->context = context;
    hs_str_copy(req->remote, sizeof(req->remote), remote);
    req->started_ns = req->received_ns = hs_clock_now_ns();
    req->deadline_ns = HS_NO_DEADLINE;
    hs_cancel_init(&req->cancel);
    hs_stream_init(&req->stream, req);
    hs_buf_init(&req->text, SIZE_MAX);
    hs_buf_init(&req->reply.headers, 16384);
    if (!read_target(req, target)) {
        hs_exchange_destroy(req);
        return NULL;
    }
    return req;
}

void hs_exchange_destroy(struct hs_http_request *req)
{
    if (!req)
        return;
    hs_body_destroy(req->body);
    hs_cancel_finish(&req->cancel);
    hs_stream_finish(&req->stream);
    hs_buf_finish(&req->text);
    hs_buf_finish(&req->reply.headers);
    free(req->reply.data);
    free(req->target);
    free(req->path);
    free(req->sent_path);
    free(req->headers);
    free(req->args);
    free(req);
}

/* ---- Headers ---- */

/* What a log and another service can safely take. */
static bool id_is_sane(const char *id)
{
    size_t len = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    return len > 0 && len < HS_HTTP_ID_SIZE && id[len] == '\0';
}

static void choose_id(struct hs_http_request *req)
{
    uint8_t random[16];
    const char *given = hs_http_header(req, "X-Request-Id");
    if (given && id_is_sane(given)) {
        hs_str_copy(req->id, sizeof(req->id), given);
        return;
    }
    randombytes_buf(random, sizeof(random));
    hs_str_hex(random, sizeof(random), req->id);
}

static int copy_headers(struct hs_http_request *req, const struct hs_http_pair *headers, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += strlen(headers[i].name) + strlen(headers[i].value) + 2;
    req->headers = calloc(count + 1, sizeof(*req->headers));
    if (!req->headers || hs_buf_reserve(&req->text, size + 1) < 0)
        return HS_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        req->headers[i].name = (const char *) req->text.data + req->text.len;
        hs_buf_append(&req->text, headers[i].name, strlen(headers[i].name) + 1);
        req->headers[i].value = (const char *) req->text.data + req->text.len;
        hs_buf_append(&req->text, headers[i].value, strlen(headers[i].value) + 1);
    }
    req->header_count = count;
    return 0;
}

int hs_exchange_set_headers(struct hs_http_request *req, const struct hs_http_pair *headers, size_t count,
                            struct hs_error *err)
{
    int r = copy_headers(req, headers, count);
    choose_id(req);
    return r < 0 ? hs_error_set(err, r, "no memory for the headers") : 0;
}

/* ---- Work ---- */

int hs_exchange_prepare(struct hs_http_request *req)
{
    const char *field;
    struct hs_error err;
    int r = req->body ? hs_body_end(req->body, &err) : 0;
    if (r < 0)
        hs_http_reply_error(req, r, NULL, "%s", err.message);
    else
        hs_http_read_timeout(req, &field, NULL); /* what is wrong with it is for the handler to say */
    return r;
}

void hs_exchange_run(struct hs_http_request *req)
{
    if (hs_cancel_is_set(&req->cancel))
        hs_http_reply_error(req, HS_ECANCELED, NULL, "The client has left");
    else if (hs_clock_now_ns() >= req->deadline_ns)
        hs_http_reply_error(req, HS_ETIMEOUT, NULL, "The request's time was over before its turn came");
    else
        req->route->handle(req);
    if (req->reply.status == 0)
        hs_http_reply_error(req, HS_EINTERNAL, NULL, "The request was not answered");
    /* A client that reads its answer slowly shall not hold the memory of its question. */
    hs_body_destroy(req->body);
    req->body = NULL;
}

int hs_exchange_raw(const struct hs_http_request *req, struct hs_buf *out)
{
    const struct hs_http_reply *reply = &req->reply;
    int r = hs_buf_printf(out,
                          "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                          "X-Request-Id: %s\r\n",
                          reply->status, MHD_get_reason_phrase_for((unsigned) reply->status), reply->content_type,
                          reply->len, req->id);
    const char *p = (const char *) reply->headers.data, *end = p ? p + reply->headers.len : NULL;
    while (r == 0 && p < end) {
        const char *value = p + strlen(p) + 1;
        r = hs_buf_printf(out, "%s: %s\r\n", p, value);
        p = value + strlen(value) + 1;
    }
    if (r == 0)
        r = hs_buf_append_str(out, "\r\n");
    return r < 0 ? r : hs_buf_append(out, reply->data, reply->len);
}
