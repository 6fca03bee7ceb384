/* The rules for skipped characters, and for the '=' that ends the text, are those of CPython's
 * binascii.a2b_base64 in lenient mode, because clients of this API depend on them. */
#include "http/base64.h"
#include "base/mem.h"

enum { START, URI, DATA, PADDED };
enum { SKIP = 64, PAD = 65, NON_ASCII = 66 };

/* Class of each byte: 0..63 is the value, otherwise one of the constants above. */
static const uint8_t meaning[256] = {
#define S SKIP
#define F NON_ASCII
#define S4 S, S, S, S
#define S16 S4, S4, S4, S4
#define F16 F, F, F, F, F, F, F, F, F, F, F, F, F, F, F, F
    /* 0x00 */ S16, S16,
    /* 0x20 */ S4,  S4,  S,   S,   S,   62,  S,   62, S,  63,
    /* 0x30 */ 52,  53,  54,  55,  56,  57,  58,  59, 60, 61, S,  S,  S,  PAD, S,  S,
    /* 0x40 */ S,   0,   1,   2,   3,   4,   5,   6,  7,  8,  9,  10, 11, 12,  13, 14,
    /* 0x50 */ 15,  16,  17,  18,  19,  20,  21,  22, 23, 24, 25, S,  S,  S,   S,  63,
    /* 0x60 */ S,   26,  27,  28,  29,  30,  31,  32, 33, 34, 35, 36, 37, 38,  39, 40,
    /* 0x70 */ 41,  42,  43,  44,  45,  46,  47,  48, 49, 50, 51, S,  S,  S,   S,  S,
    /* 0x80 */ F16, F16, F16, F16, F16, F16, F16, F16
};

static const char uri_start[] = "data:";

void hs_base64_init(struct hs_base64 *decoder)
{
    *decoder = (struct hs_base64) { .state = START };
}

static void put(struct hs_base64 *decoder, unsigned value, uint8_t **out)
{
    decoder->pads = 0;
    decoder->bits = decoder->bits << 6 | value;
    if (++decoder->have < 4)
        return;
    *(*out)++ = (uint8_t) (decoder->bits >> 16);
    *(*out)++ = (uint8_t) (decoder->bits >> 8);
    *(*out)++ = (uint8_t) decoder->bits;
    decoder->bits = 0;
    decoder->have = 0;
}

/* If the padding of a group of two or three characters is complete, writes its bytes and ends the
 * text. */
static void pad(struct hs_base64 *decoder, uint8_t **out)
{
    if (decoder->have < 2 || decoder->have + ++decoder->pads < 4)
        return;
    uint32_t bits = decoder->bits << (decoder->have == 2 ? 12 : 6);
    *(*out)++ = (uint8_t) (bits >> 16);
    if (decoder->have == 3)
        *(*out)++ = (uint8_t) (bits >> 8);
    decoder->have = 0;
    decoder->state = PADDED;
}

static void decode(struct hs_base64 *decoder, const uint8_t *text, size_t len, uint8_t **out)
{
    size_t i = 0;
    while (i < len && decoder->state == DATA) {
        if (decoder->have == 0 && len - i >= 4) {
            unsigned a = meaning[text[i]], b = meaning[text[i + 1]], c = meaning[text[i + 2]], d = meaning[text[i + 3]];
            if ((a | b | c | d) < 64) {
                uint32_t bits = a << 18 | b << 12 | c << 6 | d;
                (*out)[0] = (uint8_t) (bits >> 16);
                (*out)[1] = (uint8_t) (bits >> 8);
                (*out)[2] = (uint8_t) bits;
                *out += 3;
                i += 4;
                decoder->pads = 0;
                continue;
            }
        }
        unsigned value = meaning[text[i++]];
        if (value < 64)
            put(decoder, value, out);
        else if (value == PAD)
            pad(decoder, out);
        else if (value == NON_ASCII)
            decoder->non_ascii = true;
    }
}

/* Matches the next character of a possible "data:" prefix. Returns false on a mismatch; the
 * characters matched so far are then data. */
static bool match_start(struct hs_base64 *decoder, char c)
{
    bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
    if (blank && decoder->prefix == 0)
        return true;
    char lower = c >= 'A' && c <= 'Z' ? (char) (c | 0x20) : c;
    if (lower != uri_start[decoder->prefix])
        return false;
    decoder->start[decoder->prefix] = c;
    if (++decoder->prefix == sizeof(uri_start) - 1)
        decoder->state = URI;
    return true;
}

static void decode_start(struct hs_base64 *decoder, uint8_t **out)
{
    decoder->state = DATA;
    decode(decoder, (const uint8_t *) decoder->start, decoder->prefix, out);
}

size_t hs_base64_feed(struct hs_base64 *decoder, const char *text, size_t len, uint8_t *out)
{
    uint8_t *at = out;
    size_t i = 0;
    while (i < len && decoder->state == START) {
        if (match_start(decoder, text[i]))
            i++;
        else
            decode_start(decoder, &at);
    }
    while (i < len && decoder->state == URI) {
        if (text[i++] == ',')
            decoder->state = DATA;
    }
    decode(decoder, (const uint8_t *) text + i, len - i, &at);
    return (size_t) (at - out);
}

int hs_base64_end(struct hs_base64 *decoder, uint8_t *out, size_t *ret_len, struct hs_error *err)
{
    uint8_t *at = out;
    if (decoder->state == START)
        decode_start(decoder, &at);
    if (decoder->non_ascii)
        return hs_error_set(err, HS_EINVAL, "Invalid base64: only ASCII characters are allowed");
    if (decoder->state == URI)
        return hs_error_set(err, HS_EINVAL, "Invalid base64: a data URI needs a comma before its data");
    if (decoder->have == 1)
        return hs_error_set(err, HS_EINVAL, "Invalid base64: a group of one character is left at the end");
    if (decoder->have != 0 && decoder->pads != 0)
        return hs_error_set(err, HS_EINVAL, "Invalid base64: incorrect padding");
    for (unsigned missing = 4 - decoder->have; decoder->have > 0 && missing > 0; missing--)
        pad(decoder, &at);
    *ret_len = (size_t) (at - out);
    return 0;
}
