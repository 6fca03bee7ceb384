/* The first byte sets the piece size. The text must decode alike in one piece, in several pieces, and without
 * its padding. */
#include <stdlib.h>
#include <string.h>

#include "http/base64.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int decode(const char *text, size_t len, size_t step, uint8_t *out, size_t *ret_len)
{
    struct hs_base64 decoder;
    size_t at = 0;
    hs_base64_init(&decoder);
    for (size_t i = 0; i < len; i += step) {
        size_t n = len - i < step ? len - i : step;
        uint8_t *room = malloc(HS_BASE64_ROOM(n));
        if (!room)
            abort();
        size_t got = hs_base64_feed(&decoder, text + i, n, room);
        if (got > HS_BASE64_ROOM(n))
            abort();
        memcpy(out + at, room, got);
        at += got;
        free(room);
    }
    size_t rest = 0;
    int r = hs_base64_end(&decoder, out + at, &rest, NULL);
    if (rest > HS_BASE64_END_ROOM)
        abort();
    *ret_len = at + rest;
    return r;
}

/* A text that decodes and has padding only at its end decodes to the same bytes without it. */
static void check_unpadded(const char *text, size_t len, const uint8_t *whole, size_t whole_len)
{
    size_t bare = len, got;
    while (bare > 0 && text[bare - 1] == '=')
        bare--;
    if (bare == len || memchr(text, '=', bare))
        return;
    uint8_t *out = malloc(HS_BASE64_ROOM(len) + HS_BASE64_END_ROOM);
    if (out && (decode(text, bare, len, out, &got) < 0 || got != whole_len || memcmp(out, whole, got) != 0))
        abort();
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1)
        return 0;
    size_t step = (size_t) data[0] + 1, whole_len, cut_len;
    const char *text = (const char *) data + 1;
    uint8_t *whole = malloc(HS_BASE64_ROOM(len) + HS_BASE64_END_ROOM);
    uint8_t *cut = malloc(HS_BASE64_ROOM(len) + HS_BASE64_END_ROOM);
    if (whole && cut) {
        int a = decode(text, len - 1, len, whole, &whole_len);
        int b = decode(text, len - 1, step, cut, &cut_len);
        if (a != b || whole_len != cut_len || memcmp(whole, cut, cut_len) != 0)
            abort();
        if (a == 0)
            check_unpadded(text, len - 1, whole, whole_len);
    }
    free(whole);
    free(cut);
    return 0;
}
