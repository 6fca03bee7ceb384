/* Measures how well scores separate pairs of the same person from pairs of different people. Pure
 * functions, any thread.
 *
 * A pair is accepted if its score is above the threshold. TAR is the share of same pairs that are
 * accepted, FAR the share of different pairs. The thresholds tried are the scores and one that accepts
 * all pairs: the lowest score - 1. */
#ifndef HS_VISION_VERIFICATION_H
#define HS_VISION_VERIFICATION_H

#include <stdbool.h>
#include <stddef.h>

#include "hs/status.h"

struct hs_verification_pair {
    double score; /* finite */
    bool same;
};

/* TAR and FAR at a threshold. */
struct hs_verification_point {
    double threshold, tar, far;
};

struct hs_verification {
    size_t same, different;
    double auc;            /* probability that a same pair scores higher than a different one; ties count half */
    double eer;            /* equal error rate: mean of FAR and 1 - TAR at the threshold where they are closest */
    double eer_threshold;  /* the lowest if several are equally close */
    double accuracy;       /* highest share of pairs that one threshold classifies correctly */
    double best_threshold; /* its threshold: halfway to the next higher score; the lowest if several are equally good */
};

/* Sorts the pairs by descending score. Fails with HS_EINVAL if there are only same or only different
 * pairs. */
int hs_verification_measure(struct hs_verification_pair *pairs, size_t count, struct hs_verification *ret_result,
                            struct hs_error *err);

/* Returns the lowest of the thresholds tried whose FAR is at most `far`. The pairs must be in the order
 * that hs_verification_measure leaves. */
struct hs_verification_point hs_verification_at_far(const struct hs_verification_pair *pairs, size_t count, double far);

/* Returns TAR and FAR at a given threshold; the pairs may be in any order. */
struct hs_verification_point hs_verification_at(const struct hs_verification_pair *pairs, size_t count,
                                                double threshold);

#endif
