#include "pictures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "image/encode.h"
#include "image/orientation.h"

/* Reads a copy of exactly that size, so that a sanitizer detects a read past the end. */
static int with_copy(int (*read)(const char *text, size_t len), const char *text, size_t len)
{
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    int value = read(copy, len);
    free(copy);
    return value;
}

static int xmp(const char *text)
{
    return with_copy(hs_xmp_orientation, text, strlen(text));
}

static void xmp_as_attribute_and_element(void **state)
{
    (void) state;
    assert_int_equal(xmp("<rdf:Description tiff:Orientation=\"6\"/>"), 6);
    assert_int_equal(xmp("<rdf:Description\n\ttiff:Orientation = '8' a=\"1\">"), 8);
    assert_int_equal(xmp("<a><tiff:Orientation>3</tiff:Orientation></a>"), 3);
    assert_int_equal(xmp("<tiff:Orientation >\n 5 \n</tiff:Orientation>"), 5);
    assert_int_equal(xmp("<a b=\"tiff:Orientation\" tiff:Orientation=\"2\"/>"), 2);
}

static void other_xmp_has_no_orientation(void **state)
{
    (void) state;
    static const char *const texts[] = {
        "",
        "tiff:Orientation",
        "tiff:Orientation=\"6\"",
        "<tiff:Orientation",
        "<tiff:Orientation>",
        " tiff:Orientation=",
        " tiff:Orientation=\"",
        " tiff:Orientation=\"6",
        " tiff:Orientation=\"6'",
        " tiff:Orientation=\"0\"",
        " tiff:Orientation=\"9\"",
        " tiff:Orientation=\"16\"",
        " tiff:Orientation=6",
        "<tiff:Orientation>66<",
        "</tiff:Orientation>6<",
        "<xtiff:Orientation>6</xtiff:Orientation>",
        "<tiff:Orientation>6",
        "<exif:Orientation>6<",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (xmp(texts[i]) != 0)
            fail_msg("%s", texts[i]);
}

#define EXIF_6                                                                                                         \
    "457869660000"                                                                                                     \
    "49492a0008000000"                                                                                                 \
    "0100"                                                                                                             \
    "1201030001000000\n06000000"                                                                                       \
    "00000000"

static int profile(const char *text)
{
    return with_copy(hs_raw_profile_orientation, text, strlen(text));
}

static void profiles_in_hexadecimal(void **state)
{
    (void) state;
    char text[1024] = "\nAPP1\n      60\n";
    static const char packet[] = "http://ns.adobe.com/xap/1.0/\0<a tiff:Orientation=\"7\"/>";
    assert_int_equal(profile("\nexif\n      32\n" EXIF_6 "\n"), 6);
    for (size_t i = 0, at = strlen(text); i < sizeof(packet) - 1; i++, at += 2)
        snprintf(text + at, 3, "%02X", (unsigned char) packet[i]);
    assert_int_equal(profile(text), 7);
    assert_int_equal(profile("\nexif\n 32\n" EXIF_6 "\nx"), 0);
    assert_int_equal(profile("\nexif\n" EXIF_6), 0);
    assert_int_equal(profile("\nexif\n 3\n457"), 0);
    assert_int_equal(profile("\nexif\n 0\n"), 0);
    assert_int_equal(profile("\n\n"), 0);
    assert_int_equal(profile(""), 0);
}

/* ---- in files ---- */

static void put_chunk(struct hs_buf *buf, const char *type, const void *data, size_t len)
{
    size_t begin = buf->len + 4;
    put_be(buf, (uint32_t) len, 4);
    assert_int_equal(hs_buf_append(buf, type, 4), 0);
    assert_int_equal(hs_buf_append(buf, data, len), 0);
    put_be(buf, (uint32_t) crc32(0, buf->data + begin, (uInt) (len + 4)), 4);
}

/* Appends a text chunk: keyword, the fields that its type has before the text, and the text, compressed if
 * `packed`. */
static void put_text(struct hs_buf *buf, const char *type, const char *keyword, const char *text, size_t len,
                     bool packed)
{
    struct hs_buf data = make_buf();
    hs_buf_append(&data, keyword, strlen(keyword) + 1);
    if (type[0] == 'i') {
        hs_buf_append(&data, packed ? "\1\0" : "\0\0", 2);
        hs_buf_append(&data, "en\0Titel\0", 9);
    } else if (packed) {
        hs_buf_append(&data, "\0", 1);
    }
    if (packed) {
        uLongf size = compressBound((uLong) len);
        uint8_t *bytes = malloc(size);
        assert_non_null(bytes);
        assert_int_equal(compress(bytes, &size, (const Bytef *) text, (uLong) len), Z_OK);
        hs_buf_append(&data, bytes, size);
        free(bytes);
    } else {
        hs_buf_append(&data, text, len);
    }
    assert_int_equal(hs_buf_error(&data), 0);
    put_chunk(buf, type, data.data, data.len);
    hs_buf_finish(&data);
}

/* Decodes a PNG of 8 x 4 pixels with the chunks of `put` after its header, and again with them before its end. */
static void expect(void (*put)(struct hs_buf *buf), int orientation)
{
    struct hs_image *image = make_gradient(8, 4);
    struct hs_buf plain = make_buf();
    assert_int_equal(hs_image_encode_png(image, &plain, NULL), 0);
    hs_image_destroy(image);
    for (int end = 0; end < 2; end++) {
        struct hs_image_options options = options_plain();
        struct hs_buf buf = make_buf();
        size_t at = end ? plain.len - 12 : 33;
        struct hs_error err;
        options.apply_exif = true;
        hs_buf_append(&buf, plain.data, at);
        put(&buf);
        hs_buf_append(&buf, plain.data + at, plain.len - at);
        if (hs_image_decode(buf.data, buf.len, &options, &image, &err) < 0)
            fail_msg("%s", err.message);
        assert_int_equal(image->orientation, orientation);
        assert_int_equal(image->width, orientation >= 5 ? 4 : 8);
        hs_image_destroy(image);
        /* A file cut at any byte fails or has another orientation, and nothing is read past the end. */
        for (size_t len = 33; len < buf.len; len++) {
            uint8_t *copy = guarded_copy(buf.data, len);
            if (hs_image_decode(copy, len, &options, &image, NULL) == 0)
                hs_image_destroy(image);
            guarded_free(copy, len);
        }
        hs_buf_finish(&buf);
    }
    hs_buf_finish(&plain);
}

static const char packet[] = "<x:xmpmeta><rdf:Description tiff:Orientation=\"6\"/></x:xmpmeta>";
static const char raw_exif[] = "\nexif\n      32\n" EXIF_6 "\n";
static const char exif_8[] = "MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x08\0\0\0\0\0\0";

static void put_xmp(struct hs_buf *buf)
{
    put_text(buf, "iTXt", "XML:com.adobe.xmp", packet, strlen(packet), false);
}

static void put_packed_xmp(struct hs_buf *buf)
{
    put_text(buf, "iTXt", "XML:com.adobe.xmp", packet, strlen(packet), true);
}

static void put_profile(struct hs_buf *buf)
{
    put_text(buf, "tEXt", "Raw profile type exif", raw_exif, strlen(raw_exif), false);
}

static void put_packed_profile(struct hs_buf *buf)
{
    put_text(buf, "zTXt", "Raw profile type APP1", raw_exif, strlen(raw_exif), true);
}

/* The eXIf chunk takes precedence at any position, but not if it has no orientation. */
static void put_all(struct hs_buf *buf)
{
    put_xmp(buf);
    put_chunk(buf, "eXIf", exif_8, sizeof(exif_8) - 1);
    put_profile(buf);
}

static void put_empty_exif_and_xmp(struct hs_buf *buf)
{
    put_chunk(buf, "eXIf", "MM\0*\0\0\0\x08\0\0\0\0\0\0", 14);
    put_xmp(buf);
}

static void put_other_texts(struct hs_buf *buf)
{
    put_text(buf, "tEXt", "Comment", packet, strlen(packet), false);
    put_text(buf, "iTXt", "XML:com.adobe.xmpx", packet, strlen(packet), false);
    put_chunk(buf, "iTXt", "XML:com.adobe.xmp\0\1", 19);
    put_chunk(buf, "zTXt", "Raw profile type exif\0\0no zlib", 30);
}

static void each_kind_of_chunk(void **state)
{
    (void) state;
    expect(put_xmp, 6);
    expect(put_packed_xmp, 6);
    expect(put_profile, 6);
    expect(put_packed_profile, 6);
    expect(put_all, 8);
    expect(put_empty_exif_and_xmp, 6);
    expect(put_other_texts, 1);
}

/* 3 MB of spaces before the orientation, compressed to 3 kB: they are not unpacked. */
static void put_long_xmp(struct hs_buf *buf)
{
    size_t len = 3u << 20;
    char *text = malloc(len + sizeof(packet));
    assert_non_null(text);
    memset(text, ' ', len);
    memcpy(text + len, packet, sizeof(packet));
    put_text(buf, "iTXt", "XML:com.adobe.xmp", text, len + strlen(packet), true);
    put_text(buf, "iTXt", "XML:com.adobe.xmp", packet, strlen(packet), true);
    free(text);
}

static void compressed_text_bomb_is_not_unpacked(void **state)
{
    (void) state;
    struct hs_buf buf = make_buf();
    struct hs_image_info info;
    hs_buf_append(&buf, "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0????", 33);
    put_long_xmp(&buf);
    put_chunk(&buf, "IEND", "", 0);
    assert_int_equal(hs_image_probe(buf.data, buf.len, &info, NULL), 0);
    assert_int_equal(info.orientation, 1);
    hs_buf_finish(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xmp_as_attribute_and_element),
        cmocka_unit_test(other_xmp_has_no_orientation),
        cmocka_unit_test(profiles_in_hexadecimal),
        cmocka_unit_test(each_kind_of_chunk),
        cmocka_unit_test(compressed_text_bomb_is_not_unpacked),
    };
    return HS_RUN_TESTS(tests);
}
