#include "service/each.h"

#include <pthread.h>

enum { THREADS_MAX = 64 };

struct run {
    const struct hs_each *each;
    pthread_mutex_t lock; /* guards what follows */
    size_t next, done;
    int code;
    struct hs_error error;
};

static void *work(void *arg)
{
    struct run *run = arg;
    const struct hs_each *each = run->each;
    pthread_mutex_lock(&run->lock);
    while (run->code == 0 && run->next < each->count) {
        size_t index = run->next++;
        pthread_mutex_unlock(&run->lock);
        struct hs_error err;
        int r = each->run(each->arg, index, &err);
        pthread_mutex_lock(&run->lock);
        if (r < 0 && run->code == 0) {
            run->code = r;
            run->error = err;
        }
        run->done++;
        if (each->progress)
            each->progress(each->arg, run->done, each->count);
    }
    pthread_mutex_unlock(&run->lock);
    return NULL;
}

int hs_each_run(const struct hs_each *each, struct hs_error *err)
{
    struct run run = { .each = each, .lock = PTHREAD_MUTEX_INITIALIZER };
    pthread_t threads[THREADS_MAX];
    int running = 0;
    while (running < each->threads - 1 && running < THREADS_MAX &&
           pthread_create(&threads[running], NULL, work, &run) == 0)
        running++;
    work(&run);
    for (int i = 0; i < running; i++)
        pthread_join(threads[i], NULL);
    if (run.code < 0 && err)
        *err = run.error;
    return run.code;
}
