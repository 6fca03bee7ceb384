#include "image/orientation.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "base/mem.h"
#include "hs/status.h"
#include "image/codec.h"

/* EXIF has at most 64 KiB, twice that in hexadecimal. XMP may be longer, but its orientation is near
 * its beginning. */
enum { TEXT_MAX = 256 << 10, PROFILE_MAX = 64 << 10 };

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static const char *skip_spaces(const char *p, const char *end)
{
    while (p < end && is_space(*p))
        p++;
    return p;
}

/* XMP 1, 7.4 and 7.9.2: <tiff:Orientation>6</tiff:Orientation>, or tiff:Orientation="6" in an element.
 * `before` is the character before the name, p points to the text after it. */
static int value_after(char before, const char *p, const char *end)
{
    char closing = '<';
    p = skip_spaces(p, end);
    if (is_space(before) && p < end && *p == '=') {
        p = skip_spaces(p + 1, end);
        if (p == end || (*p != '"' && *p != '\''))
            return 0;
        closing = *p;
    } else if (before != '<' || p == end || *p != '>') {
        return 0;
    }
    p = skip_spaces(p + 1, end);
    if (p == end || *p < '1' || *p > '8')
        return 0;
    int value = *p - '0';
    p = skip_spaces(p + 1, end);
    return p < end && *p == closing ? value : 0;
}

int hs_xmp_orientation(const char *text, size_t len)
{
    static const char name[] = "tiff:Orientation";
    const char *end = text + len;
    for (const char *p = text; (p = memmem(p, (size_t) (end - p), name, sizeof(name) - 1)); p += sizeof(name) - 1) {
        int value = p > text ? value_after(p[-1], p + sizeof(name) - 1, end) : 0;
        if (value > 0)
            return value;
    }
    return 0;
}

/* ---- raw profiles ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Decodes at most `max` bytes up to `end` and returns their number, or 0 if the text has characters
 * other than hexadecimal digits and white space. */
static size_t read_hex(const char *p, const char *end, uint8_t *dst, size_t max)
{
    size_t n = 0;
    int high = -1;
    for (; p < end && n < max; p++) {
        int digit = hex_digit(*p);
        if (digit < 0 && !is_space(*p))
            return 0;
        if (digit >= 0 && high >= 0)
            dst[n++] = (uint8_t) (high << 4 | digit);
        if (digit >= 0)
            high = high >= 0 ? -1 : digit;
    }
    return n;
}

static int profile_value(const uint8_t *bytes, size_t len)
{
    static const char xmp[] = "http://ns.adobe.com/xap/1.0/";
    if (len > sizeof(xmp) && memcmp(bytes, xmp, sizeof(xmp)) == 0)
        return hs_xmp_orientation((const char *) bytes + sizeof(xmp), len - sizeof(xmp));
    return hs_exif_find_orientation(bytes, len);
}

int hs_raw_profile_orientation(const char *text, size_t len)
{
    const char *p = text, *end = text + len;
    for (int line = 0; line < 3; line++) {
        p = memchr(p, '\n', (size_t) (end - p));
        if (!p)
            return 0;
        p++;
    }
    uint8_t *bytes = malloc(PROFILE_MAX);
    if (!bytes)
        return HS_ENOMEM;
    int value = profile_value(bytes, read_hex(p, end, bytes, PROFILE_MAX));
    free(bytes);
    return value;
}

/* ---- text chunks ---- */

/* Unpacks at most TEXT_MAX bytes; keeps those before an error. Caller frees with free(). Returns NULL
 * if memory runs out. */
static char *unpack(const uint8_t *data, size_t len, size_t *ret_len)
{
    z_stream stream = { .next_in = (uint8_t *) (uintptr_t) data, .avail_in = (uInt) len };
    char *text = malloc(TEXT_MAX);
    if (!text || inflateInit(&stream) != Z_OK) {
        free(text);
        return NULL;
    }
    stream.next_out = (Bytef *) text;
    stream.avail_out = TEXT_MAX;
    (void) inflate(&stream, Z_FINISH);
    *ret_len = TEXT_MAX - stream.avail_out;
    inflateEnd(&stream);
    return text;
}

static const struct kind {
    const char *keyword;
    int (*read)(const char *text, size_t len);
    enum hs_orientation_source source;
} kinds[] = {
    { "XML:com.adobe.xmp", hs_xmp_orientation, HS_ORIENTATION_XMP },
    { "Raw profile type exif", hs_raw_profile_orientation, HS_ORIENTATION_PROFILE },
    { "Raw profile type APP1", hs_raw_profile_orientation, HS_ORIENTATION_PROFILE },
};

/* Finds the text after a keyword and its NUL (PNG specification, third edition, 11.3.3). Returns false
 * if the chunk is malformed. */
static bool find_text(const char *type, const uint8_t *data, size_t len, size_t *ret_at, bool *ret_packed)
{
    size_t at = 0;
    bool international = type[0] == 'i';
    *ret_packed = type[0] == 'z';
    if (international) {
        if (len < 2 || data[0] > 1 || data[1] != 0)
            return false;
        *ret_packed = data[0] == 1;
        at = 2;
        for (int i = 0; i < 2; i++) { /* skips language and translated keyword */
            const uint8_t *nul = memchr(data + at, 0, len - at);
            if (!nul)
                return false;
            at = (size_t) (nul - data) + 1;
        }
    } else if (*ret_packed) {
        if (len < 1 || data[0] != 0)
            return false;
        at = 1;
    }
    *ret_at = at;
    return true;
}

static int text_value(const struct kind *kind, const char *type, const uint8_t *data, size_t len)
{
    size_t at, text_len;
    bool packed;
    if (!find_text(type, data, len, &at, &packed))
        return 0;
    if (!packed)
        return kind->read((const char *) data + at, len - at);
    char *text = unpack(data + at, len - at, &text_len);
    int value = text ? kind->read(text, text_len) : HS_ENOMEM;
    free(text);
    return value;
}

static void set_orientation(struct hs_png_orientation *orientation, int value, enum hs_orientation_source source)
{
    if (value == 0 || source < orientation->source)
        return;
    orientation->value = value;
    orientation->source = source;
}

int hs_png_orientation_add(struct hs_png_orientation *orientation, const char *type, const uint8_t *data, size_t len)
{
    if (memcmp(type, "eXIf", 4) == 0)
        set_orientation(orientation, hs_exif_find_orientation(data, len), HS_ORIENTATION_EXIF);
    if (memcmp(type, "iTXt", 4) != 0 && memcmp(type, "tEXt", 4) != 0 && memcmp(type, "zTXt", 4) != 0)
        return 0;
    for (unsigned i = 0; i < HS_ARRAY_LEN(kinds); i++) {
        size_t name = strlen(kinds[i].keyword) + 1;
        if (orientation->seen & 1u << i || len < name || memcmp(data, kinds[i].keyword, name) != 0)
            continue;
        orientation->seen |= 1u << i;
        int value = text_value(&kinds[i], type, data + name, len - name);
        if (value < 0)
            return value;
        set_orientation(orientation, value, kinds[i].source);
    }
    return 0;
}
