/* Parser for a request head: the request line and the header fields, as RFC 9110 and RFC 9112
 * define them. All functions are pure: they read bytes, allocate nothing and do no I/O.
 *
 * Stricter than the RFCs require, because two parsers of the same bytes must not disagree: a line
 * ends with CR LF only (a bare LF is an error), no extra spaces surround the parts of the request
 * line, a length appears only once, and the only transfer coding is a single "chunked". More
 * lenient in one point: a target's path and query may hold bytes above 0x7F and the characters that
 * RFC 3986 forbids, except '#', because clients such as curl send them as typed. */
#ifndef HS_HTTP_HEAD_PARSER_H
#define HS_HTTP_HEAD_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

enum { HS_HTTP_METHOD_SIZE = 24, HS_HTTP_HEADERS_MAX = 128 };

/* A part of the parsed bytes. */
struct hs_http_span {
    uint32_t at, len;
};

struct hs_http_field {
    struct hs_http_span name, value; /* value without surrounding whitespace */
};

struct hs_http_head {
    struct hs_http_span method, target; /* set even after an error, as far as parsed */
    int minor;                          /* HTTP/1.minor: 0 or 1 */
    struct hs_http_field fields[HS_HTTP_HEADERS_MAX];
    size_t field_count;

    bool has_length, chunked; /* never both */
    uint64_t length;          /* 0 without Content-Length */
    bool keep_alive;          /* the client allows the connection to stay open */
    bool expects_continue;
};

/* Progress of hs_http_head_find_end. Initial state: all zeros. */
struct hs_http_head_scan {
    size_t line, at;
};

/* Returns the length of the head including its empty line, or 0 if `data` does not hold all of it
 * yet. `data` may grow between calls. */
size_t hs_http_head_find_end(const uint8_t *data, size_t len, struct hs_http_head_scan *scan);

/* Parses a complete head, whose length hs_http_head_find_end returned. HS_EINVAL: malformed;
 * HS_EHEADERS: too many fields; HS_EUNIMPLEMENTED: unsupported method or transfer coding;
 * HS_EHTTPVERSION; HS_EEXPECT; HS_ETOOLARGE: a length that does not fit into 63 bits. */
int hs_http_head_parse(const uint8_t *data, size_t len, struct hs_http_head *ret_head, struct hs_error *err);

/* Return true for a token character (RFC 9110, 5.6.2), and for a field value character including
 * tab and space (RFC 9110, 5.5). */
bool hs_http_is_token_char(uint8_t c);
bool hs_http_is_value_char(uint8_t c);

#endif
