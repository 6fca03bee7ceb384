/* Exact search over copies with eight bits per component.
 *
 * A vector v is stored as v' = s c, with codes c in -127..127 and a scale s. So v = v' + e; the length |e| of the
 * error is measured when v is added. The query q is coded in the same way, q = q' + f. Then
 *
 *     q.v - q'.v'  =  q.e + f.v'       and by Cauchy-Schwarz
 *    |q.v - q'.v'| <= |q| |e| + |f| |v'| <= |q| |e| + |f| (1.01 + |e|),
 *
 * because 1.01 is the largest |v| that is accepted and |v'| <= |v| + |e|. q'.v' is the dot product of the codes, an
 * exact integer, times both scales; a fixed slack covers the rounding of the few operations after it. So each score
 * lies between a lower and an upper bound, about 0.015 to either side for 512 dimensions.
 *
 * 1. The scan reads all codes once. It keeps the k best lower bounds of different identities. k scores are at least
 *    the worst of these bounds, so a row with a lower upper bound cannot be in the result.
 * 2. The remaining rows are compared again with q in two sets of codes, which makes |f| two hundred times smaller.
 * 3. Vectors are fetched and scored exactly, highest upper bound first, until the next bound is below the k-th score.
 *
 * The result therefore equals that of scoring every vector. Fetching a handful of vectors (8 for k = 5 in a random
 * gallery) is cheaper than a second copy in memory: sixteen bits per component would take half the memory of the
 * vectors. The worst case is a gallery of equal vectors: all of them are fetched, unless the threshold excludes them.
 *
 * If the store no longer has a vector that is still in the index, the scan is repeated without it, because it may
 * have raised the limit for others.
 *
 * The kernels are our own because Debian has no library for them: SimSIMD is not packaged, and faiss scans float32,
 * or bytes that it converts to float32, and does not use bounds. On a Zen 4 core a scan takes as long as a plain read
 * of the same bytes: 0.15 to 0.25 of the time of faiss 1.15 with its flat float32 index (100,000 and 1,000,000
 * vectors). */
#include "gallery/search.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/pool.h"
#include "gallery/search_scan.h"

/* The calling thread scans galleries of up to this many rows alone. */
enum { SINGLE_THREAD_ROWS = 50000 };

struct hs_search {
    size_t dimension;
    hs_search_fetch fetch;
    void *ctx;
    int threads; /* maximum number of threads per query */

    pthread_mutex_t pool_lock; /* guards the next two fields */
    struct hs_pool *pool;      /* NULL until the first large scan, or if starting threads failed */
    bool pool_tried;

    pthread_rwlock_t lock; /* guards rows; not held while vectors are fetched */
    struct hs_search_rows rows;
};

/* Prefers waiting writers over later readers, so that a busy service cannot block changes forever. */
static void init_lock(pthread_rwlock_t *lock)
{
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(lock, &attr);
    pthread_rwlockattr_destroy(&attr);
}

int hs_search_create(size_t dimension, int threads, hs_search_fetch fetch, void *ctx, struct hs_search **ret_search,
                     struct hs_error *err)
{
    assert(threads >= 1);
    if (dimension < 1 || dimension > HS_SEARCH_MAX_DIMENSION)
        return hs_error_set(err, HS_EINVAL, "cannot search vectors of %zu dimensions; 1 to %d are supported", dimension,
                            HS_SEARCH_MAX_DIMENSION);
    struct hs_search *search = calloc(1, sizeof(*search));
    if (!search)
        return hs_error_set(err, HS_ENOMEM, "no memory for the search index");
    search->dimension = dimension;
    search->fetch = fetch;
    search->ctx = ctx;
    search->threads = threads;
    pthread_mutex_init(&search->pool_lock, NULL);
    init_lock(&search->lock);
    hs_search_rows_init(&search->rows, dimension);
    *ret_search = search;
    return 0;
}

void hs_search_destroy(struct hs_search *search)
{
    if (!search)
        return;
    hs_pool_destroy(search->pool);
    pthread_mutex_destroy(&search->pool_lock);
    hs_search_rows_finish(&search->rows);
    pthread_rwlock_destroy(&search->lock);
    free(search);
}

int hs_search_reserve(struct hs_search *search, size_t count, struct hs_error *err)
{
    pthread_rwlock_wrlock(&search->lock);
    int r = hs_search_rows_reserve(&search->rows, count);
    if (r == 0)
        hs_search_rows_use_huge_pages(&search->rows);
    pthread_rwlock_unlock(&search->lock);
    return r < 0 ? hs_error_set(err, r, "no memory for %zu embeddings", count) : 0;
}

static int check_vector(const struct hs_search *search, const float *vector, struct hs_error *err)
{
    if (hs_search_is_unit(vector, search->dimension))
        return 0;
    return hs_error_set(err, HS_EINVAL, "the embedding has length %g instead of 1",
                        hs_search_norm(vector, search->dimension));
}

int hs_search_add(struct hs_search *search, int64_t id, int64_t identity, const float *vector, struct hs_error *err)
{
    int r = check_vector(search, vector, err);
    if (r < 0)
        return r;
    pthread_rwlock_wrlock(&search->lock);
    r = hs_search_rows_add(&search->rows, id, identity, vector);
    pthread_rwlock_unlock(&search->lock);
    return r < 0 ? hs_error_set(err, r, "no memory for another embedding") : 0;
}

size_t hs_search_remove_identity(struct hs_search *search, int64_t identity)
{
    pthread_rwlock_wrlock(&search->lock);
    size_t removed = hs_search_rows_remove_identity(&search->rows, identity);
    pthread_rwlock_unlock(&search->lock);
    return removed;
}

size_t hs_search_count(struct hs_search *search)
{
    pthread_rwlock_rdlock(&search->lock);
    size_t count = search->rows.count;
    pthread_rwlock_unlock(&search->lock);
    return count;
}

size_t hs_search_memory(struct hs_search *search)
{
    pthread_rwlock_rdlock(&search->lock);
    size_t bytes = sizeof(*search) + hs_search_rows_memory(&search->rows);
    pthread_rwlock_unlock(&search->lock);
    return bytes;
}

/* ---- parallel scan ---- */

/* A running scan. Each thread takes the next block when it is free. */
struct work {
    const struct hs_search_rows *rows;
    const struct hs_search_query *query;
    atomic_size_t next;
    pthread_mutex_t lock; /* guards `ended` */
    pthread_cond_t done;
    int ended; /* number of helpers that have finished */
};

struct helper {
    struct work *work;
    struct hs_search_scan scan;
};

/* Returns NULL if threads could not be started: without helpers a scan is slower, but correct. */
static struct hs_pool *pool_of(struct hs_search *search)
{
    pthread_mutex_lock(&search->pool_lock);
    if (!search->pool_tried) {
        int helpers = search->threads - 1;
        search->pool_tried = true;
        if (hs_pool_create("search", helpers, (size_t) helpers, false, &search->pool, NULL) < 0)
            search->pool = NULL;
    }
    struct hs_pool *pool = search->pool;
    pthread_mutex_unlock(&search->pool_lock);
    return pool;
}

static void scan_blocks(struct work *work, struct hs_search_scan *scan)
{
    size_t block;
    while (block = atomic_fetch_add(&work->next, 1), block << work->rows->shift < work->rows->count)
        hs_search_scan_block(scan, work->rows, work->query, block);
}

static void run_helper(void *arg)
{
    struct helper *helper = arg;
    struct work *work = helper->work;
    scan_blocks(work, &helper->scan);
    pthread_mutex_lock(&work->lock);
    work->ended++;
    pthread_cond_signal(&work->done);
    pthread_mutex_unlock(&work->lock);
}

/* Starts helpers and returns their number. Starts none if other scans still wait for threads: then
 * each query already has its own thread. */
static int start(struct hs_pool *pool, struct work *work, struct helper *helpers, int wanted,
                 const struct hs_top_k *best)
{
    int count = 0;
    bool started = hs_pool_waiting(pool) == 0;
    while (started && count < wanted) {
        struct helper *helper = &helpers[count];
        helper->work = work;
        started = hs_search_scan_init(&helper->scan, best->k, best->floor) == 0 &&
                  hs_pool_submit(pool, run_helper, helper, HS_NO_DEADLINE) == 0;
        if (started)
            count++;
        else
            hs_search_scan_finish(&helper->scan);
    }
    return count;
}

static void scan_parallel(struct hs_search *search, struct work *work, struct hs_search_scan *scan)
{
    struct hs_pool *pool = pool_of(search);
    struct helper *helpers = pool ? calloc((size_t) search->threads - 1, sizeof(*helpers)) : NULL;
    pthread_mutex_init(&work->lock, NULL);
    pthread_cond_init(&work->done, NULL);
    int count = helpers ? start(pool, work, helpers, search->threads - 1, &scan->lower) : 0;
    scan_blocks(work, scan);
    pthread_mutex_lock(&work->lock);
    while (work->ended < count)
        pthread_cond_wait(&work->done, &work->lock);
    pthread_mutex_unlock(&work->lock);
    for (int i = 0; i < count; i++) {
        hs_search_scan_merge(scan, &helpers[i].scan);
        hs_search_scan_finish(&helpers[i].scan);
    }
    pthread_cond_destroy(&work->done);
    pthread_mutex_destroy(&work->lock);
    free(helpers);
}

/* Returns the rows that may be among the best k. Call with the lock held for reading. Caller frees
 * *ret_findings with free(). */
static int scan_all(struct hs_search *search, const struct hs_search_query *query, const struct hs_top_k *best,
                    struct hs_search_finding **ret_findings, size_t *ret_count)
{
    struct hs_search_scan scan;
    struct work work = { .rows = &search->rows, .query = query };
    int r = hs_search_scan_init(&scan, best->k, best->floor);
    if (r == 0) {
        if (search->threads > 1 && search->rows.count > SINGLE_THREAD_ROWS)
            scan_parallel(search, &work, &scan);
        else
            scan_blocks(&work, &scan);
        r = hs_search_scan_findings(&scan, &search->rows, query, ret_findings, ret_count);
    }
    hs_search_scan_finish(&scan);
    return r;
}

/* ---- queries ---- */

/* Scores the findings until no other can be among the best k. *ret_deleted is set if the store no
 * longer has one of them; its id is added to the query. */
static int rescore(struct hs_search *search, struct hs_search_query *query, const float *vector, float *fetched,
                   const struct hs_search_finding *findings, size_t count, struct hs_top_k *best, bool *ret_deleted,
                   struct hs_error *err)
{
    *ret_deleted = false;
    hs_top_k_clear(best);
    for (size_t i = 0; i < count && findings[i].upper >= hs_top_k_limit(best); i++) {
        int r = search->fetch(search->ctx, findings[i].id, fetched, err);
        if (r == HS_ENOTFOUND) {
            *ret_deleted = true;
            r = hs_search_query_add_deleted(query, findings[i].id);
            if (r < 0)
                return hs_error_set(err, r, "no memory for a search");
            continue;
        }
        if (r < 0)
            return r;
        double score = hs_search_score(vector, fetched, search->dimension);
        hs_top_k_offer(best, (struct hs_search_hit) { findings[i].identity, findings[i].id, score });
    }
    return 0;
}

/* Scans the rows once and computes the exact scores of the findings. */
static int search_pass(struct hs_search *search, struct hs_search_query *query, const float *vector, float *fetched,
                       struct hs_top_k *best, bool *ret_again, struct hs_error *err)
{
    struct hs_search_finding *findings = NULL;
    size_t count = 0;
    pthread_rwlock_rdlock(&search->lock);
    int r = scan_all(search, query, best, &findings, &count);
    pthread_rwlock_unlock(&search->lock);
    if (r < 0)
        return hs_error_set(err, r, "no memory for a search");
    r = rescore(search, query, vector, fetched, findings, count, best, ret_again, err);
    free(findings);
    return r;
}

static int search_best(struct hs_search *search, const float *vector, struct hs_top_k *best, struct hs_error *err)
{
    struct hs_search_query query;
    float *fetched = calloc(search->dimension, sizeof(*fetched));
    int r = hs_search_query_init(&query, &search->rows, vector);
    if (r < 0 || !fetched)
        r = hs_error_set(err, HS_ENOMEM, "no memory for a search");
    bool again = true;
    while (r == 0 && again)
        r = search_pass(search, &query, vector, fetched, best, &again, err);
    hs_search_query_finish(&query);
    hs_mem_free_wiped(fetched, search->dimension * sizeof(*fetched));
    return r;
}

int hs_search_identities(struct hs_search *search, const float *vector, size_t k, double above,
                         struct hs_search_hit *ret_hits, size_t *ret_count, struct hs_error *err)
{
    if (k < 1 || k > HS_SEARCH_MAX_K)
        return hs_error_set(err, HS_EINVAL, "%zu results requested; 1 to %d are supported", k, HS_SEARCH_MAX_K);
    int r = check_vector(search, vector, err);
    if (r < 0)
        return r;
    struct hs_top_k best;
    r = hs_top_k_init(&best, k, above);
    if (r < 0)
        return hs_error_set(err, r, "no memory for a search");
    r = search_best(search, vector, &best, err);
    if (r == 0) {
        hs_top_k_sort(&best);
        for (size_t i = 0; i < best.count; i++)
            ret_hits[i] = best.hits[i];
        *ret_count = best.count;
    }
    hs_top_k_finish(&best);
    return r;
}
