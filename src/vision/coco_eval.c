/* All comparisons and sorts have the order of pycocotools, because equal scores and borderline matches
 * would otherwise change the result. Matching runs once per image for all size ranges. It keeps of each
 * detection the score and, for each of ten thresholds, a matched bit and an ignored bit. */
#include "vision/coco_eval.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

enum { THRESHOLDS = 10, RECALLS = 101, RANGES = 3, MAX_RESULTS = 20 };

static const double area_range[RANGES][2] = { { 0, 1e10 }, { 32 * 32, 96 * 96 }, { 96 * 96, 1e10 } };

/* An item of a sorted list: `index` points into the caller's array. Lists are grouped by image. */
struct key {
    int64_t image_id;
    double score;
    size_t index;
};

/* Result of one detection; bit t of the masks belongs to threshold t. */
struct outcome {
    double score;
    size_t order;
    uint16_t matched, ignored;
};

/* Precision and recall of one size range; -1 if no person of that size is annotated. */
struct summary {
    double precision[THRESHOLDS], recall[THRESHOLDS];
};

struct evaluation {
    const struct hs_coco_truth *truths;
    const struct hs_coco_result *results;
    struct key *truth_keys, *result_keys;
    size_t truth_count, result_count; /* lengths of truth_keys and result_keys */
    struct outcome *outcomes[RANGES];
    size_t outcome_count;
    size_t positives[RANGES]; /* number of truths that are not ignored */
    /* of one image: similarities [result][truth], order of the truths, and their ignored and matched
     * flags */
    double *similarity;
    size_t *truth_order;
    bool *truth_ignored, *truth_taken;
};

double hs_coco_result_area(const double keypoints[3 * HS_COCO_KEYPOINTS])
{
    double x1 = keypoints[0], x2 = x1, y1 = keypoints[1], y2 = y1;
    for (int i = 1; i < HS_COCO_KEYPOINTS; i++) {
        x1 = fmin(x1, keypoints[3 * i]);
        x2 = fmax(x2, keypoints[3 * i]);
        y1 = fmin(y1, keypoints[3 * i + 1]);
        y2 = fmax(y2, keypoints[3 * i + 1]);
    }
    return (x2 - x1) * (y2 - y1);
}

/* Returns the distance of v from the range low..high. */
static double outside(double v, double low, double high)
{
    return fmax(0, low - v) + fmax(0, v - high);
}

double hs_coco_similarity(const struct hs_coco_truth *truth, const struct hs_coco_result *result)
{
    int labelled = 0;
    for (int i = 0; i < HS_COCO_KEYPOINTS; i++)
        labelled += truth->keypoints[3 * i + 2] > 0;
    const double *b = truth->bbox;
    double sum = 0;
    for (int i = 0; i < HS_COCO_KEYPOINTS; i++) {
        const double *want = truth->keypoints + 3 * i, *got = result->keypoints + 3 * i;
        double dx, dy, spread = 2 * hs_coco_sigmas[i];
        if (labelled > 0 && !(want[2] > 0))
            continue;
        if (labelled > 0) {
            dx = got[0] - want[0];
            dy = got[1] - want[1];
        } else {
            dx = outside(got[0], b[0] - b[2], b[0] + b[2] * 2);
            dy = outside(got[1], b[1] - b[3], b[1] + b[3] * 2);
        }
        sum += exp(-((dx * dx + dy * dy) / (spread * spread) / (truth->area + DBL_EPSILON) / 2));
    }
    return sum / (labelled > 0 ? labelled : HS_COCO_KEYPOINTS);
}

/* Returns numpy.linspace(first, last, count)[i], rounded the same way. */
static double linspace(double first, double last, int count, int i)
{
    if (i == count - 1)
        return last;
    double step = (last - first) / (count - 1);
    double offset = i * step;
    return first + offset;
}

static int compare_ids(const void *left, const void *right)
{
    int64_t a = *(const int64_t *) left, b = *(const int64_t *) right;
    return (a > b) - (a < b);
}

/* Sorts by image, then descending score, then the caller's order. */
static int compare_keys(const void *left, const void *right)
{
    const struct key *a = left, *b = right;
    if (a->image_id != b->image_id)
        return a->image_id < b->image_id ? -1 : 1;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

static int compare_outcomes(const void *left, const void *right)
{
    const struct outcome *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return (a->order > b->order) - (a->order < b->order);
}

/* Orders the truths of one size range with ignored ones last, as in pycocotools' evaluateImg. */
static void order_truths(struct evaluation *e, const struct key *truths, size_t count, int range)
{
    size_t used = 0;
    for (int ignored = 0; ignored < 2; ignored++) {
        for (size_t i = 0; i < count; i++) {
            const struct hs_coco_truth *truth = &e->truths[truths[i].index];
            bool ignore = truth->is_crowd || truth->keypoint_count == 0 || truth->area < area_range[range][0] ||
                          truth->area > area_range[range][1];
            if (ignore != ignored)
                continue;
            e->truth_ignored[used] = ignore;
            e->truth_order[used++] = i;
            if (!ignore)
                e->positives[range]++;
        }
    }
}

/* Returns the index in truth_order of the best free truth for a detection, or `count`. A crowd is
 * always free. A truth that is not ignored takes precedence over an ignored one, whatever the
 * similarities. */
static size_t best_truth(const struct evaluation *e, const struct key *truths, size_t count, const double *similarity,
                         double threshold)
{
    double best = fmin(threshold, 1 - 1e-10);
    size_t found = count;
    for (size_t i = 0; i < count; i++) {
        size_t truth = e->truth_order[i];
        if (e->truth_taken[i] && !e->truths[truths[truth].index].is_crowd)
            continue;
        if (found < count && !e->truth_ignored[found] && e->truth_ignored[i])
            break;
        if (similarity[truth] < best)
            continue;
        best = similarity[truth];
        found = i;
    }
    return found;
}

static void match_picture(struct evaluation *e, const struct key *truths, size_t truth_count, const struct key *results,
                          size_t result_count, int range)
{
    struct outcome *outcomes = e->outcomes[range] + e->outcome_count;
    order_truths(e, truths, truth_count, range);
    for (size_t i = 0; i < result_count; i++)
        outcomes[i] = (struct outcome) { .score = results[i].score, .order = e->outcome_count + i };
    for (int t = 0; t < THRESHOLDS; t++) {
        double threshold = linspace(0.5, 0.95, THRESHOLDS, t);
        uint16_t bit = (uint16_t) (1u << t);
        for (size_t i = 0; i < truth_count; i++)
            e->truth_taken[i] = false;
        for (size_t i = 0; i < result_count; i++) {
            double area = e->results[results[i].index].area;
            size_t best = best_truth(e, truths, truth_count, e->similarity + i * truth_count, threshold);
            bool matched = best < truth_count;
            if (matched) {
                e->truth_taken[best] = true;
                outcomes[i].matched |= bit;
            }
            if (matched ? e->truth_ignored[best] : area < area_range[range][0] || area > area_range[range][1])
                outcomes[i].ignored |= bit;
        }
    }
}

static void evaluate_picture(struct evaluation *e, const struct key *truths, size_t truth_count,
                             const struct key *results, size_t result_count)
{
    if (result_count > MAX_RESULTS)
        result_count = MAX_RESULTS;
    for (size_t i = 0; i < result_count; i++)
        for (size_t j = 0; j < truth_count; j++)
            e->similarity[i * truth_count + j] =
                hs_coco_similarity(&e->truths[truths[j].index], &e->results[results[i].index]);
    for (int range = 0; range < RANGES; range++)
        match_picture(e, truths, truth_count, results, result_count, range);
    e->outcome_count += result_count;
}

/* Walks both key lists together; both are sorted by image. */
static void evaluate_pictures(struct evaluation *e)
{
    size_t t = 0, r = 0;
    while (t < e->truth_count || r < e->result_count) {
        size_t t_end = t, r_end = r;
        int64_t image = t < e->truth_count ? e->truth_keys[t].image_id : INT64_MAX;
        if (r < e->result_count && e->result_keys[r].image_id < image)
            image = e->result_keys[r].image_id;
        while (t_end < e->truth_count && e->truth_keys[t_end].image_id == image)
            t_end++;
        while (r_end < e->result_count && e->result_keys[r_end].image_id == image)
            r_end++;
        evaluate_picture(e, e->truth_keys + t, t_end - t, e->result_keys + r, r_end - r);
        t = t_end;
        r = r_end;
    }
}

/* Computes the mean precision at 101 recalls for one threshold, and the recall reached. `precision` and
 * `recall` have room for all outcomes. */
static void accumulate(const struct outcome *outcomes, size_t count, size_t positives, int t, double *precision,
                       double *recall, struct summary *summary)
{
    double hits = 0, misses = 0;
    summary->precision[t] = summary->recall[t] = -1;
    if (positives == 0)
        return;
    for (size_t i = 0; i < count; i++) {
        if (!(outcomes[i].ignored >> t & 1)) {
            if (outcomes[i].matched >> t & 1)
                hits++;
            else
                misses++;
        }
        recall[i] = hits / (double) positives;
        precision[i] = hits / (misses + hits + DBL_EPSILON);
    }
    for (size_t i = count; i-- > 1;)
        if (precision[i] > precision[i - 1])
            precision[i - 1] = precision[i];
    double sum = 0;
    size_t at = 0;
    for (int i = 0; i < RECALLS; i++) {
        double wanted = linspace(0, 1, RECALLS, i);
        while (at < count && recall[at] < wanted)
            at++;
        sum += at < count ? precision[at] : 0;
    }
    summary->precision[t] = sum / RECALLS;
    summary->recall[t] = count ? recall[count - 1] : 0;
}

static double mean(const double values[THRESHOLDS])
{
    double sum = 0;
    for (int i = 0; i < THRESHOLDS; i++)
        sum += values[i];
    return sum / THRESHOLDS;
}

static int summarize(struct evaluation *e, struct hs_coco_metrics *ret)
{
    struct summary s[RANGES];
    double *precision = calloc(e->outcome_count + 1, sizeof(*precision));
    double *recall = calloc(e->outcome_count + 1, sizeof(*recall));
    bool enough = precision && recall;
    for (int range = 0; enough && range < RANGES; range++) {
        qsort(e->outcomes[range], e->outcome_count, sizeof(struct outcome), compare_outcomes);
        for (int t = 0; t < THRESHOLDS; t++)
            accumulate(e->outcomes[range], e->outcome_count, e->positives[range], t, precision, recall, &s[range]);
    }
    free(precision);
    free(recall);
    if (!enough)
        return HS_ENOMEM;
    *ret = (struct hs_coco_metrics) {
        .ap = mean(s[0].precision),
        .ap50 = s[0].precision[0],
        .ap75 = s[0].precision[5],
        .ar = mean(s[0].recall),
        .ar50 = s[0].recall[0],
        .ar75 = s[0].recall[5],
        .ap_medium = mean(s[1].precision),
        .ap_large = mean(s[2].precision),
        .ar_medium = mean(s[1].recall),
        .ar_large = mean(s[2].recall),
    };
    return 0;
}

static int sort_keys(struct evaluation *e, const int64_t *ids, size_t id_count, size_t truth_count, size_t result_count)
{
    e->truth_keys = calloc(truth_count + 1, sizeof(struct key));
    e->result_keys = calloc(result_count + 1, sizeof(struct key));
    if (!e->truth_keys || !e->result_keys)
        return HS_ENOMEM;
    for (size_t i = 0; i < truth_count; i++)
        if (bsearch(&e->truths[i].image_id, ids, id_count, sizeof(*ids), compare_ids))
            e->truth_keys[e->truth_count++] = (struct key) { .image_id = e->truths[i].image_id, .index = i };
    for (size_t i = 0; i < result_count; i++)
        if (bsearch(&e->results[i].image_id, ids, id_count, sizeof(*ids), compare_ids))
            e->result_keys[e->result_count++] =
                (struct key) { .image_id = e->results[i].image_id, .score = e->results[i].score, .index = i };
    qsort(e->truth_keys, e->truth_count, sizeof(struct key), compare_keys);
    qsort(e->result_keys, e->result_count, sizeof(struct key), compare_keys);
    return 0;
}

static int allocate(struct evaluation *e)
{
    size_t truths = e->truth_count + 1; /* upper bound for one image */
    e->similarity = calloc(truths, MAX_RESULTS * sizeof(*e->similarity));
    e->truth_order = calloc(truths, sizeof(*e->truth_order));
    e->truth_ignored = calloc(truths, sizeof(*e->truth_ignored));
    e->truth_taken = calloc(truths, sizeof(*e->truth_taken));
    bool enough = e->similarity && e->truth_order && e->truth_ignored && e->truth_taken;
    for (int range = 0; range < RANGES; range++) {
        e->outcomes[range] = calloc(e->result_count + 1, sizeof(struct outcome));
        enough = enough && e->outcomes[range];
    }
    return enough ? 0 : HS_ENOMEM;
}

static void finish(struct evaluation *e)
{
    for (int range = 0; range < RANGES; range++)
        free(e->outcomes[range]);
    free(e->truth_taken);
    free(e->truth_ignored);
    free(e->truth_order);
    free(e->similarity);
    free(e->result_keys);
    free(e->truth_keys);
}

int hs_coco_evaluate(const int64_t *image_ids, size_t image_count, const struct hs_coco_truth *truths,
                     size_t truth_count, const struct hs_coco_result *results, size_t result_count,
                     struct hs_coco_metrics *ret_metrics, struct hs_error *err)
{
    struct evaluation e = { .truths = truths, .results = results };
    int r = HS_ENOMEM;
    int64_t *ids = calloc(image_count + 1, sizeof(*ids));
    if (ids) {
        for (size_t i = 0; i < image_count; i++)
            ids[i] = image_ids[i];
        qsort(ids, image_count, sizeof(*ids), compare_ids);
        r = sort_keys(&e, ids, image_count, truth_count, result_count);
    }
    if (r == 0)
        r = allocate(&e);
    if (r == 0) {
        evaluate_pictures(&e);
        r = summarize(&e, ret_metrics);
    }
    finish(&e);
    free(ids);
    return r < 0 ? hs_error_set(err, r, "no memory to evaluate %zu detections", result_count) : 0;
}
