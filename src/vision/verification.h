/* How well scores separate pairs of the same person from pairs of different ones. Pure functions, any thread.
 *
 * A pair is accepted if its score is above the threshold. TAR is the share of same pairs that are accepted, FAR that
 * of different ones. The thresholds tried are the scores themselves, and one that accepts all: the lowest score - 1. */
#ifndef HS_VISION_VERIFICATION_H
#define HS_VISION_VERIFICATION_H

#include <stdbool.h>
#include <stddef.h>

#include "hs/status.h"

struct hs_verification_pair {
    double score; /* finite */
    bool same;
};

/* The effect of a threshold. */
struct hs_verification_point {
    double threshold, tar, far;
};

struct hs_verification {
    size_t same, different;
    double auc;            /* chance that a same pair scores higher than a different one; equal scores count half */
    double eer;            /* the error where FAR and 1 - TAR are closest to each other: their mean there */
    double eer_threshold;  /* of equally close ones the lowest */
    double accuracy;       /* most pairs that one threshold can judge rightly, as a share */
    double best_threshold; /* of that: half-way to the next higher score; of equally good ones the lowest */
};

/* Sorts the pairs by descending score. HS_EINVAL: there are no same pairs or no different ones. */
int hs_verification_measure(struct hs_verification_pair *pairs, size_t count, struct hs_verification *ret_result,
                            struct hs_error *err);

/* The lowest threshold of those tried whose FAR is at most `far`. The pairs are as
 * hs_verification_measure left them. */
struct hs_verification_point hs_verification_at_far(const struct hs_verification_pair *pairs, size_t count, double far);

/* The effect of a given threshold; the pairs may be in any order. */
struct hs_verification_point hs_verification_at(const struct hs_verification_pair *pairs, size_t count,
                                                double threshold);

#endif
