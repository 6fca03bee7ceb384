#include "base/pool.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/thread.h"

struct job {
    void (*run)(void *arg);
    void *arg;
    int64_t deadline_ns;
    bool heavy;
};

struct hs_pool {
    pthread_mutex_t lock;   /* guards what follows, up to `threads` */
    pthread_cond_t ready;   /* signalled for a new job and when the pool closes */
    pthread_cond_t earlier; /* signalled for a deadline before wake_ns and when the pool closes */
    int64_t wake_ns;        /* the earliest deadline that the deadline thread has seen */
    struct job *jobs;       /* ring buffer of queue_max jobs */
    size_t queue_max, head, waiting;
    size_t heavy_waiting;
    int heavy_max, heavy_running; /* counted for workers only, not for the deadline thread */
    size_t running;               /* the same */
    bool ending;
    int64_t *deadlines_ns; /* of the job that each thread runs; HS_NO_DEADLINE if it has none */
    int workers;           /* threads without the deadline thread, which has no entry in deadlines_ns */
    int started;           /* workers that have taken their entry */

    pthread_t *threads;
    int thread_count;
    char name[16];
};

static struct job *job_at(struct hs_pool *pool, size_t i)
{
    return &pool->jobs[(pool->head + i) % pool->queue_max];
}

/* Removes job `i` from the queue and runs it without the lock. The jobs before it move one place towards it. */
static void run_job(struct hs_pool *pool, size_t i)
{
    struct job job = *job_at(pool, i);
    for (; i > 0; i--)
        *job_at(pool, i) = *job_at(pool, i - 1);
    pool->head = (pool->head + 1) % pool->queue_max;
    pool->waiting--;
    pool->heavy_waiting -= job.heavy;
    pthread_mutex_unlock(&pool->lock);
    job.run(job.arg);
    pthread_mutex_lock(&pool->lock);
}

/* Returns the index of the first job that a worker may run now; `waiting` if there is none. */
static size_t find_job(struct hs_pool *pool)
{
    size_t i = 0;
    while (i < pool->waiting && pool->heavy_running == pool->heavy_max && job_at(pool, i)->heavy)
        i++;
    return i;
}

static void *work(void *arg)
{
    struct hs_pool *pool = arg;
    pthread_mutex_lock(&pool->lock);
    int64_t *deadline_ns = &pool->deadlines_ns[pool->started++];
    for (;;) {
        size_t i = find_job(pool);
        if (i < pool->waiting) {
            bool heavy = job_at(pool, i)->heavy;
            *deadline_ns = job_at(pool, i)->deadline_ns;
            pool->heavy_running += heavy;
            pool->running++;
            run_job(pool, i);
            pool->running--;
            pool->heavy_running -= heavy;
            *deadline_ns = HS_NO_DEADLINE;
        } else if (!pool->ending) {
            pthread_cond_wait(&pool->ready, &pool->lock);
        } else {
            break; /* the workers that run heavy jobs now also run the heavy jobs that are left */
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void *run_late_jobs(void *arg)
{
    struct hs_pool *pool = arg;
    pthread_mutex_lock(&pool->lock);
    while (!pool->ending) {
        int64_t deadline_ns = HS_NO_DEADLINE;
        size_t earliest = 0;
        for (size_t i = 0; i < pool->waiting; i++) {
            if (job_at(pool, i)->deadline_ns < deadline_ns) {
                deadline_ns = job_at(pool, i)->deadline_ns;
                earliest = i;
            }
        }
        pool->wake_ns = deadline_ns;
        if (deadline_ns <= hs_clock_now_ns())
            run_job(pool, earliest);
        else
            hs_cond_wait_until(&pool->earlier, &pool->lock, deadline_ns);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

int hs_pool_create(const char *name, int threads, size_t queue_max, bool deadlines, struct hs_pool **ret_pool,
                   struct hs_error *err)
{
    assert(threads >= 1 && queue_max >= 1);
    struct hs_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return hs_error_set(err, HS_ENOMEM, "no memory for worker threads");
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->ready, NULL);
    hs_cond_init(&pool->earlier);
    hs_str_copy(pool->name, sizeof(pool->name), name);
    pool->queue_max = queue_max;
    pool->heavy_max = threads - threads / 2;
    pool->wake_ns = HS_NO_DEADLINE;
    pool->jobs = calloc(queue_max, sizeof(*pool->jobs));
    pool->threads = calloc((size_t) threads + 1, sizeof(*pool->threads));
    pool->deadlines_ns = calloc((size_t) threads, sizeof(*pool->deadlines_ns));
    int r = pool->jobs && pool->threads && pool->deadlines_ns ? 0 : HS_ENOMEM;
    for (int i = 0; r == 0 && i < threads; i++)
        pool->deadlines_ns[i] = HS_NO_DEADLINE;
    pool->workers = threads;
    threads += deadlines;
    while (r == 0 && pool->thread_count < threads) {
        bool late = deadlines && pool->thread_count == 0;
        r = hs_thread_start(&pool->threads[pool->thread_count], pool->name, late ? run_late_jobs : work, pool);
        pool->thread_count += r == 0;
    }
    if (r < 0) {
        hs_error_set(err, r, "started only %d of %d worker threads", pool->thread_count, threads);
        hs_pool_destroy(pool);
        return r;
    }
    *ret_pool = pool;
    return 0;
}

void hs_pool_set_heavy_max(struct hs_pool *pool, int max)
{
    assert(max >= 1);
    pthread_mutex_lock(&pool->lock);
    pool->heavy_max = max;
    pthread_mutex_unlock(&pool->lock);
}

void hs_pool_close(struct hs_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    pthread_cond_broadcast(&pool->ready);
    pthread_cond_broadcast(&pool->earlier);
    pthread_mutex_unlock(&pool->lock);
}

void hs_pool_stop(struct hs_pool *pool)
{
    if (!pool)
        return;
    hs_pool_close(pool);
    for (int i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    pool->thread_count = 0;
}

void hs_pool_destroy(struct hs_pool *pool)
{
    if (!pool)
        return;
    hs_pool_stop(pool);
    pthread_cond_destroy(&pool->ready);
    pthread_cond_destroy(&pool->earlier);
    pthread_mutex_destroy(&pool->lock);
    free(pool->threads);
    free(pool->deadlines_ns);
    free(pool->jobs);
    free(pool);
}

static int submit(struct hs_pool *pool, const struct job *job)
{
    int r = HS_EBUSY;
    size_t heavy_max = pool->queue_max > 1 ? pool->queue_max - (pool->queue_max + 3) / 4 : 1;
    pthread_mutex_lock(&pool->lock);
    if (pool->waiting < pool->queue_max && !(job->heavy && pool->heavy_waiting == heavy_max) && !pool->ending) {
        *job_at(pool, pool->waiting++) = *job;
        pool->heavy_waiting += job->heavy;
        pthread_cond_signal(&pool->ready);
        if (job->deadline_ns < pool->wake_ns)
            pthread_cond_signal(&pool->earlier);
        r = 0;
    }
    pthread_mutex_unlock(&pool->lock);
    return r;
}

int hs_pool_submit(struct hs_pool *pool, void (*run)(void *arg), void *arg, int64_t deadline_ns)
{
    return submit(pool, &(struct job) { run, arg, deadline_ns, false });
}

int hs_pool_submit_heavy(struct hs_pool *pool, void (*run)(void *arg), void *arg, int64_t deadline_ns)
{
    return submit(pool, &(struct job) { run, arg, deadline_ns, true });
}

void hs_pool_expire(struct hs_pool *pool, const void *arg)
{
    pthread_mutex_lock(&pool->lock);
    for (size_t i = 0; i < pool->waiting; i++) {
        if (job_at(pool, i)->arg == arg)
            job_at(pool, i)->deadline_ns = 0;
    }
    pthread_cond_signal(&pool->earlier);
    pthread_mutex_unlock(&pool->lock);
}

bool hs_pool_is_stuck(struct hs_pool *pool, int64_t grace_ns)
{
    int64_t limit_ns = hs_clock_now_ns() - grace_ns;
    pthread_mutex_lock(&pool->lock);
    bool stuck = true;
    for (int i = 0; i < pool->workers; i++)
        stuck &= pool->deadlines_ns[i] < limit_ns;
    pthread_mutex_unlock(&pool->lock);
    return stuck;
}

size_t hs_pool_waiting(struct hs_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    size_t waiting = pool->waiting;
    pthread_mutex_unlock(&pool->lock);
    return waiting;
}

size_t hs_pool_get_load(struct hs_pool *pool, size_t *ret_waiting)
{
    pthread_mutex_lock(&pool->lock);
    size_t running = pool->running;
    *ret_waiting = pool->waiting;
    pthread_mutex_unlock(&pool->lock);
    return running;
}
