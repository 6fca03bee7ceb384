#include "http/head_parser.h"

#include <ctype.h>
#include <string.h>

#include "base/str.h"

/* A span of bytes that shrinks from the front. */
struct text {
    const uint8_t *p;
    size_t len;
};

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(uint8_t c)
{
    return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool hs_http_is_token_char(uint8_t c)
{
    return is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

bool hs_http_is_value_char(uint8_t c)
{
    return c == '\t' || (c >= ' ' && c != 0x7f);
}

static bool is_token(struct text text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!hs_http_is_token_char(text.p[i]))
            return false;
    }
    return text.len > 0;
}

static bool equals(struct text text, const char *word)
{
    return text.len == strlen(word) && memcmp(text.p, word, text.len) == 0;
}

static bool equals_nocase(struct text text, const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i < len && text.len == len; i++) {
        uint8_t c = text.p[i];
        if ((c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c) != (uint8_t) word[i])
            return false;
    }
    return text.len == len;
}

static struct text trim(struct text text)
{
    while (text.len > 0 && (text.p[0] == ' ' || text.p[0] == '\t'))
        text.p++, text.len--;
    while (text.len > 0 && (text.p[text.len - 1] == ' ' || text.p[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* Returns the next element of a comma-separated list, trimmed. Returns false at the end. */
static bool next_element(struct text *list, struct text *ret_element)
{
    if (!list->p)
        return false;
    const uint8_t *comma = list->len > 0 ? memchr(list->p, ',', list->len) : NULL;
    size_t len = comma ? (size_t) (comma - list->p) : list->len;
    *ret_element = trim((struct text) { list->p, len });
    *list = comma ? (struct text) { comma + 1, list->len - len - 1 } : (struct text) { NULL, 0 };
    return true;
}

size_t hs_http_head_find_end(const uint8_t *data, size_t len, struct hs_http_head_scan *scan)
{
    const uint8_t *feed;
    while (scan->at < len && (feed = memchr(data + scan->at, '\n', len - scan->at))) {
        size_t at = (size_t) (feed - data), width = at - scan->line;
        bool empty = width == 0 || (width == 1 && data[scan->line] == '\r');
        scan->line = scan->at = at + 1;
        if (empty)
            return at + 1;
    }
    scan->at = len;
    return 0;
}

/* ---- Lines ---- */

struct parser {
    const uint8_t *data;
    size_t at, len;
    struct hs_http_head *head;
    struct hs_error *err;
};

/* Reads the next line without its end, which must be CR LF. */
static int next_line(struct parser *p, struct text *ret_line)
{
    const uint8_t *line = p->data + p->at, *feed = memchr(line, '\n', p->len - p->at);
    size_t len = feed ? (size_t) (feed - line) : 0;
    if (!feed || len == 0 || line[len - 1] != '\r')
        return hs_error_set(p->err, HS_EINVAL, "A line of the request does not end with CR LF");
    *ret_line = (struct text) { line, len - 1 };
    p->at += len + 1;
    return 0;
}

static struct hs_http_span span_of(const struct parser *p, struct text text)
{
    return (struct hs_http_span) { (uint32_t) (text.p - p->data), (uint32_t) text.len };
}

/* ---- The authority (RFC 3986, 3.2): uri-host [ ":" port ], not empty, no user information ---- */

static bool is_reg_name_char(uint8_t c)
{
    return is_alnum(c) || (c != '\0' && strchr("-._~!$&'()*+,;=%", c));
}

static bool is_authority(struct text text)
{
    size_t at = 0;
    if (text.len > 0 && text.p[0] == '[') {
        const uint8_t *end = memchr(text.p, ']', text.len);
        size_t len = end ? (size_t) (end - text.p) : 0;
        for (at = 1; at < len; at++) {
            if (!isxdigit(text.p[at]) && text.p[at] != ':' && text.p[at] != '.')
                return false;
        }
        if (len < 3)
            return false;
        at = len + 1;
    } else {
        for (; at < text.len && text.p[at] != ':'; at++) {
            bool escape = text.p[at] == '%';
            if (!is_reg_name_char(text.p[at]) ||
                (escape && (at + 2 >= text.len || !isxdigit(text.p[at + 1]) || !isxdigit(text.p[at + 2]))))
                return false;
        }
        if (at == 0)
            return false;
    }
    if (at == text.len)
        return true;
    if (text.p[at++] != ':' || text.len - at > 5)
        return false;
    unsigned port = 0;
    for (; at < text.len; at++) {
        if (!is_digit(text.p[at]))
            return false;
        port = port * 10 + (unsigned) (text.p[at] - '0');
    }
    return port <= 65535;
}

/* ---- The request line (RFC 9112, 3) ---- */

/* Returns the length of "http://" or "https://" in any case; 0 for other schemes. */
static size_t scheme_length(struct text target)
{
    static const char *const schemes[] = { "http://", "https://" };
    for (size_t i = 0; i < 2; i++) {
        size_t len = strlen(schemes[i]);
        if (target.len >= len && equals_nocase((struct text) { target.p, len }, schemes[i]))
            return len;
    }
    return 0;
}

static int check_target(const struct parser *p, struct text method, struct text target)
{
    for (size_t i = 0; i < target.len; i++) {
        if (target.p[i] <= ' ' || target.p[i] == 0x7f || target.p[i] == '#')
            return hs_error_set(p->err, HS_EINVAL, "The request target contains an invalid character");
    }
    if (equals(method, "CONNECT"))
        return is_authority(target)
                   ? hs_error_set(p->err, HS_EUNIMPLEMENTED, "CONNECT is not supported: this server is not a proxy")
                   : hs_error_set(p->err, HS_EINVAL, "The target of CONNECT must be a host and a port");
    if (target.p[0] == '/')
        return 0;
    if (equals(target, "*")) {
        if (equals(method, "OPTIONS"))
            return 0;
        return hs_error_set(p->err, HS_EINVAL, "The request target * is for OPTIONS only");
    }
    size_t scheme = scheme_length(target), end = scheme;
    while (end < target.len && target.p[end] != '/' && target.p[end] != '?')
        end++;
    if (scheme == 0 || !is_authority((struct text) { target.p + scheme, end - scheme }))
        return hs_error_set(p->err, HS_EINVAL, "The request target must be a path or an http URL");
    return 0;
}

static int check_version(const struct parser *p, struct text text)
{
    if (text.len != 8 || memcmp(text.p, "HTTP/", 5) != 0 || !is_digit(text.p[5]) || text.p[6] != '.' ||
        !is_digit(text.p[7]))
        return hs_error_set(p->err, HS_EINVAL, "The request line does not end with a version of HTTP");
    if (text.p[5] != '1')
        return hs_error_set(p->err, HS_EHTTPVERSION, "HTTP/%c is not supported, only HTTP/1", text.p[5]);
    /* A higher minor version counts as the highest known one (RFC 9110, 2.5). */
    p->head->minor = text.p[7] == '0' ? 0 : 1;
    return 0;
}

static int read_request_line(struct parser *p)
{
    struct text line;
    int r = next_line(p, &line);
    if (r < 0)
        return r;
    const uint8_t *first = memchr(line.p, ' ', line.len), *end = line.p + line.len;
    const uint8_t *second = first ? memchr(first + 1, ' ', (size_t) (end - first) - 1) : NULL;
    struct text method = { line.p, first ? (size_t) (first - line.p) : line.len };
    if (!is_token(method))
        return hs_error_set(p->err, HS_EINVAL, "The request line does not begin with a method");
    p->head->method = span_of(p, method);
    if (!second)
        return hs_error_set(p->err, HS_EINVAL, "The request line must be method, target and version");
    struct text target = { first + 1, (size_t) (second - first) - 1 };
    p->head->target = span_of(p, target);
    if (target.len == 0)
        return hs_error_set(p->err, HS_EINVAL, "The request line has no target");
    r = check_version(p, (struct text) { second + 1, (size_t) (end - second) - 1 });
    if (r == 0 && method.len >= HS_HTTP_METHOD_SIZE)
        r = hs_error_set(p->err, HS_EUNIMPLEMENTED, "The method is not supported");
    return r < 0 ? r : check_target(p, method, target);
}

/* ---- Fields (RFC 9112, 5) ---- */

static int read_field(struct parser *p, struct text line)
{
    struct hs_http_head *head = p->head;
    const uint8_t *colon = memchr(line.p, ':', line.len);
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return hs_error_set(p->err, HS_EINVAL, "A header line begins with a space");
    struct text name = { line.p, colon ? (size_t) (colon - line.p) : 0 };
    if (!is_token(name))
        return hs_error_set(p->err, HS_EINVAL, "A header line is not a name, a colon and a value");
    struct text value = trim((struct text) { colon + 1, line.len - name.len - 1 });
    for (size_t i = 0; i < value.len; i++) {
        if (!hs_http_is_value_char(value.p[i]))
            return hs_error_set(p->err, HS_EINVAL, "The header %.*s contains a control character",
                                name.len < 64 ? (int) name.len : 64, (const char *) name.p);
    }
    if (head->field_count == HS_HTTP_HEADERS_MAX)
        return hs_error_set(p->err, HS_EHEADERS, "The request has more than %d headers", HS_HTTP_HEADERS_MAX);
    head->fields[head->field_count++] = (struct hs_http_field) { span_of(p, name), span_of(p, value) };
    return 0;
}

/* Finds the next field with this name, starting at index *at, and returns its value. */
static bool next_value(const struct parser *p, const char *name, size_t *at, struct text *ret_value)
{
    while (*at < p->head->field_count) {
        const struct hs_http_field *field = &p->head->fields[(*at)++];
        if (equals_nocase((struct text) { p->data + field->name.at, field->name.len }, name)) {
            *ret_value = (struct text) { p->data + field->value.at, field->value.len };
            return true;
        }
    }
    return false;
}

/* ---- Fields that control the connection ---- */

/* HTTP/1.1 requires exactly one Host field (RFC 9112, 3.2); in HTTP/1.0 it is optional. */
static int read_host(struct parser *p)
{
    struct text value, other;
    size_t at = 0;
    if (!next_value(p, "host", &at, &value))
        return p->head->minor == 0 ? 0 : hs_error_set(p->err, HS_EINVAL, "The request has no Host header");
    if (next_value(p, "host", &at, &other))
        return hs_error_set(p->err, HS_EINVAL, "The request has more than one Host header");
    return is_authority(value) ? 0 : hs_error_set(p->err, HS_EINVAL, "The Host header is not a host and a port");
}

static int read_length(struct parser *p)
{
    struct hs_http_head *head = p->head;
    struct text value, other;
    size_t at = 0;
    if (!next_value(p, "content-length", &at, &value))
        return 0;
    if (next_value(p, "content-length", &at, &other))
        return hs_error_set(p->err, HS_EINVAL, "The request has more than one Content-Length");
    head->has_length = true;
    bool fits = true;
    for (size_t i = 0; i < value.len; i++) {
        if (!is_digit(value.p[i]))
            return hs_error_set(p->err, HS_EINVAL, "The Content-Length is not a number");
        uint64_t digit = value.p[i] - '0';
        fits &= head->length <= (INT64_MAX - digit) / 10;
        head->length = fits ? head->length * 10 + digit : INT64_MAX;
    }
    if (value.len == 0)
        return hs_error_set(p->err, HS_EINVAL, "The Content-Length is not a number");
    return fits ? 0 : hs_error_set(p->err, HS_ETOOLARGE, "The Content-Length is too large");
}

static int read_codings(struct parser *p)
{
    struct hs_http_head *head = p->head;
    struct text value, coding;
    bool any = false, foreign = false;
    for (size_t at = 0; next_value(p, "transfer-encoding", &at, &value);) {
        any = true;
        while (next_element(&value, &coding)) {
            if (!is_token(coding))
                return hs_error_set(p->err, HS_EINVAL, "The Transfer-Encoding is malformed");
            /* Nothing may follow "chunked", because the end of the body would be unknown. */
            if (head->chunked)
                return hs_error_set(p->err, HS_EINVAL, "The Transfer-Encoding has a coding after chunked");
            head->chunked = equals_nocase(coding, "chunked");
            foreign |= !head->chunked;
        }
    }
    if (any && head->minor == 0)
        return hs_error_set(p->err, HS_EINVAL, "HTTP/1.0 does not support Transfer-Encoding");
    if (any && head->has_length)
        return hs_error_set(p->err, HS_EINVAL, "The request has both Transfer-Encoding and Content-Length");
    /* RFC 9112, 6.3: if "chunked" is not the last coding, the length is unknown. */
    if (any && !head->chunked)
        return hs_error_set(p->err, HS_EINVAL, "The Transfer-Encoding does not end with chunked");
    return foreign ? hs_error_set(p->err, HS_EUNIMPLEMENTED, "The only supported Transfer-Encoding is chunked") : 0;
}

static int read_expect(struct parser *p)
{
    struct text value, element;
    for (size_t at = 0; p->head->minor > 0 && next_value(p, "expect", &at, &value);) {
        while (next_element(&value, &element)) {
            if (!equals_nocase(element, "100-continue"))
                return hs_error_set(p->err, HS_EEXPECT, "The only supported expectation is 100-continue");
            p->head->expects_continue = true;
        }
    }
    return 0;
}

static void read_connection(struct parser *p)
{
    struct text value, option;
    bool close = false, keep = false;
    for (size_t at = 0; next_value(p, "connection", &at, &value);) {
        while (next_element(&value, &option)) {
            close |= equals_nocase(option, "close");
            keep |= equals_nocase(option, "keep-alive");
        }
    }
    p->head->keep_alive = !close && (keep || p->head->minor > 0);
}

int hs_http_head_parse(const uint8_t *data, size_t len, struct hs_http_head *ret_head, struct hs_error *err)
{
    struct parser p = { .data = data, .len = len, .head = ret_head, .err = err };
    struct text line;
    *ret_head = (struct hs_http_head) { .minor = 1 };
    int r = read_request_line(&p);
    while (r == 0 && (r = next_line(&p, &line)) == 0 && line.len > 0)
        r = read_field(&p, line);
    if (r == 0)
        r = read_length(&p);
    if (r == 0)
        r = read_codings(&p);
    if (r == 0)
        r = read_host(&p);
    if (r == 0)
        r = read_expect(&p);
    if (r == 0)
        read_connection(&p);
    return r;
}
