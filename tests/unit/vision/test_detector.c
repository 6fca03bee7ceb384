#include "../unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "vision/detector.h"

static void only_finite_scores_above_the_threshold_count(void **state)
{
    (void) state;
    struct hs_hits hits = { .threshold = 0.5f };
    static const float scores[] = { 0.5f, NAN, INFINITY, -INFINITY, 0.4f, 0.50001f, 1.0000001f };
    for (uint32_t i = 0; i < sizeof(scores) / sizeof(scores[0]); i++)
        assert_int_equal(hs_hits_add(&hits, scores[i], i, 7), 0);
    assert_int_equal(hits.count, 2);
    assert_int_equal(hits.items[0].place, 5);
    assert_int_equal(hits.items[0].class_id, 7);
    assert_float_equal(hits.items[1].score, 1, 0); /* limited to 1 */
    hs_hits_finish(&hits);
    assert_int_equal(hits.count, 0);
}

static void runs_number_their_places(void **state)
{
    (void) state;
    static const uint8_t stored[] = { 0, 200, 255, 127, 129, 255, 90, 255 };
    struct hs_tensor_view view = { .data = stored, .dtype = HS_DTYPE_U8, .scale = 1 / 255.0f };
    struct hs_hits hits = { .threshold = 0.5f };
    /* Every second element, starting with the second: 200, 127, 255, 255. */
    struct hs_score_run run = {
        .view = &view, .at = 1, .step = 2, .count = 4, .first_place = 100, .place_step = 3, .class_id = 2
    };
    assert_int_equal(hs_hits_scan(&hits, &run), 0);
    assert_int_equal(hits.count, 3);
    assert_int_equal(hits.items[0].place, 100);
    assert_int_equal(hits.items[1].place, 106);
    assert_int_equal(hits.items[2].place, 109);
    assert_int_equal(hits.items[2].class_id, 2);
    assert_float_equal(hits.items[0].score, 200 / 255.0, 1e-6);
    hs_hits_finish(&hits);
}

/* The raw bound may pass too many elements, but never too few; the score decides. */
static void logits_pass_as_their_sigmoid_does(void **state)
{
    (void) state;
    static const float thresholds[] = { 0, 1e-6f, 0.25f, 0.5f, 0.73f, 0.999f, 1 };
    for (size_t i = 0; i < sizeof(thresholds) / sizeof(thresholds[0]); i++) {
        float threshold = thresholds[i];
        for (float x = -20; x <= 20; x += 0.001f) {
            struct hs_tensor_view view = { .data = &x, .dtype = HS_DTYPE_F32, .scale = 1 };
            struct hs_score_run run = { .view = &view, .step = 1, .count = 1 };
            struct hs_hits hits = { .threshold = threshold, .logits = true };
            assert_int_equal(hs_hits_scan(&hits, &run), 0);
            assert_int_equal(hits.count, hs_sigmoid(x) > threshold);
            hs_hits_finish(&hits);
        }
    }
}

/* Boxes of 10 x 10 in a row, 20 apart; box 3 is inverted and box 4 is not finite. */
static struct hs_rect row_of_boxes(const void *decoder, uint32_t place)
{
    float x = (float) place * *(const float *) decoder;
    return (struct hs_rect) { x, 0, place == 3 ? x - 1 : x + 10, place == 4 ? NAN : 10 };
}

static void suppression_gets_usable_boxes(void **state)
{
    (void) state;
    float apart = 20;
    struct hs_hits hits = { .threshold = 0.1f };
    struct hs_nms_candidate *kept;
    size_t count;
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(hs_hits_add(&hits, 0.2f + 0.1f * (float) i, i, 1), 0);
    assert_int_equal(hs_hits_suppress(&hits, row_of_boxes, &apart, 0.5f, 3, &kept, &count), 0);
    assert_int_equal(count, 3);
    assert_int_equal(kept[0].id, 5);
    assert_int_equal(kept[1].id, 2);
    assert_int_equal(kept[2].id, 1);
    assert_int_equal(kept[0].class_id, 1);
    free(kept);
    apart = 1; /* now they overlap */
    assert_int_equal(hs_hits_suppress(&hits, row_of_boxes, &apart, 0.5f, 9, &kept, &count), 0);
    assert_int_equal(count, 2); /* 0 overlaps 5 by a third */
    free(kept);
    assert_int_equal(hs_hits_suppress(&hits, row_of_boxes, &apart, 0.5f, 0, &kept, &count), 0);
    assert_int_equal(count, 0);
    free(kept);
    assert_int_equal(hs_hits_suppress(&hits, row_of_boxes, &apart, 0.5f, -1, &kept, &count), 0);
    assert_int_equal(count, 0);
    free(kept);
    hs_hits_finish(&hits);
}

/* One place more than NMS accepts; the weakest one, which lies apart, is dropped. */
static struct hs_rect one_spot(const void *decoder, uint32_t place)
{
    (void) decoder;
    return place == 12345 ? (struct hs_rect) { 100, 100, 110, 110 } : (struct hs_rect) { 0, 0, 10, 10 };
}

static void the_best_hits_are_kept(void **state)
{
    (void) state;
    struct hs_hits hits = { .threshold = 0.1f };
    struct hs_nms_candidate *kept;
    size_t count;
    for (uint32_t i = 0; i < HS_NMS_MAX_CANDIDATES; i++)
        assert_int_equal(hs_hits_add(&hits, i == 12345 ? 0.2f : 0.5f, i, 0), 0);
    assert_int_equal(hs_hits_suppress(&hits, one_spot, NULL, 0.5f, 9, &kept, &count), 0);
    assert_int_equal(count, 2);
    free(kept);
    assert_int_equal(hs_hits_add(&hits, 0.3f, HS_NMS_MAX_CANDIDATES, 0), 0);
    assert_int_equal(hs_hits_suppress(&hits, one_spot, NULL, 0.5f, 9, &kept, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(kept[0].id, 0);
    free(kept);
    hs_hits_finish(&hits);
}

static void outputs_are_checked_and_named(void **state)
{
    (void) state;
    struct hs_tensor_desc outputs[2] = {
        { .dtype = HS_DTYPE_U8, .h = 80, .w = 40, .c = 64, .scale = 1, .size_bytes = 80 * 40 * 64 },
        { .dtype = HS_DTYPE_F32, .layout = HS_LAYOUT_ROWS, .h = 12800, .w = 4, .c = 1, .size_bytes = 12800 * 16 },
    };
    struct hs_error err = { 0 };
    char text[64];
    assert_int_equal(hs_outputs_check(outputs, 2, &err), 0);
    hs_outputs_text(outputs, 2, text, sizeof(text));
    assert_string_equal(text, "80x40x64, 12800x4");
    hs_outputs_text(outputs, 2, text, 12);
    assert_string_equal(text, "80x40x64, 1");
    outputs[1].size_bytes--;
    assert_int_equal(hs_outputs_check(outputs, 2, &err), HS_EMODEL);
    assert_string_equal(err.message, "output 1 (12800x4x1) does not match its size of 204799 bytes");
    outputs[0].scale = 0;
    assert_int_equal(hs_outputs_check(outputs, 2, &err), HS_EMODEL);
    assert_non_null(strstr(err.message, "output 0 has an invalid quantisation"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_finite_scores_above_the_threshold_count),
        cmocka_unit_test(runs_number_their_places),
        cmocka_unit_test(logits_pass_as_their_sigmoid_does),
        cmocka_unit_test(suppression_gets_usable_boxes),
        cmocka_unit_test(the_best_hits_are_kept),
        cmocka_unit_test(outputs_are_checked_and_named),
    };
    return HS_RUN_TESTS(tests);
}
