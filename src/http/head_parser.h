/* The head of a request, its request line and fields, by the letter of RFC 9110 and RFC 9112. All functions are pure:
 * they read bytes, allocate nothing and do no I/O.
 *
 * Stricter than the RFCs require, because two readers of the same bytes must not disagree: a line ends with CR LF only
 * (a bare LF is an error), no spaces surround the parts of the request line, a length is given once, and the only
 * transfer coding is a single "chunked". Laxer in one point: bytes above 0x7F and the characters that RFC 3986 forbids,
 * but for '#', are accepted in a target's path and query, because clients such as curl send them as typed. */
#ifndef HS_HTTP_HEAD_PARSER_H
#define HS_HTTP_HEAD_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

enum { HS_HTTP_METHOD_SIZE = 24, HS_HTTP_HEADERS_MAX = 128 };

/* A piece of the bytes that were parsed. */
struct hs_http_span {
    uint32_t at, len;
};

struct hs_http_field {
    struct hs_http_span name, value; /* the value without the space around it */
};

struct hs_http_head {
    struct hs_http_span method, target; /* also after an error, as far as they were read */
    int minor;                          /* HTTP/1.minor: 0 or 1 */
    struct hs_http_field fields[HS_HTTP_HEADERS_MAX];
    size_t field_count;

    bool has_length, chunked; /* at most one of them */
    uint64_t length;          /* 0 without Content-Length */
    bool keep_alive;          /* the client lets the connection stay open */
    bool expects_continue;
};

/* How far hs_http_head_find_end has looked; starts as zeros. */
struct hs_http_head_scan {
    size_t line, at;
};

/* The length of the head with its empty line, or 0 if `data` does not hold all of it yet. It may grow between calls. */
size_t hs_http_head_find_end(const uint8_t *data, size_t len, struct hs_http_head_scan *scan);

/* Parses a whole head, of hs_http_head_find_end. HS_EINVAL; HS_EHEADERS: too many fields; HS_EUNIMPLEMENTED: method or
 * transfer coding; HS_EHTTPVERSION; HS_EEXPECT; HS_ETOOLARGE: a length that does not fit into 63 bits. */
int hs_http_head_parse(const uint8_t *data, size_t len, struct hs_http_head *ret_head, struct hs_error *err);

/* RFC 9110: a character of a token (5.6.2), and of a field value with its tabs and spaces (5.5). */
bool hs_http_is_token_char(uint8_t c);
bool hs_http_is_value_char(uint8_t c);

#endif
