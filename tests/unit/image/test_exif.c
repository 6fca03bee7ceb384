#include "../unit.h"

#include <stdlib.h>
#include <string.h>

#include "image/codec.h"

/* Reads a copy of exactly len bytes, so that a sanitizer detects a read past the end. */
static int orientation_of(const char *bytes, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    int orientation = hs_exif_orientation(copy, len);
    free(copy);
    return orientation;
}

#define LITTLE "II*\0\x08\0\0\0"
#define BIG "MM\0*\0\0\0\x08"

static void both_byte_orders(void **state)
{
    (void) state;
    assert_int_equal(orientation_of("Exif\0\0" LITTLE "\1\0\x12\1\3\0\1\0\0\0\6\0\0\0", 28), 6);
    assert_int_equal(orientation_of(LITTLE "\1\0\x12\1\3\0\1\0\0\0\3\0\0\0", 22), 3);
    assert_int_equal(orientation_of(BIG "\0\1\1\x12\0\3\0\0\0\1\0\x08\0\0", 22), 8);
    assert_int_equal(orientation_of(BIG "\0\1\1\x12\0\4\0\0\0\1\0\0\0\5", 22), 5);
}

static void it_may_be_any_entry(void **state)
{
    (void) state;
    assert_int_equal(orientation_of(LITTLE "\2\0\0\1\3\0\1\0\0\0\7\0\0\0\x12\1\3\0\1\0\0\0\2\0\0\0", 34), 2);
}

static void invalid_exif_is_upright(void **state)
{
    (void) state;
    static const char whole[] = "Exif\0\0" LITTLE "\1\0\x12\1\3\0\1\0\0\0\6\0\0\0";
    for (size_t len = 0; len < 28; len++)
        assert_int_equal(orientation_of(whole, len), 1);
    assert_int_equal(orientation_of(LITTLE "\1\0\x12\1\3\0\1\0\0\0\0\0\0\0", 22), 1);     /* 0 */
    assert_int_equal(orientation_of(LITTLE "\1\0\x12\1\3\0\1\0\0\0\x09\0\0\0", 22), 1);   /* 9 */
    assert_int_equal(orientation_of(LITTLE "\1\0\x12\1\2\0\1\0\0\0\6\0\0\0", 22), 1);     /* text */
    assert_int_equal(orientation_of("II*\0\xff\xff\xff\xff\1\0", 10), 1);                 /* far away */
    assert_int_equal(orientation_of("II*\0\x0a\0\0\0\1\0", 10), 1);                       /* at the end */
    assert_int_equal(orientation_of(LITTLE "\xff\xff\x13\1\3\0\1\0\0\0\6\0\0\0", 22), 1); /* more entries than bytes */
    assert_int_equal(orientation_of("XX*\0\x08\0\0\0\0\0", 10), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_byte_orders),
        cmocka_unit_test(it_may_be_any_entry),
        cmocka_unit_test(invalid_exif_is_upright),
    };
    return HS_RUN_TESTS(tests);
}
