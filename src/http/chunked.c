#include "http/chunked.h"

#include "base/str.h"
#include "http/head_parser.h"

enum state {
    SIZE_FIRST, /* a digit must follow */
    SIZE,
    SPACE,     /* after the size; only an extension may follow */
    EXTENSION, /* up to the end of the line */
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_FIRST, /* a field name, or the empty line that ends the body */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    DONE,
};

static int malformed(struct hs_error *err)
{
    return hs_error_set(err, HS_EINVAL, "The chunked body is malformed");
}

/* Parses one byte of a chunk size line. Returns the next state, or a negative status. */
static int step_size(struct hs_chunked *c, uint8_t byte, struct hs_error *err)
{
    int digit = hs_str_hex_digit((char) byte);
    if (++c->line > HS_CHUNK_LINE_MAX)
        return hs_error_set(err, HS_EINVAL, "A chunk's size line is longer than %d bytes", HS_CHUNK_LINE_MAX);
    if (c->state == SIZE_FIRST || c->state == SIZE) {
        if (digit >= 0 && c->left > INT64_MAX >> 4)
            return hs_error_set(err, HS_EINVAL, "A chunk's size is too large");
        if (digit >= 0) {
            c->left = c->left << 4 | (uint64_t) digit;
            return SIZE;
        }
        if (c->state == SIZE_FIRST)
            return malformed(err);
    }
    if (c->state == SIZE_LF)
        return byte != '\n' ? malformed(err) : c->left > 0 ? DATA : TRAILER_FIRST;
    if (byte == '\r' && c->state != SPACE)
        return SIZE_LF;
    if (++c->extensions > HS_CHUNK_EXTENSIONS_MAX)
        return hs_error_set(err, HS_EINVAL, "The chunk extensions are longer than %d bytes", HS_CHUNK_EXTENSIONS_MAX);
    if (c->state == EXTENSION)
        return hs_http_is_value_char(byte) ? EXTENSION : malformed(err);
    return byte == ';' ? EXTENSION : byte == ' ' || byte == '\t' ? SPACE : malformed(err);
}

static int step_trailer(struct hs_chunked *c, uint8_t byte, struct hs_error *err)
{
    if (++c->trailer > c->trailer_max)
        return hs_error_set(err, HS_EHEADERS, "The trailer fields are larger than %zu bytes", c->trailer_max);
    switch (c->state) {
    case TRAILER_FIRST:
        return byte == '\r' ? END_LF : hs_http_is_token_char(byte) ? TRAILER_NAME : malformed(err);
    case TRAILER_NAME:
        return byte == ':' ? TRAILER_VALUE : hs_http_is_token_char(byte) ? TRAILER_NAME : malformed(err);
    case TRAILER_VALUE:
        return byte == '\r' ? TRAILER_LF : hs_http_is_value_char(byte) ? TRAILER_VALUE : malformed(err);
    case TRAILER_LF:
        return byte == '\n' ? TRAILER_FIRST : malformed(err);
    default:
        return byte == '\n' ? DONE : malformed(err);
    }
}

int hs_chunked_feed(struct hs_chunked *c, const uint8_t *data, size_t len, size_t *ret_used, size_t *ret_len,
                    struct hs_error *err)
{
    size_t at = 0;
    *ret_len = 0;
    while (at < len && *ret_len == 0 && c->state != DONE) {
        int next;
        if (c->state == DATA) {
            *ret_len = c->left < len - at ? (size_t) c->left : len - at;
            at += *ret_len;
            c->left -= *ret_len;
            next = c->left > 0 ? DATA : DATA_CR;
        } else if (c->state == DATA_CR) {
            next = data[at++] == '\r' ? DATA_LF : malformed(err);
        } else if (c->state == DATA_LF) {
            next = data[at++] == '\n' ? SIZE_FIRST : malformed(err);
            c->line = 0;
        } else {
            next = c->state < DATA ? step_size(c, data[at++], err) : step_trailer(c, data[at++], err);
        }
        if (next < 0)
            return next;
        c->state = next;
    }
    *ret_used = at;
    return 0;
}

bool hs_chunked_is_done(const struct hs_chunked *c)
{
    return c->state == DONE;
}
