#include "../unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gallery/validate.h"

static void test_names(void **state)
{
    (void) state;
    char text[HS_GALLERY_NAME_MAX + 2];
    memset(text, 'x', sizeof(text));
    text[HS_GALLERY_NAME_MAX + 1] = '\0';
    assert_int_equal(hs_gallery_check_name(text, NULL), HS_EINVAL);
    assert_int_equal(hs_gallery_check_name(text + 1, NULL), 0);
    const char *bad[] = { NULL, "", "a\tb", "\x7f", "\xc2\x85", "\xff", "\xed\xa0\x80" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(hs_gallery_check_name(bad[i], NULL), HS_EINVAL);
    assert_int_equal(hs_gallery_check_name("J\xc3\xb6rg \xc2\xa0", NULL), 0);
}

static void test_metadata(void **state)
{
    (void) state;
    char text[HS_GALLERY_METADATA_MAX + 2] = "{\"a\":\"";
    size_t len = strlen(text);
    memset(text + len, 'x', sizeof(text) - len);
    memcpy(text + HS_GALLERY_METADATA_MAX - 1, "\"}", 3);
    assert_int_equal(hs_gallery_check_metadata(text, NULL), HS_EINVAL);
    memcpy(text + HS_GALLERY_METADATA_MAX - 2, "\"}", 3);
    assert_int_equal(hs_gallery_check_metadata(text, NULL), 0);
    assert_int_equal(hs_gallery_check_metadata(NULL, NULL), 0);
    assert_int_equal(hs_gallery_check_metadata("{\"a\":1,\"a\":2}", NULL), HS_EINVAL);
    assert_int_equal(hs_gallery_check_metadata("null", NULL), HS_EINVAL);
}

/* Metadata nested deeper than a response can show is refused. */
static void test_depth(void **state)
{
    (void) state;
    for (int depth = 32; depth <= 33; depth++) {
        char text[200];
        size_t len = 0;
        for (int i = 1; i < depth; i++)
            len += (size_t) snprintf(text + len, sizeof(text) - len, "%s", i % 2 ? "{\"\":" : "[");
        len += (size_t) snprintf(text + len, sizeof(text) - len, "%s", depth % 2 ? "{}" : "[]");
        for (int i = depth - 1; i > 0; i--)
            len += (size_t) snprintf(text + len, sizeof(text) - len, "%s", i % 2 ? "}" : "]");
        assert_int_equal(hs_gallery_check_metadata(text, NULL), depth == 32 ? 0 : HS_EINVAL);
    }
}

static void test_vectors(void **state)
{
    (void) state;
    assert_true(hs_gallery_is_unit_vector((float[]) { 0.6F, -0.8F }, 2));
    assert_false(hs_gallery_is_unit_vector((float[]) { 0.6F, 0.9F }, 2));
    assert_false(hs_gallery_is_unit_vector((float[]) { NAN, 1 }, 2));
    assert_false(hs_gallery_is_unit_vector((float[]) { INFINITY, 1 }, 2));
    assert_false(hs_gallery_is_unit_vector((float[]) { 1 }, 0));
}

static void test_score(void **state)
{
    (void) state;
    static const struct {
        const char *quality;
        double score;
    } cases[] = { { "{\"score\":0.25}", 0.25 }, { "{\"blur\":0.25}", 0 }, { "{", 0 }, { "", 0 }, { NULL, 0 } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        double score = -1;
        assert_int_equal(hs_gallery_quality_score(cases[i].quality, &score), 0);
        assert_true(score == cases[i].score);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),   cmocka_unit_test(test_metadata), cmocka_unit_test(test_depth),
        cmocka_unit_test(test_vectors), cmocka_unit_test(test_score),
    };
    return HS_RUN_TESTS(tests);
}
