#include "../unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vision/verification.h"

static void by_hand(void **state)
{
    (void) state;
    /* Descending: S.9 S.8 D.7 S.6 D.5 D.4 */
    struct hs_verification_pair p[] = { { .5, false }, { .9, true }, { .6, true },
                                        { .4, false }, { .8, true }, { .7, false } };
    size_t n = HS_ARRAY_LEN(p);
    struct hs_verification v;
    assert_int_equal(hs_verification_measure(p, n, &v, NULL), 0);
    assert_int_equal(v.same, 3);
    assert_int_equal(v.different, 3);
    assert_float_equal(v.auc, 8.0 / 9, 1e-12); /* only .6 is below a different pair */
    assert_float_equal(v.eer, 1.0 / 3, 1e-12); /* at .6: one of three each way */
    assert_float_equal(v.eer_threshold, .6, 0);
    assert_float_equal(v.accuracy, 5.0 / 6, 1e-12); /* accepting .9 and .8, or down to .6 */
    assert_float_equal(v.best_threshold, .55, 1e-12);
    struct hs_verification_point at = hs_verification_at_far(p, n, 0);
    assert_true(at.threshold == .7 && at.far == 0);
    assert_float_equal(at.tar, 2.0 / 3, 1e-12);
    at = hs_verification_at_far(p, n, .34);
    assert_true(at.threshold == .5 && at.tar == 1);
    assert_float_equal(at.far, 1.0 / 3, 1e-12);
    at = hs_verification_at_far(p, n, 1);
    assert_true(at.threshold < .4 && at.tar == 1 && at.far == 1);
    at = hs_verification_at(p, n, .6);
    assert_float_equal(at.tar, 2.0 / 3, 1e-12); /* strictly above */
    assert_float_equal(at.far, 1.0 / 3, 1e-12);
}

static void perfect_and_inverted_scores(void **state)
{
    (void) state;
    struct hs_verification_pair apart[] = { { .9, true }, { .2, false } }, down[] = { { .1, true }, { .2, false } },
                                equal[] = { { .3, true }, { .3, false } };
    struct hs_verification v;
    assert_int_equal(hs_verification_measure(apart, 2, &v, NULL), 0);
    assert_true(v.auc == 1 && v.eer == 0 && v.accuracy == 1);
    assert_float_equal(v.best_threshold, .55, 1e-12);
    assert_true(hs_verification_at_far(apart, 2, 0).tar == 1);
    assert_int_equal(hs_verification_measure(down, 2, &v, NULL), 0);
    assert_true(v.auc == 0 && v.eer == 1 && v.accuracy == .5);
    assert_true(hs_verification_at_far(down, 2, 0).tar == 0);
    assert_int_equal(hs_verification_measure(equal, 2, &v, NULL), 0);
    assert_true(v.auc == .5 && v.accuracy == .5);
}

static void same_or_different_pairs_alone_are_rejected(void **state)
{
    (void) state;
    struct hs_verification_pair same[] = { { .9, true } }, different[] = { { .9, false } };
    struct hs_verification v;
    struct hs_error err;
    assert_int_equal(hs_verification_measure(same, 1, &v, &err), HS_EINVAL);
    assert_int_equal(hs_verification_measure(different, 1, &v, &err), HS_EINVAL);
    assert_int_equal(hs_verification_measure(same, 0, &v, &err), HS_EINVAL);
}

/* ---- reference: all thresholds, all pairs ---- */

static void plain(const struct hs_verification_pair *p, size_t n, struct hs_verification *ret)
{
    double closest = 2, lowest = INFINITY;
    *ret = (struct hs_verification) { 0 };
    for (size_t i = 0; i < n; i++) {
        *(p[i].same ? &ret->same : &ret->different) += 1;
        lowest = fmin(lowest, p[i].score);
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++)
            if (p[i].same && !p[k].same)
                ret->auc += p[i].score > p[k].score ? 1 : p[i].score == p[k].score ? .5 : 0;
    ret->auc /= (double) ret->same * (double) ret->different;
    for (size_t i = 0; i <= n; i++) {
        double t = i < n ? p[i].score : lowest - 1;
        struct hs_verification_point at = hs_verification_at(p, n, t);
        double gap = fabs(at.far - (1 - at.tar));
        if (gap < closest || (gap == closest && t < ret->eer_threshold)) {
            closest = gap;
            ret->eer = (at.far + 1 - at.tar) / 2;
            ret->eer_threshold = t;
        }
        size_t right = 0;
        for (size_t k = 0; k < n; k++)
            right += p[k].same == (p[k].score > t);
        ret->accuracy = fmax(ret->accuracy, (double) right / (double) n);
    }
}

static struct hs_verification_point plain_at_far(const struct hs_verification_pair *p, size_t n, double far)
{
    struct hs_verification_point best = { .threshold = INFINITY };
    for (size_t i = 0; i < n; i++) {
        struct hs_verification_point at = hs_verification_at(p, n, p[i].score);
        if (at.far <= far && at.threshold < best.threshold)
            best = at;
    }
    return best;
}

static void equals_the_reference(void **state)
{
    (void) state;
    uint32_t seed = 7;
    for (int round = 0; round < 300; round++) {
        struct hs_verification_pair p[40];
        size_t n = 2 + (size_t) round % 39;
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1664525 + 1013904223;
            p[i].same = i == 0 || (i > 1 && seed >> 31);
            /* Few distinct scores, so that many are equal. */
            p[i].score = (double) ((seed >> 16) % 17) / 16 + (p[i].same ? .25 : 0);
        }
        struct hs_verification expected, v;
        plain(p, n, &expected);
        assert_int_equal(hs_verification_measure(p, n, &v, NULL), 0);
        assert_int_equal(v.same, expected.same);
        assert_int_equal(v.different, expected.different);
        assert_float_equal(v.auc, expected.auc, 1e-12);
        assert_float_equal(v.eer, expected.eer, 1e-12);
        assert_float_equal(v.eer_threshold, expected.eer_threshold, 0);
        assert_float_equal(v.accuracy, expected.accuracy, 1e-12);
        struct hs_verification_point best = hs_verification_at(p, n, v.best_threshold);
        double right = best.tar * (double) v.same + (1 - best.far) * (double) v.different;
        assert_float_equal(right / (double) n, v.accuracy, 1e-12);
        for (double far = 0; far < .9; far += .2) {
            struct hs_verification_point a = hs_verification_at_far(p, n, far), b = plain_at_far(p, n, far);
            assert_float_equal(a.tar, b.tar, 1e-12);
            assert_float_equal(a.far, b.far, 1e-12);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(perfect_and_inverted_scores),
        cmocka_unit_test(same_or_different_pairs_alone_are_rejected),
        cmocka_unit_test(equals_the_reference),
    };
    return HS_RUN_TESTS(tests);
}
