#include "gallery/search_scan.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "gallery/search_kernel.h"

/* SLICE rows are scanned between two reads of the limit; FEW of them are compared with it at once,
 * without a branch. */
enum { SLICE = 128, FEW = 16, FIRST_CANDIDATES = 512 };

/* More than rounding can add to a bound computed in float: score and bound are below 4, and result
 * from fewer than ten operations of relative error 2^-24. */
#define FLOAT_SLACK 4e-6f
/* The same in double precision; also covers the sum in hs_search_score. */
#define DOUBLE_SLACK 1e-10

int hs_search_query_init(struct hs_search_query *query, const struct hs_search_rows *rows, const float *vector)
{
    *query = (struct hs_search_query) {
        .stride = rows->stride,
        .norm = hs_search_norm(vector, rows->dimension),
    };
    query->coarse = aligned_alloc(HS_SEARCH_ALIGN, 2 * rows->stride);
    if (!query->coarse)
        return HS_ENOMEM;
    query->fine = query->coarse + rows->stride;
    query->coarse_scale = hs_quantize(vector, rows->dimension, rows->stride, query->coarse);
    query->fine_scale =
        hs_quantize_rest(vector, rows->dimension, rows->stride, query->coarse_scale, query->coarse, query->fine);
    return 0;
}

void hs_search_query_finish(struct hs_search_query *query)
{
    hs_mem_free_wiped(query->coarse, 2 * query->stride);
    free(query->deleted);
}

int hs_search_query_add_deleted(struct hs_search_query *query, int64_t id)
{
    int64_t *deleted = realloc(query->deleted, (query->deleted_count + 1) * sizeof(*deleted));
    if (!deleted)
        return HS_ENOMEM;
    query->deleted = deleted;
    query->deleted[query->deleted_count++] = id;
    return 0;
}

static bool is_deleted(const struct hs_search_query *query, int64_t id)
{
    for (size_t i = 0; i < query->deleted_count; i++)
        if (query->deleted[i] == id)
            return true;
    return false;
}

int hs_search_scan_init(struct hs_search_scan *scan, size_t k, double above)
{
    *scan = (struct hs_search_scan) { .status = 0 };
    return scan->status = hs_top_k_init(&scan->lower, k, above);
}

void hs_search_scan_finish(struct hs_search_scan *scan)
{
    hs_top_k_finish(&scan->lower);
    free(scan->candidates);
}

/* Returns the limit as a float that does not exceed it. */
static float limit_of(const struct hs_search_scan *scan)
{
    double limit = hs_top_k_limit(&scan->lower);
    float rounded = (float) limit;
    return (double) rounded > limit ? nextafterf(rounded, -INFINITY) : rounded;
}

/* Drops the candidates that the current limit rules out. */
static void prune(struct hs_search_scan *scan)
{
    float limit = limit_of(scan);
    size_t kept = 0;
    for (size_t i = 0; i < scan->count; i++)
        if (scan->candidates[i].upper >= limit)
            scan->candidates[kept++] = scan->candidates[i];
    scan->count = kept;
}

/* Prunes the candidates first; grows the array only if it is still more than half full. */
static bool make_room(struct hs_search_scan *scan)
{
    prune(scan);
    if (scan->count < scan->capacity / 2)
        return true;
    return HS_ARRAY_RESERVE(scan->candidates, scan->capacity, scan->capacity ? scan->capacity + 1 : FIRST_CANDIDATES);
}

static void push(struct hs_search_scan *scan, struct hs_search_candidate candidate)
{
    if (scan->count == scan->capacity && !make_room(scan)) {
        scan->status = HS_ENOMEM;
        return;
    }
    scan->candidates[scan->count++] = candidate;
}

/* Bounds of a slice: approximate scores and their maximum errors. */
struct slice {
    float scores[SLICE], margins[SLICE];
};

static void take(struct hs_search_scan *scan, const struct hs_search_block *block, const struct hs_search_query *query,
                 const struct slice *slice, size_t i, size_t at, uint32_t row)
{
    if (query->deleted_count && is_deleted(query, block->ids[at]))
        return;
    push(scan, (struct hs_search_candidate) { .row = row, .upper = slice->scores[i] + slice->margins[i] });
    double lower = (double) slice->scores[i] - slice->margins[i];
    if (lower > hs_top_k_limit(&scan->lower) || scan->lower.count < scan->lower.k)
        hs_top_k_offer(&scan->lower, (struct hs_search_hit) { block->identities[at], block->ids[at], lower });
}

/* Inline, so that a full slice has a constant length, which lets compilers vectorize the loop. */
static inline void bound(const struct hs_search_block *block, const struct hs_search_query *query, size_t from,
                         size_t count, const int32_t *restrict dots, struct slice *restrict slice)
{
    float scale = query->coarse_scale.scale, per_error = (float) query->norm + query->coarse_scale.error;
    float fixed = (float) HS_SEARCH_MAX_NORM * query->coarse_scale.error + FLOAT_SLACK;
    const float *restrict scales = block->scales + from, *restrict errors = block->errors + from;
    for (size_t i = 0; i < count; i++) {
        slice->scores[i] = (float) dots[i] * scales[i] * scale;
        slice->margins[i] = errors[i] * per_error + fixed;
    }
}

static inline int any_above(const struct slice *slice, size_t from, size_t count, float limit)
{
    int any = 0;
    for (size_t i = from; i < from + count; i++)
        any |= slice->scores[i] + slice->margins[i] >= limit;
    return any;
}

static void filter(struct hs_search_scan *scan, const struct hs_search_block *block,
                   const struct hs_search_query *query, const struct slice *slice, size_t from, size_t count,
                   uint32_t first_row)
{
    float limit = limit_of(scan);
    for (size_t i = 0; i < count;) {
        size_t end = i + FEW < count ? i + FEW : count;
        int any = end - i == FEW ? any_above(slice, i, FEW, limit) : any_above(slice, i, end - i, limit);
        for (; any && i < end; i++) {
            if (slice->scores[i] + slice->margins[i] < limit)
                continue;
            take(scan, block, query, slice, i, from + i, first_row + (uint32_t) i);
            limit = limit_of(scan);
        }
        i = end;
    }
}

void hs_search_scan_block(struct hs_search_scan *scan, const struct hs_search_rows *rows,
                          const struct hs_search_query *query, size_t at)
{
    const struct hs_search_block *block = &rows->blocks[at];
    hs_search_dots dots = hs_search_kernel_best()->dots;
    size_t used = hs_search_rows_used(rows, at);
    for (size_t from = 0; from < used && scan->status == 0; from += SLICE) {
        size_t count = used - from < SLICE ? used - from : SLICE;
        int32_t products[SLICE];
        struct slice slice;
        dots(query->coarse, block->codes + from * rows->stride, rows->stride, count, products);
        if (count == SLICE)
            bound(block, query, from, SLICE, products, &slice);
        else
            bound(block, query, from, count, products, &slice);
        filter(scan, block, query, &slice, from, count, (uint32_t) ((at << rows->shift) + from));
    }
}

void hs_search_scan_merge(struct hs_search_scan *scan, const struct hs_search_scan *other)
{
    for (size_t i = 0; i < other->lower.count; i++)
        hs_top_k_offer(&scan->lower, other->lower.hits[i]);
    for (size_t i = 0; i < other->count && scan->status == 0; i++)
        push(scan, other->candidates[i]);
    if (other->status < 0)
        scan->status = other->status;
}

/* Computes a row's score with both parts of the query, so that the row's own error is nearly all
 * that remains. */
static double closer_score(const struct hs_search_rows *rows, const struct hs_search_query *query,
                           const struct hs_search_block *block, size_t at, double *ret_margin)
{
    hs_search_dots dots = hs_search_kernel_best()->dots;
    const int8_t *codes = block->codes + at * rows->stride;
    int32_t coarse, fine;
    dots(query->coarse, codes, rows->stride, 1, &coarse);
    dots(query->fine, codes, rows->stride, 1, &fine);
    double error = block->errors[at];
    *ret_margin = query->norm * error + query->fine_scale.error * (HS_SEARCH_MAX_NORM + error) + DOUBLE_SLACK;
    return block->scales[at] * ((double) query->coarse_scale.scale * coarse + (double) query->fine_scale.scale * fine);
}

static int by_upper(const void *pa, const void *pb)
{
    const struct hs_search_finding *a = pa, *b = pb;
    return (a->upper < b->upper) - (a->upper > b->upper);
}

int hs_search_scan_findings(struct hs_search_scan *scan, const struct hs_search_rows *rows,
                            const struct hs_search_query *query, struct hs_search_finding **ret_findings,
                            size_t *ret_count)
{
    if (scan->status < 0)
        return scan->status;
    prune(scan);
    struct hs_search_finding *findings = calloc(scan->count + 1, sizeof(*findings));
    if (!findings)
        return HS_ENOMEM;
    hs_top_k_clear(&scan->lower);
    for (size_t i = 0; i < scan->count; i++) {
        size_t at;
        const struct hs_search_block *block = hs_search_rows_block(rows, scan->candidates[i].row, &at);
        double margin, score = closer_score(rows, query, block, at, &margin);
        findings[i] = (struct hs_search_finding) { block->identities[at], block->ids[at], score + margin };
        hs_top_k_offer(&scan->lower, (struct hs_search_hit) { block->identities[at], block->ids[at], score - margin });
    }
    double limit = hs_top_k_limit(&scan->lower);
    size_t kept = 0;
    for (size_t i = 0; i < scan->count; i++)
        if (findings[i].upper >= limit)
            findings[kept++] = findings[i];
    qsort(findings, kept, sizeof(*findings), by_upper);
    *ret_findings = findings;
    *ret_count = kept;
    return 0;
}

/* ---- the best k ---- */

int hs_top_k_init(struct hs_top_k *best, size_t k, double floor)
{
    *best = (struct hs_top_k) { .k = k, .floor = floor };
    best->hits = calloc(k, sizeof(*best->hits));
    return best->hits ? 0 : HS_ENOMEM;
}

void hs_top_k_finish(struct hs_top_k *best)
{
    free(best->hits);
    best->hits = NULL;
}

void hs_top_k_clear(struct hs_top_k *best)
{
    best->count = best->worst = 0;
}

/* Returns a negative value if a comes first. */
static int compare(const void *pa, const void *pb)
{
    const struct hs_search_hit *a = pa, *b = pb;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    if (a->identity != b->identity)
        return a->identity < b->identity ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

static struct hs_search_hit *find(struct hs_top_k *best, int64_t identity)
{
    for (size_t i = 0; i < best->count; i++)
        if (best->hits[i].identity == identity)
            return &best->hits[i];
    return NULL;
}

void hs_top_k_offer(struct hs_top_k *best, struct hs_search_hit hit)
{
    bool full = best->count == best->k;
    if (hit.score <= best->floor || (full && compare(&hit, &best->hits[best->worst]) >= 0))
        return;
    struct hs_search_hit *place = find(best, hit.identity);
    if (place && compare(&hit, place) >= 0)
        return;
    if (!place)
        place = full ? &best->hits[best->worst] : &best->hits[best->count++];
    *place = hit;
    best->worst = 0;
    for (size_t i = 1; i < best->count; i++)
        if (compare(&best->hits[i], &best->hits[best->worst]) > 0)
            best->worst = i;
}

void hs_top_k_sort(struct hs_top_k *best)
{
    qsort(best->hits, best->count, sizeof(*best->hits), compare);
}
