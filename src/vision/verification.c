#include "vision/verification.h"

#include <math.h>
#include <stdlib.h>

static int descending(const void *a, const void *b)
{
    double x = ((const struct hs_verification_pair *) a)->score, y = ((const struct hs_verification_pair *) b)->score;
    return (x < y) - (x > y);
}

/* One step down the sorted pairs: the first `accepted` pairs are above `threshold`. */
struct step {
    size_t accepted, same, different; /* counts of accepted pairs */
    double threshold;
};

/* Moves past the pairs with the next score. Returns false if all pairs are accepted already. */
static bool next_step(const struct hs_verification_pair *pairs, size_t count, struct step *step)
{
    if (step->accepted == count)
        return false;
    double score = pairs[step->accepted].score;
    for (; step->accepted < count && pairs[step->accepted].score >= score; step->accepted++)
        *(pairs[step->accepted].same ? &step->same : &step->different) += 1;
    step->threshold = step->accepted < count ? pairs[step->accepted].score : score - 1;
    return true;
}

static void count_pairs(const struct hs_verification_pair *pairs, size_t count, size_t *ret_same, size_t *ret_different)
{
    *ret_same = 0;
    for (size_t i = 0; i < count; i++)
        *ret_same += pairs[i].same;
    *ret_different = count - *ret_same;
}

static double share(size_t part, size_t all)
{
    return all ? (double) part / (double) all : 0;
}

/* Updates the results with one step; `before` is the previous one. */
static void update_results(struct hs_verification *v, const struct hs_verification_pair *pairs,
                           const struct step *before, const struct step *step, double *closest)
{
    double far = share(step->different, v->different), missed = 1 - share(step->same, v->same);
    if (fabs(far - missed) <= *closest) {
        *closest = fabs(far - missed);
        v->eer = (far + missed) / 2;
        v->eer_threshold = step->threshold;
    }
    double accuracy = share(step->same + v->different - step->different, v->same + v->different);
    if (accuracy >= v->accuracy) {
        v->accuracy = accuracy;
        v->best_threshold = step->accepted ? (step->threshold + pairs[step->accepted - 1].score) / 2 : step->threshold;
    }
    /* Each same pair of this step scores above all remaining different pairs, and equal to the
     * different pairs of this step, which count half. */
    if (before) {
        double rest = (double) (v->different - step->different);
        double beside = (double) (step->different - before->different) / 2;
        v->auc += (double) (step->same - before->same) * (rest + beside);
    }
}

int hs_verification_measure(struct hs_verification_pair *pairs, size_t count, struct hs_verification *ret_result,
                            struct hs_error *err)
{
    struct hs_verification v = { 0 };
    count_pairs(pairs, count, &v.same, &v.different);
    if (v.same == 0 || v.different == 0)
        return hs_error_set(err, HS_EINVAL, "no pairs of %s; both kinds are required",
                            v.same ? "different people" : "the same person");
    qsort(pairs, count, sizeof(*pairs), descending);
    struct step step = { .threshold = pairs[0].score }, before = step; /* accepts no pair */
    double closest = 2;
    update_results(&v, pairs, NULL, &step, &closest);
    while (next_step(pairs, count, &step)) {
        update_results(&v, pairs, &before, &step, &closest);
        before = step;
    }
    v.auc /= (double) v.same * (double) v.different;
    *ret_result = v;
    return 0;
}

struct hs_verification_point hs_verification_at_far(const struct hs_verification_pair *pairs, size_t count, double far)
{
    size_t same, different;
    count_pairs(pairs, count, &same, &different);
    struct step step = { .threshold = pairs[0].score }, best = step; /* accepts no pair */
    while (next_step(pairs, count, &step) && share(step.different, different) <= far)
        best = step;
    return (struct hs_verification_point) {
        .threshold = best.threshold,
        .tar = share(best.same, same),
        .far = share(best.different, different),
    };
}

struct hs_verification_point hs_verification_at(const struct hs_verification_pair *pairs, size_t count,
                                                double threshold)
{
    size_t same, different, taken[2] = { 0 };
    count_pairs(pairs, count, &same, &different);
    for (size_t i = 0; i < count; i++)
        taken[pairs[i].same] += pairs[i].score > threshold;
    return (struct hs_verification_point) {
        .threshold = threshold,
        .tar = share(taken[true], same),
        .far = share(taken[false], different),
    };
}
