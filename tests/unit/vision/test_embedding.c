#include "../unit.h"

#include <float.h>
#include <math.h>

#include "vision/embedding.h"

static void scales_to_length_one(void **state)
{
    (void) state;
    float v[3] = { 3, 0, -4 }, tiny[2] = { 3e-10f, 4e-10f }, large[2] = { FLT_MAX, -FLT_MAX }, norm = 0;
    assert_int_equal(hs_embedding_normalize(v, 3, &norm), 0);
    assert_float_equal(norm, 5, 0);
    assert_float_equal(v[0], 0.6, 1e-7);
    assert_float_equal(v[1], 0, 0);
    assert_float_equal(v[2], -0.8, 1e-7);
    assert_int_equal(hs_embedding_normalize(tiny, 2, NULL), 0);
    assert_float_equal(tiny[1], 0.8, 1e-6);
    assert_int_equal(hs_embedding_normalize(large, 2, NULL), 0);
    assert_float_equal(large[1], -sqrt(0.5), 1e-6);
}

static void rejects_zero_vectors(void **state)
{
    (void) state;
    float zero[4] = { 0 }, none[1] = { 7 }, faint[2] = { 1e-30f, 0 }, nan[2] = { 1, NAN }, inf[2] = { -INFINITY, 1 };
    float norm = 42;
    assert_int_equal(hs_embedding_normalize(zero, 4, &norm), HS_EINVAL);
    assert_int_equal(hs_embedding_normalize(none, 0, &norm), HS_EINVAL);
    assert_int_equal(hs_embedding_normalize(faint, 2, &norm), HS_EINVAL);
    assert_int_equal(hs_embedding_normalize(nan, 2, &norm), HS_EINVAL);
    assert_int_equal(hs_embedding_normalize(inf, 2, &norm), HS_EINVAL);
    assert_float_equal(norm, 42, 0);
    assert_float_equal(nan[0], 1, 0);
    assert_float_equal(inf[1], 1, 0);
}

static void cosine_stays_within_one(void **state)
{
    (void) state;
    float a[3] = { 1, 2, 2 }, b[3] = { -2, 1, 0 }, c[3] = { 2, 2, 1 };
    assert_int_equal(hs_embedding_normalize(a, 3, NULL), 0);
    assert_int_equal(hs_embedding_normalize(b, 3, NULL), 0);
    assert_int_equal(hs_embedding_normalize(c, 3, NULL), 0);
    assert_float_equal(hs_embedding_cosine(a, b, 3), 0, 1e-7);
    assert_float_equal(hs_embedding_cosine(a, c, 3), 8.0 / 9, 1e-6);
    float up[2] = { 1.0001f, 0 }, down[2] = { -1.0001f, 0 };
    assert_float_equal(hs_embedding_cosine(up, up, 2), 1, 0);
    assert_float_equal(hs_embedding_cosine(up, down, 2), -1, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scales_to_length_one),
        cmocka_unit_test(rejects_zero_vectors),
        cmocka_unit_test(cosine_stays_within_one),
    };
    return HS_RUN_TESTS(tests);
}
