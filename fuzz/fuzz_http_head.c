/* A complete head, followed by a body that is read as chunks. Parsed spans lie inside the input, header fields
 * are well-formed, the head specifies at most one framing, and splitting the input into pieces changes nothing. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/chunked.h"
#include "http/head_parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* Searches in steps of `step` bytes. */
static size_t find_end(const uint8_t *data, size_t len, size_t step)
{
    struct hs_http_head_scan scan = { 0 };
    size_t end = 0;
    for (size_t at = step; end == 0; at += step) {
        end = hs_http_head_find_end(data, at < len ? at : len, &scan);
        if (at >= len)
            break;
    }
    return end;
}

static void check_span(struct hs_http_span span, size_t len)
{
    check(span.at <= len && span.len <= len - span.at);
}

static void check_head(const struct hs_http_head *head, const uint8_t *data, size_t len)
{
    size_t hosts = 0, lengths = 0, codings = 0;
    check_span(head->method, len);
    check_span(head->target, len);
    check(head->method.len > 0 && head->method.len < HS_HTTP_METHOD_SIZE && head->target.len > 0);
    check(head->field_count <= HS_HTTP_HEADERS_MAX && head->minor >= 0 && head->minor <= 1);
    for (uint32_t i = 0; i < head->target.len; i++)
        check(data[head->target.at + i] > ' ' && data[head->target.at + i] != 0x7f);
    for (size_t i = 0; i < head->field_count; i++) {
        struct hs_http_span name = head->fields[i].name, value = head->fields[i].value;
        check_span(name, len);
        check_span(value, len);
        check(name.len > 0 && data[name.at + name.len] == ':');
        for (uint32_t k = 0; k < name.len; k++)
            check(hs_http_is_token_char(data[name.at + k]));
        for (uint32_t k = 0; k < value.len; k++)
            check(hs_http_is_value_char(data[value.at + k]));
        hosts += name.len == 4 && strncasecmp((const char *) data + name.at, "host", 4) == 0;
        lengths += name.len == 14 && strncasecmp((const char *) data + name.at, "content-length", 14) == 0;
        codings += name.len == 17 && strncasecmp((const char *) data + name.at, "transfer-encoding", 17) == 0;
    }
    check(hosts == 1 || (hosts == 0 && head->minor == 0));
    check(lengths + codings <= 1 && head->has_length == (lengths == 1) && head->chunked == (codings == 1));
    check(head->length <= INT64_MAX && (head->has_length || head->length == 0));
}

struct outcome {
    int code;
    size_t used, len;
    uint32_t sum;
    bool done;
};

static struct outcome read_chunks(const uint8_t *data, size_t len, size_t step)
{
    struct hs_chunked chunked = { .trailer_max = 200 };
    struct outcome out = { 0 };
    while (out.code == 0 && out.used < len && !out.done) {
        size_t n = len - out.used < step ? len - out.used : step, used, piece;
        out.code = hs_chunked_feed(&chunked, data + out.used, n, &used, &piece, NULL);
        if (out.code < 0)
            break;
        check(used <= n && piece <= used && (used > 0 || hs_chunked_is_done(&chunked)));
        for (size_t i = 0; i < piece; i++)
            out.sum = out.sum * 31 + data[out.used + used - piece + i];
        out.used += used;
        out.len += piece;
        out.done = hs_chunked_is_done(&chunked);
    }
    if (out.code < 0)
        out.used = 0; /* the position of an error depends on the pieces */
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct hs_http_head head;
    struct hs_error err;
    if (len < 1)
        return 0;
    size_t step = data[0] % 32 + 1u;
    data++;
    len--;
    size_t end = find_end(data, len, len ? len : 1);
    check(end == find_end(data, len, step) && end <= len);
    if (end == 0)
        return 0;
    int r = hs_http_head_parse(data, end, &head, &err);
    if (r < 0) {
        check(err.code == r && err.message[0]);
        check_span(head.method, end);
        check_span(head.target, end);
        return 0;
    }
    check_head(&head, data, end);
    struct outcome whole = read_chunks(data + end, len - end, len + 1), cut = read_chunks(data + end, len - end, step);
    check(whole.code == cut.code && whole.used == cut.used && whole.len == cut.len && whole.sum == cut.sum &&
          whole.done == cut.done);
    return 0;
}
