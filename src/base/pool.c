#include "base/pool.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/str.h"

struct job {
    void (*run)(void *arg);
    void *arg;
};

struct hs_pool {
    pthread_mutex_t lock; /* guards what follows, up to `threads` */
    pthread_cond_t ready; /* a job came, or the end */
    struct job *jobs;     /* ring of queue_max */
    size_t queue_max, head, waiting;
    bool ending;

    pthread_t *threads;
    int thread_count;
    char name[16];
};

static void *work(void *arg)
{
    struct hs_pool *pool = arg;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->waiting == 0 && !pool->ending)
            pthread_cond_wait(&pool->ready, &pool->lock);
        if (pool->waiting == 0)
            break;
        struct job job = pool->jobs[pool->head];
        pool->head = (pool->head + 1) % pool->queue_max;
        pool->waiting--;
        pthread_mutex_unlock(&pool->lock);
        job.run(job.arg);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

int hs_pool_create(const char *name, int threads, size_t queue_max, struct hs_pool **ret_pool, struct hs_error *err)
{
    assert(threads >= 1 && queue_max >= 1);
    struct hs_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return hs_error_set(err, HS_ENOMEM, "no memory for worker threads");
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->ready, NULL);
    hs_str_copy(pool->name, sizeof(pool->name), name);
    pool->queue_max = queue_max;
    pool->jobs = calloc(queue_max, sizeof(*pool->jobs));
    pool->threads = calloc((size_t) threads, sizeof(*pool->threads));
    if (!pool->jobs || !pool->threads) {
        hs_pool_destroy(pool);
        return hs_error_set(err, HS_ENOMEM, "no memory for worker threads");
    }
    /* Signals are the main thread's business. A new thread inherits this mask. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = 0;
    while (pool->thread_count < threads && r == 0) {
        r = pthread_create(&pool->threads[pool->thread_count], NULL, work, pool);
        if (r == 0)
            pthread_setname_np(pool->threads[pool->thread_count++], pool->name);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0) {
        int started = pool->thread_count;
        hs_pool_destroy(pool);
        return hs_error_set(err, HS_ENOMEM, "only %d of %d worker threads could be started", started, threads);
    }
    *ret_pool = pool;
    return 0;
}

void hs_pool_destroy(struct hs_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    pthread_cond_broadcast(&pool->ready);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->ready);
    pthread_mutex_destroy(&pool->lock);
    free(pool->threads);
    free(pool->jobs);
    free(pool);
}

int hs_pool_submit(struct hs_pool *pool, void (*run)(void *arg), void *arg)
{
    int r = HS_EBUSY;
    pthread_mutex_lock(&pool->lock);
    if (pool->waiting < pool->queue_max && !pool->ending) {
        pool->jobs[(pool->head + pool->waiting++) % pool->queue_max] = (struct job) { run, arg };
        pthread_cond_signal(&pool->ready);
        r = 0;
    }
    pthread_mutex_unlock(&pool->lock);
    return r;
}

size_t hs_pool_waiting(struct hs_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    size_t waiting = pool->waiting;
    pthread_mutex_unlock(&pool->lock);
    return waiting;
}
