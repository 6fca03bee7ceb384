#include "http/quoted_printable.h"

#include "base/str.h"

enum {
    TEXT,
    EQUALS, /* '=' seen */
    DIGIT,  /* '=' and one digit seen */
    BLANKS, /* "=" and blanks, which a mail server may add before the line break */
    BREAK,  /* "=" and CR seen */
};

static int invalid(struct hs_error *err)
{
    return hs_error_set(err, HS_EINVAL,
                        "Invalid quoted-printable: '=' must be followed by two hexadecimal digits or a "
                        "line break");
}

int hs_quoted_printable_feed(struct hs_quoted_printable *decoder, const uint8_t *text, size_t len, uint8_t *out,
                             size_t *ret_len, struct hs_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = (char) text[i];
        int digit = hs_str_hex_digit(c);
        if (decoder->state == TEXT) {
            if (c == '=')
                decoder->state = EQUALS;
            else
                out[n++] = text[i];
        } else if (decoder->state == EQUALS && digit >= 0) {
            decoder->high = (char) digit;
            decoder->state = DIGIT;
        } else if (decoder->state == DIGIT && digit >= 0) {
            out[n++] = (uint8_t) (decoder->high << 4 | digit);
            decoder->state = TEXT;
        } else if (decoder->state != DIGIT && c == '\n') {
            decoder->state = TEXT;
        } else if ((decoder->state == EQUALS || decoder->state == BLANKS) && (c == ' ' || c == '\t' || c == '\r')) {
            decoder->state = c == '\r' ? BREAK : BLANKS;
        } else {
            return invalid(err);
        }
    }
    *ret_len = n;
    return 0;
}

int hs_quoted_printable_end(const struct hs_quoted_printable *decoder, struct hs_error *err)
{
    return decoder->state == TEXT ? 0 : invalid(err);
}
