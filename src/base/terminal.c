#include "base/terminal.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <uniwidth.h>

#include "base/str.h"

static unsigned code_point(const char *text, size_t len)
{
    const unsigned char *t = (const unsigned char *) text;
    if (len == 2)
        return (t[0] & 0x1fu) << 6 | (t[1] & 0x3fu);
    if (len == 3)
        return (t[0] & 0x0fu) << 12 | (t[1] & 0x3fu) << 6 | (t[2] & 0x3fu);
    return len == 1 ? t[0] : 0x10000;
}

/* C1 controls, line and paragraph separators, and the marks that change the direction of text. */
static bool is_hidden(unsigned c)
{
    return (c >= 0x80 && c < 0xa0) || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069);
}

void hs_terminal_text(char *dst, size_t size, const char *text)
{
    size_t left = strlen(text), used = 0;
    for (size_t n; left > 0; text += n, left -= n) {
        char piece[8];
        size_t valid = hs_utf8_sequence(text, left);
        unsigned c = code_point(text, valid);
        n = valid ? valid : 1;
        if (*text == '\n' || *text == '\t' || *text == '\r')
            hs_str_format(piece, sizeof(piece), "\\%c", *text == '\n' ? 'n' : *text == '\t' ? 't' : 'r');
        else if (valid == 0 || c < 0x20 || c == 0x7f)
            hs_str_format(piece, sizeof(piece), "\\x%02x", (unsigned) (unsigned char) *text);
        else if (is_hidden(c))
            hs_str_format(piece, sizeof(piece), "\\u%04x", c);
        else
            hs_str_format(piece, sizeof(piece), "%.*s", (int) n, text);
        size_t len = strlen(piece);
        if (used + len >= size)
            break;
        memcpy(dst + used, piece, len);
        used += len;
    }
    dst[used] = '\0';
}

char *hs_terminal_copy(const char *text)
{
    /* An escape has at most 6 characters for 2 bytes, or 4 for 1 byte. */
    size_t size = 4 * strlen(text) + 1;
    char *copy = malloc(size);
    if (copy)
        hs_terminal_text(copy, size, text);
    return copy;
}

int hs_terminal_width(const char *text, size_t len)
{
    return u8_width((const uint8_t *) text, len, "UTF-8");
}
