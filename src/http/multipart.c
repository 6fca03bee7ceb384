/* The delimiter between parts is CR LF "--" boundary. CR occurs only at its start. So after a
 * mismatch, the bytes matched so far are data, and the search restarts at the byte that did not
 * match; a search table is not needed. The first boundary may lack its CR LF; the parser starts as
 * if it had seen those two bytes. */
#include "http/multipart.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"

enum {
    PREAMBLE, /* before the first delimiter */
    BOUNDARY, /* right after a delimiter: "--", padding or CR LF */
    DASH,     /* one '-' seen after the delimiter */
    PADDING,  /* blanks after the delimiter */
    NEWLINE,  /* CR seen after the delimiter */
    HEADER,
    BODY,
    EPILOGUE,
};

/* Encodings of a part's content. */
enum { PLAIN, BASE64, QUOTED_PRINTABLE };

/* ---- Parameters of header values: `; name="value"` ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool same_nocase(const char *text, size_t len, const char *word)
{
    return len == strlen(word) && strncasecmp(text, word, len) == 0;
}

static const char *skip_blanks(const char *p, const char *end)
{
    while (p < end && is_blank(*p))
        p++;
    return p;
}

/* Reads a quoted or bare value at *at and moves *at past it. A backslash escapes only '"' and '\',
 * because old browsers send file names such as C:\x.jpg unescaped. Returns false if the value does
 * not fit into dst or its quote is not closed. */
static bool read_value(const char **at, const char *end, char *dst, size_t size)
{
    const char *p = *at;
    size_t len = 0;
    bool quoted = p < end && *p == '"', fits = true;
    if (quoted)
        p++;
    for (; p < end && (quoted ? *p != '"' : *p != ';' && !is_blank(*p)); p++) {
        if (quoted && *p == '\\' && p + 1 < end && (p[1] == '"' || p[1] == '\\'))
            p++;
        fits = len + 1 < size;
        if (fits)
            dst[len++] = *p;
    }
    dst[len] = '\0';
    if (quoted && p == end)
        return false;
    *at = quoted ? p + 1 : p;
    return fits;
}

/* Finds the parameter `name` of a header value. */
static bool find_parameter(const char *value, size_t value_len, const char *name, char *dst, size_t size)
{
    const char *end = value + value_len, *p = memchr(value, ';', value_len);
    char other[256];
    while (p && p < end) {
        while (p < end && (*p == ';' || is_blank(*p)))
            p++;
        const char *start = p;
        while (p < end && *p != '=' && *p != ';' && !is_blank(*p))
            p++;
        size_t len = (size_t) (p - start);
        p = skip_blanks(p, end);
        if (p == end || *p != '=')
            continue;
        p = skip_blanks(p + 1, end);
        if (same_nocase(start, len, name))
            return read_value(&p, end, dst, size);
        if (!read_value(&p, end, other, sizeof(other)) && p < end && *p == '"')
            return false;
    }
    return false;
}

/* ---- Set-up ---- */

int hs_multipart_init(struct hs_multipart *parser, const char *content_type, size_t parts_max, size_t header_max,
                      const struct hs_multipart_events *events, void *ctx, struct hs_error *err)
{
    char boundary[HS_MULTIPART_BOUNDARY_MAX + 1];
    bool valid = find_parameter(content_type, strlen(content_type), "boundary", boundary, sizeof(boundary)) &&
                 boundary[0] && boundary[strlen(boundary) - 1] != ' ';
    /* RFC 2046 §5.1.1 allows fewer characters; this only requires one line of printable characters. */
    for (const char *c = boundary; valid && *c; c++)
        valid = *c >= 0x20 && *c <= 0x7e;
    if (!valid)
        return hs_error_set(err, HS_EINVAL, "Invalid multipart: the Content-Type has no valid boundary");
    *parser = (struct hs_multipart) {
        .events = events, .ctx = ctx, .parts_max = parts_max, .state = PREAMBLE, .matched = 2, .implied = 2
    };
    hs_str_format(parser->delimiter, sizeof(parser->delimiter), "\r\n--%s", boundary);
    parser->delimiter_len = strlen(parser->delimiter);
    hs_buf_init(&parser->header, header_max);
    return 0;
}

void hs_multipart_finish(struct hs_multipart *parser)
{
    hs_buf_finish(&parser->header);
}

/* ---- Part headers ---- */

/* RFC 7578 §4.7 deprecates these encodings, but mail libraries still use them. */
static int read_encoding(const char *value, size_t len, int *ret_encoding, struct hs_error *err)
{
    static const struct {
        const char *name;
        int encoding;
    } encodings[] = { { "binary", PLAIN },
                      { "8bit", PLAIN },
                      { "7bit", PLAIN },
                      { "base64", BASE64 },
                      { "quoted-printable", QUOTED_PRINTABLE } };
    char text[48];
    for (size_t i = 0; i < HS_ARRAY_LEN(encodings); i++) {
        if (same_nocase(value, len, encodings[i].name)) {
            *ret_encoding = encodings[i].encoding;
            return 0;
        }
    }
    hs_str_quote(text, sizeof(text), value, len);
    return hs_error_set(err, HS_EINVAL, "Invalid multipart: the Content-Transfer-Encoding %s is not supported", text);
}

static int read_header(const char *line, size_t len, struct hs_multipart_part *part, int *ret_encoding,
                       struct hs_error *err)
{
    const char *colon = memchr(line, ':', len), *end = line + len;
    if (!colon)
        return hs_error_set(err, HS_EINVAL, "Invalid multipart: a part header has no colon");
    size_t key_len = (size_t) (colon - line);
    const char *value = skip_blanks(colon + 1, end);
    while (end > value && is_blank(end[-1]))
        end--;
    size_t value_len = (size_t) (end - value);
    if (same_nocase(line, key_len, "content-disposition")) {
        /* Browsers and aiohttp percent-encode quotes, line breaks and non-ASCII characters in names (RFC 7578 §2). */
        if (find_parameter(value, value_len, "name", part->name, sizeof(part->name)))
            hs_str_percent_decode(part->name, false);
        else
            part->name[0] = '\0';
    } else if (same_nocase(line, key_len, "content-type")) {
        find_parameter(value, value_len, "charset", part->charset, sizeof(part->charset));
    } else if (same_nocase(line, key_len, "content-transfer-encoding")) {
        return read_encoding(value, value_len, ret_encoding, err);
    }
    return 0;
}

/* parser->header holds every header line with its CR LF. */
static int begin_part(struct hs_multipart *parser, struct hs_error *err)
{
    struct hs_multipart_part part = { .name = "" };
    char *text = (char *) parser->header.data, *end = text + parser->header.len;
    parser->encoding = PLAIN;
    hs_base64_init(&parser->base64);
    parser->quoted_printable = (struct hs_quoted_printable) { 0 };
    /* A line that starts with a blank continues the one before (RFC 5322 §2.2.3). */
    for (char *p = text; p + 2 < end; p++) {
        if (p[0] == '\r' && p[1] == '\n' && is_blank(p[2]))
            p[0] = p[1] = ' ';
    }
    for (char *p = text; p < end;) {
        char *line_end = memmem(p, (size_t) (end - p), "\r\n", 2);
        int r = read_header(p, (size_t) (line_end - p), &part, &parser->encoding, err);
        if (r < 0)
            return r;
        p = line_end + 2;
    }
    hs_buf_finish(&parser->header);
    return parser->events->begin(parser->ctx, &part, err);
}

/* Reads one line, or a part of it; *ret_used is its length. An empty line ends the headers. */
static int feed_header(struct hs_multipart *parser, const uint8_t *data, size_t len, size_t *ret_used,
                       struct hs_error *err)
{
    const uint8_t *newline = memchr(data, '\n', len);
    size_t used = newline ? (size_t) (newline - data) + 1 : len;
    struct hs_buf *header = &parser->header;
    int r = hs_buf_append(header, data, used);
    if (r == HS_ETOOLARGE)
        return hs_error_set(err, HS_EHEADERS, "Invalid multipart: the headers of a part are longer than %zu bytes",
                            header->max);
    if (r < 0)
        return hs_error_set(err, r, "no memory for a part's headers");
    *ret_used = used;
    if (!newline)
        return 0;
    if (header->len < 2 || header->data[header->len - 2] != '\r')
        return hs_error_set(err, HS_EINVAL, "Invalid multipart: a part header does not end with CR LF");
    bool empty = header->len == 2 || (header->len >= 4 && memcmp(header->data + header->len - 4, "\r\n\r\n", 4) == 0);
    if (!empty)
        return 0;
    header->len -= 2;
    parser->state = BODY;
    /* In a part without content, the delimiter may follow here, and the empty line is its CR LF. */
    parser->matched = parser->implied = 2;
    return begin_part(parser, err);
}

/* ---- Content ---- */

/* Decodes bytes into out, which must hold HS_BASE64_ROOM(len) bytes. */
static int decode(struct hs_multipart *parser, const uint8_t *data, size_t len, uint8_t *out, size_t *ret_len,
                  struct hs_error *err)
{
    if (parser->encoding == QUOTED_PRINTABLE)
        return hs_quoted_printable_feed(&parser->quoted_printable, data, len, out, ret_len, err);
    *ret_len = hs_base64_feed(&parser->base64, (const char *) data, len, out);
    return 0;
}

static int emit(struct hs_multipart *parser, const void *data, size_t len, struct hs_error *err)
{
    const uint8_t *at = data;
    if (parser->state != BODY || len == 0)
        return 0;
    if (parser->encoding == PLAIN)
        return parser->events->data(parser->ctx, at, len, err);
    while (len > 0) {
        uint8_t out[4096 + HS_BASE64_ROOM(0)];
        size_t n = len < 4096 ? len : 4096, got = 0;
        int r = decode(parser, at, n, out, &got, err);
        if (r == 0 && got > 0)
            r = parser->events->data(parser->ctx, out, got, err);
        if (r < 0)
            return r;
        at += n;
        len -= n;
    }
    return 0;
}

static int end_part(struct hs_multipart *parser, struct hs_error *err)
{
    uint8_t rest[HS_BASE64_END_ROOM];
    size_t len = 0;
    int r = 0;
    if (parser->encoding == BASE64)
        r = hs_base64_end(&parser->base64, rest, &len, err);
    else if (parser->encoding == QUOTED_PRINTABLE)
        r = hs_quoted_printable_end(&parser->quoted_printable, err);
    if (r == 0 && len > 0)
        r = parser->events->data(parser->ctx, rest, len, err);
    return r < 0 ? r : parser->events->end(parser->ctx, err);
}

static int delimiter_found(struct hs_multipart *parser, struct hs_error *err)
{
    int r = parser->state == BODY ? end_part(parser, err) : 0;
    parser->state = BOUNDARY;
    parser->matched = parser->implied = 0;
    return r;
}

/* Continues a delimiter after parser->matched bytes that earlier pieces held. */
static int resume_match(struct hs_multipart *parser, const uint8_t *data, size_t len, size_t *ret_used,
                        struct hs_error *err)
{
    size_t left = parser->delimiter_len - parser->matched, n = 0;
    while (n < left && n < len && data[n] == (uint8_t) parser->delimiter[parser->matched + n])
        n++;
    *ret_used = n;
    if (n == left)
        return delimiter_found(parser, err);
    if (n == len) {
        parser->matched += n;
        return 0;
    }
    size_t seen = parser->matched + n - parser->implied;
    const char *start = parser->delimiter + parser->implied;
    parser->matched = parser->implied = 0;
    return emit(parser, start, seen, err);
}

/* Reads content up to the next delimiter, or to a partial delimiter at the end of the data, or to
 * the end. */
static int feed_content(struct hs_multipart *parser, const uint8_t *data, size_t len, size_t *ret_used,
                        struct hs_error *err)
{
    const uint8_t *end = data + len, *p = data;
    while ((p = memchr(p, '\r', (size_t) (end - p)))) {
        size_t left = (size_t) (end - p), n = left < parser->delimiter_len ? left : parser->delimiter_len;
        if (memcmp(p, parser->delimiter, n) == 0)
            break;
        p++;
    }
    if (!p)
        p = end;
    size_t before = (size_t) (p - data), rest = (size_t) (end - p);
    int r = emit(parser, data, before, err);
    if (r < 0)
        return r;
    if (rest < parser->delimiter_len) {
        parser->matched = rest;
        *ret_used = len;
        return 0;
    }
    *ret_used = before + parser->delimiter_len;
    return delimiter_found(parser, err);
}

/* A delimiter is followed by "--" (the end), or by blanks and CR LF. */
static int feed_boundary_tail(struct hs_multipart *parser, char c, struct hs_error *err)
{
    switch (parser->state) {
    case BOUNDARY:
        parser->state = c == '-' ? DASH : c == '\r' ? NEWLINE : is_blank(c) ? PADDING : -1;
        break;
    case DASH:
        parser->state = c == '-' ? EPILOGUE : -1;
        break;
    case PADDING:
        parser->state = c == '\r' ? NEWLINE : is_blank(c) ? PADDING : -1;
        break;
    default:
        parser->state = c == '\n' ? HEADER : -1;
        break;
    }
    if (parser->state == -1)
        return hs_error_set(err, HS_EINVAL, "Invalid multipart: a boundary line has extra text");
    if (parser->state == HEADER && ++parser->parts > parser->parts_max)
        return hs_error_set(err, HS_ETOOLARGE, "Invalid multipart: more than %zu parts", parser->parts_max);
    return 0;
}

int hs_multipart_feed(struct hs_multipart *parser, const uint8_t *data, size_t len, struct hs_error *err)
{
    int r = 0;
    while (len > 0 && r == 0 && parser->state != EPILOGUE) {
        size_t used = 1;
        if (parser->state == HEADER)
            r = feed_header(parser, data, len, &used, err);
        else if (parser->state != PREAMBLE && parser->state != BODY)
            r = feed_boundary_tail(parser, (char) *data, err);
        else if (parser->matched > 0)
            r = resume_match(parser, data, len, &used, err);
        else
            r = feed_content(parser, data, len, &used, err);
        data += used;
        len -= used;
    }
    return r;
}

int hs_multipart_end(struct hs_multipart *parser, struct hs_error *err)
{
    if (parser->state == EPILOGUE)
        return 0;
    if (parser->state == PREAMBLE)
        return hs_error_set(err, HS_EINVAL, "Invalid multipart: the body does not contain the boundary");
    return hs_error_set(err, HS_EINVAL, "Invalid multipart: the body ends before the closing boundary");
}
