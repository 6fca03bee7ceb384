#include "../unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "vision/coco_eval.h"

/* A person of 17 labelled points on a line from (x, y), with an area of 120 x 120. */
static struct hs_coco_truth person(int64_t image, double x, double y)
{
    struct hs_coco_truth t = { .image_id = image, .area = 14400, .bbox = { x, y, 120, 120 }, .keypoint_count = 17 };
    for (int i = 0; i < 17; i++) {
        t.keypoints[3 * i] = x + 7 * i;
        t.keypoints[3 * i + 1] = y + 7 * i;
        t.keypoints[3 * i + 2] = 2;
    }
    return t;
}

static struct hs_coco_result found(const struct hs_coco_truth *truth, double score)
{
    struct hs_coco_result r = { .image_id = truth->image_id, .score = score };
    memcpy(r.keypoints, truth->keypoints, sizeof(r.keypoints));
    r.area = hs_coco_result_area(r.keypoints);
    return r;
}

static struct hs_coco_metrics evaluate(const struct hs_coco_truth *truths, size_t truth_count,
                                       const struct hs_coco_result *results, size_t result_count)
{
    const int64_t images[] = { 2, 1, 3, 1 };
    struct hs_coco_metrics metrics;
    assert_int_equal(hs_coco_evaluate(images, 4, truths, truth_count, results, result_count, &metrics, NULL), 0);
    return metrics;
}

static void similarity_by_hand(void **state)
{
    (void) state;
    struct hs_coco_truth truth = person(1, 100, 100);
    struct hs_coco_result result = found(&truth, 1);
    assert_true(hs_coco_similarity(&truth, &result) == 1);
    assert_float_equal(hs_coco_result_area(result.keypoints), 112 * 112, 1e-9);

    /* Only the nose is labelled: exp(-d^2 / (2 area (2 sigma)^2)) = exp(-1) */
    for (int i = 1; i < 17; i++)
        truth.keypoints[3 * i + 2] = 0;
    result.keypoints[0] += sqrt(2 * 14400 * 0.052 * 0.052);
    result.keypoints[3 * 9] = 1e6; /* not labelled: ignored */
    assert_float_equal(hs_coco_similarity(&truth, &result), exp(-1), 1e-12);

    /* No point is labelled: any position in the box 100..220, enlarged to -20..340, has the full similarity. */
    truth.keypoints[2] = 0;
    for (int i = 0; i < 17; i++)
        result.keypoints[3 * i] = result.keypoints[3 * i + 1] = i % 2 ? -20 : 340;
    assert_float_equal(hs_coco_similarity(&truth, &result), 1, 1e-12);
    result.keypoints[0] = 340 + sqrt(2 * 14400 * 0.052 * 0.052);
    assert_float_equal(hs_coco_similarity(&truth, &result), (16 + exp(-1)) / 17, 1e-12);
}

static void precision_and_recall_by_hand(void **state)
{
    (void) state;
    struct hs_coco_truth truths[] = { person(1, 100, 100), person(2, 50, 300) };
    struct hs_coco_result results[] = { found(&truths[0], 0.9), found(&truths[1], 0.8), found(&truths[1], 0.1) };
    for (int i = 0; i < 51; i++)
        results[2].keypoints[i] += 5000;
    struct hs_coco_metrics m = evaluate(truths, 2, results, 3);
    assert_float_equal(m.ap, 1, 1e-12); /* the false detection follows after all people are found */
    assert_float_equal(m.ar, 1, 1e-12);
    assert_float_equal(m.ap_large, 1, 1e-12);
    assert_true(m.ap_medium == -1 && m.ar_medium == -1);

    results[2].score = 1; /* first: precision 1/2 at recall 1/2, 2/3 at recall 1, so 2/3 at all recalls */
    m = evaluate(truths, 2, results, 3);
    assert_float_equal(m.ap, 2.0 / 3, 1e-12);
    assert_float_equal(m.ap50, 2.0 / 3, 1e-12);
    assert_float_equal(m.ap75, 2.0 / 3, 1e-12);

    m = evaluate(truths, 2, results, 1); /* one of two: precision 1 at recalls 0, 0.01 .. 0.5 */
    assert_float_equal(m.ap, 51.0 / 101, 1e-12);
    assert_float_equal(m.ar, 0.5, 1e-12);
    m = evaluate(truths, 2, NULL, 0);
    assert_true(m.ap == 0 && m.ar == 0 && m.ap_large == 0);
    m = evaluate(NULL, 0, results, 2);
    assert_true(m.ap == -1 && m.ar == -1 && m.ap50 == -1 && m.ar75 == -1 && m.ap_large == -1);
}

static void a_second_detection_is_a_false_positive(void **state)
{
    (void) state;
    struct hs_coco_truth truths[] = { person(1, 100, 100), person(1, 400, 300) };
    struct hs_coco_result results[] = { found(&truths[0], 0.9), found(&truths[0], 0.9), found(&truths[1], 0.5) };
    struct hs_coco_metrics m = evaluate(truths, 2, results, 3);
    /* precision 1 up to recall 1/2, then 2/3 */
    assert_float_equal(m.ap, (51 + 50 * 2.0 / 3) / 101, 1e-12);
}

static void crowds_and_unlabelled_people_are_ignored(void **state)
{
    (void) state;
    struct hs_coco_truth truths[] = { person(1, 100, 100), person(1, 400, 300), person(1, 700, 300) };
    truths[1].is_crowd = true;
    truths[2].keypoint_count = 0;
    struct hs_coco_result results[] = { found(&truths[1], 0.99), found(&truths[1], 0.98), found(&truths[2], 0.97),
                                        found(&truths[0], 0.5) };
    struct hs_coco_metrics m = evaluate(truths, 3, results, 4);
    assert_float_equal(m.ap, 1, 1e-12);
    /* A second detection of the unlabelled person counts as false, because that person is not a crowd. */
    results[1] = found(&truths[2], 0.96);
    m = evaluate(truths, 3, results, 4);
    assert_float_equal(m.ap, 0.5, 1e-12);
}

static void only_the_best_twenty_of_a_picture_count(void **state)
{
    (void) state;
    struct hs_coco_truth truth = person(1, 100, 100);
    struct hs_coco_result results[21];
    for (int i = 0; i < 21; i++) {
        results[i] = found(&truth, i == 20 ? 0.4 : 0.5);
        for (int k = 0; k < 51 && i < 20; k++)
            results[i].keypoints[k] += 5000;
    }
    assert_true(evaluate(&truth, 1, results, 21).ap == 0);
    assert_float_equal(evaluate(&truth, 1, results + 1, 20).ap, 1.0 / 20, 1e-12);
    /* Among equal scores only the first twenty count: the good one is at position 21, then at 20. */
    results[20].score = 0.5;
    assert_true(evaluate(&truth, 1, results, 21).ap == 0);
    struct hs_coco_result good = results[20];
    results[20] = results[19];
    results[19] = good;
    assert_float_equal(evaluate(&truth, 1, results, 21).ap, 1.0 / 20, 1e-12);
}

static void other_pictures_are_ignored(void **state)
{
    (void) state;
    struct hs_coco_truth truths[] = { person(9, 0, 0), person(3, 100, 100), person(-4, 0, 0) };
    struct hs_coco_result results[] = { found(&truths[0], 1), found(&truths[1], 0.5), found(&truths[2], 1) };
    results[0].keypoints[0] = 1e5;
    assert_float_equal(evaluate(truths, 3, results, 3).ap, 1, 1e-12);
}

static uint32_t random_state;

static int random_below(int n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (int) ((uint64_t) (random_state >> 8) * (uint64_t) n >> 24);
}

/* 12 images with people of all sizes, crowds and unlabelled people, and up to 30 detections each, many with
 * equal scores. All numbers are integers or tenths, so that all programs read the same values. */
static void random_set(struct hs_coco_truth *truths, size_t *truth_count, struct hs_coco_result *results,
                       size_t *result_count)
{
    random_state = 2024;
    *truth_count = *result_count = 0;
    for (int image = 1; image <= 12; image++) {
        size_t first = *truth_count;
        for (int i = random_below(6); i > 0; i--) {
            struct hs_coco_truth *t = &truths[(*truth_count)++];
            int size = 20 + random_below(200), kind = random_below(8);
            *t = (struct hs_coco_truth) { .image_id = image,
                                          .area = size * size / 2,
                                          .is_crowd = kind == 0,
                                          .bbox = { random_below(400), random_below(300), size, size } };
            for (int k = 0; k < 17 && kind > 1; k++) {
                t->keypoints[3 * k + 2] = random_below(3);
                t->keypoint_count += t->keypoints[3 * k + 2] > 0;
                t->keypoints[3 * k] = t->bbox[0] + random_below(size);
                t->keypoints[3 * k + 1] = t->bbox[1] + random_below(size);
            }
        }
        for (int i = random_below(31); i > 0; i--) {
            struct hs_coco_result *r = &results[(*result_count)++];
            *r = (struct hs_coco_result) { .image_id = image, .score = random_below(10) / 10.0 };
            int near = 1 + random_below(30);
            const struct hs_coco_truth *t = NULL;
            if (*truth_count > first && random_below(4))
                t = &truths[first + (size_t) random_below((int) (*truth_count - first))];
            for (int k = 0; k < 17; k++) {
                r->keypoints[3 * k] = (t ? t->keypoints[3 * k] : random_below(600)) + random_below(near);
                r->keypoints[3 * k + 1] = (t ? t->keypoints[3 * k + 1] : random_below(400)) + random_below(near);
                r->keypoints[3 * k + 2] = 1;
            }
            r->area = hs_coco_result_area(r->keypoints);
        }
    }
}

/* Stats 0 to 9 of pycocotools 2.0.11 for random_set. */
static const double golden[10] = {
    0.052204222406, 0.133809377785, 0.038411249523, 0.067492516515, 0.073119912663,
    0.375000000000, 0.583333333333, 0.375000000000, 0.337500000000, 0.450000000000,
};

static void random_set_equals_pycocotools(void **state)
{
    (void) state;
    static struct hs_coco_truth truths[72];
    static struct hs_coco_result results[372];
    size_t truth_count, result_count;
    int64_t images[12];
    struct hs_coco_metrics m;
    random_set(truths, &truth_count, results, &result_count);
    for (int i = 0; i < 12; i++)
        images[i] = i + 1;
    assert_int_equal(hs_coco_evaluate(images, 12, truths, truth_count, results, result_count, &m, NULL), 0);
    const double got[10] = { m.ap, m.ap50, m.ap75, m.ap_medium, m.ap_large,
                             m.ar, m.ar50, m.ar75, m.ar_medium, m.ar_large };
    for (int i = 0; i < 10; i++)
        assert_float_equal(got[i], golden[i], 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(similarity_by_hand),
        cmocka_unit_test(precision_and_recall_by_hand),
        cmocka_unit_test(a_second_detection_is_a_false_positive),
        cmocka_unit_test(crowds_and_unlabelled_people_are_ignored),
        cmocka_unit_test(only_the_best_twenty_of_a_picture_count),
        cmocka_unit_test(other_pictures_are_ignored),
        cmocka_unit_test(random_set_equals_pycocotools),
    };
    return HS_RUN_TESTS(tests);
}
