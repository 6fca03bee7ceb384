#include "gallery/parallel_scan.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/pool.h"

struct hs_parallel_scan {
    int threads;
    pthread_mutex_t lock; /* guards what follows */
    struct hs_pool *pool; /* NULL until a large scan wants it, or if threads could not be started */
    bool tried;
};

/* A scan under way. Whoever is free takes the next block. */
struct work {
    const struct hs_search_rows *rows;
    const struct hs_search_query *query;
    atomic_size_t next;
    pthread_mutex_t lock; /* guards running */
    pthread_cond_t done;
    int running;
};

struct helper {
    struct work *work;
    struct hs_search_scan scan;
};

struct hs_parallel_scan *hs_parallel_scan_create(int threads)
{
    struct hs_parallel_scan *team = calloc(1, sizeof(*team));
    if (!team)
        return NULL;
    team->threads = threads;
    pthread_mutex_init(&team->lock, NULL);
    return team;
}

void hs_parallel_scan_destroy(struct hs_parallel_scan *team)
{
    if (!team)
        return;
    hs_pool_destroy(team->pool);
    pthread_mutex_destroy(&team->lock);
    free(team);
}

/* Without helpers a scan is slower, not wrong, so a failure to start them is not an error. */
static struct hs_pool *pool_of(struct hs_parallel_scan *team)
{
    pthread_mutex_lock(&team->lock);
    if (!team->tried) {
        team->tried = true;
        if (hs_pool_create("search", team->threads - 1, (size_t) team->threads - 1, false, &team->pool, NULL) < 0)
            team->pool = NULL;
    }
    struct hs_pool *pool = team->pool;
    pthread_mutex_unlock(&team->lock);
    return pool;
}

static void scan_blocks(struct work *work, struct hs_search_scan *scan)
{
    size_t block;
    while (block = atomic_fetch_add(&work->next, 1), block << work->rows->shift < work->rows->count)
        hs_search_scan_block(scan, work->rows, work->query, block);
}

static void help(void *arg)
{
    struct helper *helper = arg;
    struct work *work = helper->work;
    scan_blocks(work, &helper->scan);
    pthread_mutex_lock(&work->lock);
    if (--work->running == 0)
        pthread_cond_signal(&work->done);
    pthread_mutex_unlock(&work->lock);
}

/* Starts helpers and returns their number; none if others still wait: when queries meet, each has a thread already.
 */
static int start(struct hs_pool *pool, struct work *work, struct helper *helpers, int wanted,
                 const struct hs_top_k *best)
{
    int count = 0;
    if (hs_pool_waiting(pool) > 0)
        return 0;
    while (count < wanted) {
        struct helper *helper = &helpers[count];
        helper->work = work;
        if (hs_search_scan_init(&helper->scan, best->k, best->floor) < 0)
            break;
        pthread_mutex_lock(&work->lock);
        work->running++;
        pthread_mutex_unlock(&work->lock);
        if (hs_pool_submit(pool, help, helper, HS_NO_DEADLINE) < 0) {
            pthread_mutex_lock(&work->lock);
            work->running--;
            pthread_mutex_unlock(&work->lock);
            hs_search_scan_finish(&helper->scan);
            break;
        }
        count++;
    }
    return count;
}

static void wait_for_all(struct work *work)
{
    pthread_mutex_lock(&work->lock);
    while (work->running > 0)
        pthread_cond_wait(&work->done, &work->lock);
    pthread_mutex_unlock(&work->lock);
}

static void scan_together(struct hs_parallel_scan *team, struct work *work, struct hs_search_scan *scan)
{
    struct hs_pool *pool = pool_of(team);
    struct helper *helpers = pool ? calloc((size_t) team->threads - 1, sizeof(*helpers)) : NULL;
    pthread_mutex_init(&work->lock, NULL);
    pthread_cond_init(&work->done, NULL);
    int count = helpers ? start(pool, work, helpers, team->threads - 1, &scan->lower) : 0;
    scan_blocks(work, scan);
    wait_for_all(work);
    for (int i = 0; i < count; i++) {
        hs_search_scan_merge(scan, &helpers[i].scan);
        hs_search_scan_finish(&helpers[i].scan);
    }
    pthread_cond_destroy(&work->done);
    pthread_mutex_destroy(&work->lock);
    free(helpers);
}

int hs_parallel_scan_run(struct hs_parallel_scan *team, const struct hs_search_rows *rows,
                         const struct hs_search_query *query, const struct hs_top_k *best,
                         struct hs_search_finding **ret_findings, size_t *ret_count)
{
    struct hs_search_scan scan;
    struct work work = { .rows = rows, .query = query };
    int r = hs_search_scan_init(&scan, best->k, best->floor);
    if (r == 0) {
        if (team->threads > 1 && rows->count > HS_SEARCH_ALONE_ROWS)
            scan_together(team, &work, &scan);
        else
            scan_blocks(&work, &scan);
        r = hs_search_scan_findings(&scan, rows, query, ret_findings, ret_count);
    }
    hs_search_scan_finish(&scan);
    return r;
}
