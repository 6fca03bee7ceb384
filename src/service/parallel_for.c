#include "service/parallel_for.h"

#include <pthread.h>
#include <stdlib.h>

struct run {
    const struct hs_parallel_for *loop;
    pthread_mutex_t lock; /* guards the fields below */
    size_t next, done;
    int code;
    struct hs_error error;
};

static void *work(void *arg)
{
    struct run *run = arg;
    const struct hs_parallel_for *loop = run->loop;
    pthread_mutex_lock(&run->lock);
    while (run->code == 0 && run->next < loop->count) {
        size_t index = run->next++;
        pthread_mutex_unlock(&run->lock);
        struct hs_error err;
        int r = loop->run(loop->arg, index, &err);
        pthread_mutex_lock(&run->lock);
        if (r < 0 && run->code == 0) {
            run->code = r;
            run->error = err;
        }
        run->done++;
        if (loop->progress)
            hs_progress_show(loop->progress, "pictures", run->done, loop->count);
    }
    pthread_mutex_unlock(&run->lock);
    return NULL;
}

int hs_parallel_for(const struct hs_parallel_for *loop, struct hs_error *err)
{
    struct run run = { .loop = loop, .lock = PTHREAD_MUTEX_INITIALIZER };
    int helpers = loop->threads > 1 ? loop->threads - 1 : 0, running = 0;
    pthread_t *threads = calloc((size_t) helpers + 1, sizeof(*threads));
    if (!threads)
        return hs_error_set(err, HS_ENOMEM, "no memory for %d threads", loop->threads);
    while (running < helpers && pthread_create(&threads[running], NULL, work, &run) == 0)
        running++;
    if (running < helpers) {
        pthread_mutex_lock(&run.lock);
        run.code = hs_error_set(&run.error, HS_ENOMEM, "started only %d of %d threads", running + 1, loop->threads);
        pthread_mutex_unlock(&run.lock);
    }
    work(&run);
    for (int i = 0; i < running; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    if (loop->progress)
        hs_progress_clear(loop->progress);
    if (run.code < 0 && err)
        *err = run.error;
    return run.code;
}
