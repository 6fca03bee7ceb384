/* A few threads of the request's own work on the pictures; the handler's thread hands the results out in their order.
 */
#include "service/batch.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/stream.h"

enum { THREADS_MAX = 32, LINE_MAX_BYTES = 64 << 20 };

struct run {
    struct hs_http_request *req;
    const struct hs_batch *batch;
    size_t count;
    int64_t deadline_ns;
    struct hs_cancel cancels[THREADS_MAX]; /* one a thread, because an engine's wait watches it */

    pthread_mutex_t lock;   /* guards what follows; and the body, which is not for several threads */
    pthread_cond_t changed; /* a result came */
    json_t **results;
    size_t next, failed;
    bool stopped;
};

struct worker {
    struct run *run;
    struct hs_cancel *cancel;
    pthread_t thread;
};

/* ---- One picture ---- */

static int take_picture(struct run *run, size_t index, uint8_t **ret_data, size_t *ret_len, struct hs_error *err)
{
    if (hs_clock_now_ns() >= run->deadline_ns)
        return hs_error_set(err, HS_ETIMEOUT, "The request's time was over before this picture's turn");
    pthread_mutex_lock(&run->lock);
    int r = hs_body_list_take(hs_http_body(run->req), index, ret_data, ret_len, err);
    pthread_mutex_unlock(&run->lock);
    return r;
}

static json_t *failure_json(const struct run *run, int code, const struct hs_error *err)
{
    if (run->batch->failure)
        return run->batch->failure(run->req, code, err);
    return hs_http_error_json(run->req, code, hs_status_http(code) < 499 ? "image" : NULL, err->message);
}

/* Where it stands in the request, and what the client calls it. */
static void label(const struct run *run, size_t index, json_t *result)
{
    const json_t *value = hs_body_list_value(hs_http_body(run->req), index), *id = json_object_get(value, "id");
    json_object_set_new(result, "index", json_integer((json_int_t) index));
    if (json_is_string(id) || json_is_integer(id))
        json_object_set_new(result, "id", json_deep_copy(id));
}

static json_t *answer(struct run *run, struct hs_cancel *cancel, size_t index, bool *ret_failed)
{
    struct hs_error err;
    uint8_t *data = NULL;
    size_t len = 0;
    json_t *result = NULL;
    int r = take_picture(run, index, &data, &len, &err);
    if (r == 0) {
        const struct hs_batch_picture picture = { data, len, run->deadline_ns, cancel };
        r = run->batch->answer(run->batch->ctx, &picture, &result, &err);
    }
    free(data);
    *ret_failed = r < 0;
    if (r < 0)
        result = failure_json(run, r, &err);
    if (!result)
        result = json_null(); /* there is no memory for more, and somebody waits for a result */
    label(run, index, result);
    return result;
}

/* ---- Threads ---- */

static void *work(void *arg)
{
    const struct worker *worker = arg;
    struct run *run = worker->run;
    pthread_mutex_lock(&run->lock);
    while (!run->stopped && run->next < run->count) {
        size_t index = run->next++;
        bool failed;
        pthread_mutex_unlock(&run->lock);
        json_t *result = answer(run, worker->cancel, index, &failed);
        pthread_mutex_lock(&run->lock);
        run->results[index] = result;
        run->failed += failed;
        pthread_cond_broadcast(&run->changed);
    }
    pthread_mutex_unlock(&run->lock);
    return NULL;
}

/* From whoever cancels the request. */
static void cancel_all(void *arg)
{
    struct run *run = arg;
    for (int i = 0; i < THREADS_MAX; i++)
        hs_cancel_trigger(&run->cancels[i]);
}

/* Enough to decode one picture while others are in the network, and not so many that requests of a single picture stand
 * behind all of these. A device that takes several at a time shall find its next ones ready. */
static int count_threads(const struct run *run)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int wanted = processors < 2 ? 2 : processors > 4 ? 4 : (int) processors, together = run->batch->together;
    if (together > 1 && 2 * together > wanted)
        wanted = 2 * together;
    return wanted < THREADS_MAX ? wanted : THREADS_MAX;
}

static int start(struct run *run, struct worker workers[THREADS_MAX])
{
    int wanted = count_threads(run), started = 0;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (started < wanted && (size_t) started < run->count) {
        workers[started] = (struct worker) { .run = run, .cancel = &run->cancels[started] };
        if (pthread_create(&workers[started].thread, NULL, work, &workers[started]) != 0)
            break;
        pthread_setname_np(workers[started].thread, "http-batch");
        started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

/* Nothing is begun any more. */
static void stop(struct run *run)
{
    pthread_mutex_lock(&run->lock);
    run->stopped = true;
    pthread_mutex_unlock(&run->lock);
    cancel_all(run);
}

/* Waits for a result. The caller owns it. */
static json_t *wait_for(struct run *run, size_t index)
{
    pthread_mutex_lock(&run->lock);
    while (!run->results[index])
        pthread_cond_wait(&run->changed, &run->lock);
    json_t *result = run->results[index];
    run->results[index] = NULL;
    pthread_mutex_unlock(&run->lock);
    return result;
}

/* ---- Answers ---- */

static json_t *counts(struct run *run)
{
    pthread_mutex_lock(&run->lock);
    json_t *value = json_pack("{s:I, s:I}", "count", (json_int_t) run->count, "failed", (json_int_t) run->failed);
    pthread_mutex_unlock(&run->lock);
    return value;
}

/* Takes the reference to value. */
static int write_line(struct run *run, struct hs_http_stream *stream, json_t *value)
{
    struct hs_buf line;
    hs_buf_init(&line, LINE_MAX_BYTES);
    int r = value ? hs_http_append_line(run->req, value, &line) : HS_ENOMEM;
    if (r == 0)
        r = hs_http_stream_write(stream, line.data, line.len, HS_NO_DEADLINE);
    hs_buf_finish(&line);
    json_decref(value);
    return r;
}

static void reply_lines(struct run *run)
{
    struct hs_http_stream *stream = hs_http_stream_begin(run->req, 200, "application/x-ndjson");
    int r = 0;
    for (size_t i = 0; i < run->count && r == 0; i++)
        r = write_line(run, stream, wait_for(run, i));
    if (r == 0)
        r = write_line(run, stream, counts(run));
    hs_http_stream_end(stream, r == 0);
}

static void reply_whole(struct run *run)
{
    json_t *list = json_array();
    for (size_t i = 0; i < run->count; i++)
        json_array_append_new(list, wait_for(run, i));
    json_t *value = counts(run), *whole = json_pack("{s:o}", "results", list);
    json_object_update(whole, value);
    json_decref(value);
    hs_http_reply_json(run->req, 200, whole);
}

static void run_batch(struct run *run)
{
    struct worker workers[THREADS_MAX];
    struct hs_cancel *cancel = hs_http_cancel(run->req);
    hs_cancel_watch(cancel, cancel_all, run);
    if (hs_cancel_is_set(cancel))
        cancel_all(run);
    int started = start(run, workers);
    if (started == 0)
        hs_http_reply_error(run->req, HS_ENOMEM, NULL, "no threads for the pictures");
    else if (hs_accept_prefers(run->req, "application/x-ndjson"))
        reply_lines(run);
    else
        reply_whole(run);
    stop(run);
    for (int i = 0; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    hs_cancel_unwatch(cancel);
}

void hs_batch_reply(struct hs_http_request *req, const struct hs_batch *batch)
{
    struct run run = { .req = req, .batch = batch, .deadline_ns = hs_http_deadline_ns(req) };
    struct hs_error err;
    int r = hs_body_list_count(hs_http_body(req), &run.count, &err);
    if (r < 0) {
        hs_http_reply_error(req, r, "images", "%s", err.message);
        return;
    }
    run.results = calloc(run.count, sizeof(json_t *));
    if (!run.results) {
        hs_http_reply_error(req, HS_ENOMEM, NULL, "no memory for the results");
        return;
    }
    pthread_mutex_init(&run.lock, NULL);
    pthread_cond_init(&run.changed, NULL);
    for (int i = 0; i < THREADS_MAX; i++)
        hs_cancel_init(&run.cancels[i]);
    run_batch(&run);
    for (int i = 0; i < THREADS_MAX; i++)
        hs_cancel_finish(&run.cancels[i]);
    for (size_t i = 0; i < run.count; i++)
        json_decref(run.results[i]);
    pthread_cond_destroy(&run.changed);
    pthread_mutex_destroy(&run.lock);
    free(run.results);
}
