/* A few threads work on the pictures; the handler's thread sends the results in the order of the request. */
#include "service/batch.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"
#include "http/failure.h"
#include "http/stream.h"
#include "service/request_options.h"

enum { THREADS_MAX = 32, LINE_MAX_BYTES = 64 << 20 };

struct run;

struct worker {
    struct run *run;
    struct hs_cancel cancel; /* its own, because the wait for a device watches it */
    pthread_t thread;
};

struct run {
    struct hs_http_request *req;
    const struct hs_batch *batch;
    size_t count;
    int64_t deadline_ns;
    struct worker workers[THREADS_MAX];

    pthread_mutex_t lock;   /* guards what follows; and the body, which is not for several threads */
    pthread_cond_t changed; /* a result came */
    json_t **results;
    size_t next, failed;
    bool stopped;
};

/* ---- one picture ---- */

static int take_picture(struct run *run, size_t index, uint8_t **ret_data, size_t *ret_len, struct hs_error *err)
{
    if (hs_clock_now_ns() >= run->deadline_ns)
        return hs_error_set(err, HS_ETIMEOUT, "The request's time was over before this picture's turn");
    pthread_mutex_lock(&run->lock);
    int r = hs_body_list_take(hs_http_body(run->req), index, ret_data, ret_len, err);
    pthread_mutex_unlock(&run->lock);
    return r;
}

/* Never NULL. */
static json_t *answer(struct run *run, struct hs_cancel *cancel, size_t index, bool *ret_failed)
{
    const struct hs_batch *batch = run->batch;
    const json_t *id = json_object_get(hs_body_list_value(hs_http_body(run->req), index), "id");
    struct hs_error err;
    uint8_t *data = NULL;
    size_t len = 0;
    json_t *result = NULL;
    int r = take_picture(run, index, &data, &len, &err);
    if (r == 0) {
        const struct hs_batch_picture picture = { data, len, run->deadline_ns, cancel };
        r = batch->answer(batch->ctx, &picture, &result, &err);
    }
    free(data);
    *ret_failed = r < 0;
    if (r < 0)
        result = batch->failure ? batch->failure(run->req, r, &err)
                                : hs_http_failure_json(run->req, r, hs_status_http(r) < 499 ? "image" : NULL, &err);
    if (!result)
        return json_null(); /* without memory: the handler waits for a result */
    json_object_set_new(result, "index", json_integer((json_int_t) index));
    if (json_is_string(id) || json_is_integer(id))
        json_object_set_new(result, "id", json_deep_copy(id));
    return result;
}

/* ---- threads ---- */

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct run *run = worker->run;
    pthread_mutex_lock(&run->lock);
    while (!run->stopped && run->next < run->count) {
        size_t index = run->next++;
        bool failed;
        pthread_mutex_unlock(&run->lock);
        json_t *result = answer(run, &worker->cancel, index, &failed);
        pthread_mutex_lock(&run->lock);
        run->results[index] = result;
        run->failed += failed;
        pthread_cond_broadcast(&run->changed);
    }
    pthread_mutex_unlock(&run->lock);
    return NULL;
}

/* By the thread that cancels the request. */
static void cancel_all(void *arg)
{
    struct run *run = arg;
    for (int i = 0; i < THREADS_MAX; i++)
        hs_cancel_trigger(&run->workers[i].cancel);
}

/* Enough to decode one picture while others are in the network, and not so many that requests of a single picture stand
 * behind all of these. A device that takes several at a time shall find its next ones ready. */
static int count_threads(const struct run *run)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int wanted = processors < 2 ? 2 : processors > 4 ? 4 : (int) processors, together = run->batch->together;
    if (together > 1 && 2 * together > wanted)
        wanted = 2 * together;
    wanted = wanted < THREADS_MAX ? wanted : THREADS_MAX;
    return (size_t) wanted < run->count ? wanted : (int) run->count;
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

/* ---- the response ---- */

static json_t *counts(struct run *run)
{
    pthread_mutex_lock(&run->lock);
    json_t *value = json_pack("{s:I, s:I}", "count", (json_int_t) run->count, "failed", (json_int_t) run->failed);
    pthread_mutex_unlock(&run->lock);
    return hs_request_add_warnings(run->req, value);
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
    struct hs_cancel *cancel = hs_http_cancel(run->req);
    int wanted = count_threads(run), started = 0;
    hs_cancel_watch(cancel, cancel_all, run);
    if (hs_cancel_is_set(cancel))
        cancel_all(run);
    while (started < wanted &&
           hs_thread_start(&run->workers[started].thread, "http-batch", work, &run->workers[started]) == 0)
        started++;
    if (started == 0)
        hs_http_reply_error(run->req, HS_ENOMEM, NULL, "no threads for the pictures");
    else if (hs_accept_prefers(run->req, "application/x-ndjson"))
        reply_lines(run);
    else
        reply_whole(run);
    pthread_mutex_lock(&run->lock);
    run->stopped = true;
    pthread_mutex_unlock(&run->lock);
    cancel_all(run);
    for (int i = 0; i < started; i++)
        pthread_join(run->workers[i].thread, NULL);
    hs_cancel_unwatch(cancel);
}

void hs_batch_reply(struct hs_http_request *req, const struct hs_batch *batch)
{
    struct run run = {
        .req = req,
        .batch = batch,
        .deadline_ns = hs_http_deadline_ns(req),
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .changed = PTHREAD_COND_INITIALIZER,
    };
    struct hs_error err;
    const char *field = "images";
    int r = hs_body_list_count(hs_http_body(req), &run.count, &err);
    if (r == 0 && !(run.results = calloc(run.count, sizeof(json_t *)))) {
        field = NULL;
        r = hs_error_set(&err, HS_ENOMEM, "no memory for the results");
    }
    if (r < 0) {
        hs_http_reply_error(req, r, field, "%s", err.message);
        return;
    }
    for (int i = 0; i < THREADS_MAX; i++) {
        run.workers[i].run = &run;
        hs_cancel_init(&run.workers[i].cancel);
    }
    run_batch(&run);
    for (int i = 0; i < THREADS_MAX; i++)
        hs_cancel_finish(&run.workers[i].cancel);
    for (size_t i = 0; i < run.count; i++)
        json_decref(run.results[i]);
    free(run.results);
}
