#include "../unit.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "vision/detector.h"

static void finds_all_and_only_what_passes(void **state)
{
    (void) state;
    float values[200] = { 0 };
    values[0] = values[63] = values[64] = values[130] = values[199] = 1;
    values[70] = 0.5f;
    values[71] = NAN;
    struct hs_tensor_view view = { .dtype = HS_DTYPE_F32, .scale = 1 };
    struct hs_threshold limit = hs_threshold_of(&view, 0.5f);
    const size_t wanted[] = { 0, 63, 64, 130, 199 };
    size_t at = 0;
    for (size_t i = 0; i < 5; i++, at++) {
        at = hs_threshold_next(&limit, values, 200, 1, at);
        assert_int_equal(at, wanted[i]);
    }
    assert_int_equal(hs_threshold_next(&limit, values, 200, 1, at), 200);
    assert_int_equal(hs_threshold_next(&limit, values, 0, 1, 0), 0);
    assert_int_equal(hs_threshold_next(&limit, values, 7, 10, 1), 7);   /* 10, 20 .. 60 */
    assert_int_equal(hs_threshold_next(&limit, values, 14, 10, 1), 13); /* 130 */
}

static void check_border(enum hs_dtype dtype, float scale, float zero_point, float real, int32_t low, int32_t high)
{
    struct hs_tensor_view view = { .dtype = dtype, .scale = scale, .zero_point = zero_point };
    struct hs_threshold limit = hs_threshold_of(&view, real);
    for (int32_t q = low; q <= high; q++) {
        union {
            float f32;
            uint8_t u8;
            int8_t i8;
            uint16_t u16;
        } stored = { 0 };
        if (dtype == HS_DTYPE_U16)
            stored.u16 = (uint16_t) q;
        else if (dtype == HS_DTYPE_I8)
            stored.i8 = (int8_t) q;
        else
            stored.u8 = (uint8_t) q;
        view.data = &stored;
        bool passes = hs_tensor_at(&view, 0) > real;
        assert_int_equal(hs_threshold_next(&limit, view.data, 1, 1, 0), passes ? 0 : 1);
    }
}

/* All stored values of all types, with thresholds on both sides of a value, on it, and between two values. */
static void stored_threshold_equals_the_real_one(void **state)
{
    (void) state;
    const float reals[] = { -INFINITY, -1, 0, 0.001f, 0.25f, 0.5f, 51 * (1 / 255.0f), 0.999f, 1, 2, INFINITY, NAN };
    for (size_t i = 0; i < sizeof(reals) / sizeof(reals[0]); i++) {
        check_border(HS_DTYPE_U8, 1 / 255.0f, 0, reals[i], 0, 255);
        check_border(HS_DTYPE_U8, 0.0798f, 84, reals[i], 0, 255);
        check_border(HS_DTYPE_I8, 0.0798f, -12.5f, reals[i], -128, 127);
        check_border(HS_DTYPE_U16, 0.000619f, 17224, reals[i], 0, 65535);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_all_and_only_what_passes),
        cmocka_unit_test(stored_threshold_equals_the_real_one),
    };
    return HS_RUN_TESTS(tests);
}
