/* A few threads process the pictures; the handler's thread sends the results in the order of the request. */
#include "service/batch.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/thread.h"
#include "http/failure.h"
#include "http/stream.h"
#include "service/app.h"
#include "service/request_options.h"
#include "service/response.h"

enum { THREADS_MAX = 32 };

/* A client must receive this many bytes of its lines within this time once the stream's buffer is full. */
enum { PIECE_BYTES = 64 << 10, PIECE_MS = 2000 };

struct run;

struct worker {
    struct run *run;
    struct hs_cancel cancel; /* one per thread, because the wait for a device watches it */
    pthread_t thread;
};

struct result {
    struct hs_buf text; /* one line, without a line end */
    bool done, failed;
};

struct run {
    struct hs_http_request *req;
    const struct hs_batch *batch;
    struct hs_budget *budget; /* shared by all results held */
    enum hs_json_style style;
    bool lines;
    size_t count;
    int64_t deadline_ns;
    struct worker workers[THREADS_MAX];

    pthread_mutex_t lock;   /* guards the fields below, and the body, which is not thread-safe */
    pthread_cond_t changed; /* a result was added or sent */
    struct result *results;
    size_t next, sent, ahead; /* ahead: how many pictures may be started before the first one is sent */
    size_t failed, held;      /* held: bytes of results, charged to the budget */
    int failure;              /* failure of the whole answer: HS_ETOOLARGE, HS_EBUSY, HS_ENOMEM; or 0 */
    bool stopped;
};

/* ---- one picture ---- */

static int take_picture(struct run *run, size_t index, uint8_t **ret_data, size_t *ret_len, struct hs_error *err)
{
    if (hs_clock_now_ns() >= run->deadline_ns)
        return hs_error_set(err, HS_ETIMEOUT, "The request timed out before this picture was processed");
    pthread_mutex_lock(&run->lock);
    int r = hs_body_list_take(hs_http_body(run->req), index, ret_data, ret_len, err);
    pthread_mutex_unlock(&run->lock);
    return r;
}

int hs_batch_append(const struct hs_batch_picture *picture, json_t *answer, struct hs_buf *out, struct hs_error *err)
{
    json_t *extra = (json_t *) (uintptr_t) picture->extra; /* only read; jansson's signature lacks the const */
    int r = answer && json_object_update(answer, extra) == 0 ? hs_json_write(answer, picture->style, out) : HS_ENOMEM;
    json_decref(answer);
    return r < 0 ? hs_response_failed(r, err) : 0;
}

static json_t *members(const struct run *run, size_t index)
{
    const json_t *id = json_object_get(hs_body_list_value(hs_http_body(run->req), index), "id");
    json_t *extra = json_pack("{s:I}", "index", (json_int_t) index);
    if (extra && (json_is_string(id) || json_is_integer(id)))
        json_object_set_new(extra, "id", json_deep_copy(id));
    return extra;
}

/* Writes the result of a picture that failed, replacing its partial text. */
static int write_failure(const struct run *run, const struct hs_batch_picture *picture, int code,
                         const struct hs_error *err, struct hs_buf *out)
{
    const struct hs_batch *batch = run->batch;
    json_t *value = batch->failure
                        ? batch->failure(run->req, code, err)
                        : hs_http_failure_json(run->req, code, hs_status_http(code) < 499 ? "image" : NULL, err);
    struct hs_error ignored;
    hs_buf_finish(out);
    return hs_batch_append(picture, value, out, &ignored);
}

/* Charges the complete result to the budget. The lock is held. */
static int charge_result(struct run *run, struct hs_buf *text)
{
    if (!run->lines && text->len > HS_RESPONSE_MAX - run->held)
        return HS_ETOOLARGE;
    if (!hs_budget_try(run->budget, text->len))
        return HS_EBUSY;
    run->held += text->len;
    return 0;
}

static void process_picture(struct run *run, struct hs_cancel *cancel, size_t index)
{
    json_t *extra = members(run, index);
    struct hs_batch_picture picture = { NULL, 0, run->deadline_ns, cancel, run->style, extra };
    struct result result = { .done = true };
    struct hs_error err;
    uint8_t *data = NULL;
    hs_buf_init(&result.text, HS_RESPONSE_MAX);
    int r = extra ? take_picture(run, index, &data, &picture.len, &err) : hs_response_failed(HS_ENOMEM, &err);
    picture.data = data;
    if (r == 0)
        r = run->batch->process(run->batch->ctx, &picture, &result.text, &err);
    free(data);
    result.failed = r < 0;
    if (r < 0)
        r = write_failure(run, &picture, r, &err, &result.text);
    pthread_mutex_lock(&run->lock);
    if (r == 0)
        r = charge_result(run, &result.text);
    if (r == HS_EBUSY && run->lines) {
        hs_error_set(&err, r, "The unsent answers of other requests use all memory for answers; try again later");
        result.failed = true;
        r = write_failure(run, &picture, r, &err, &result.text);
        if (r == 0)
            r = charge_result(run, &result.text);
    }
    if (r < 0 && run->failure == 0)
        run->failure = r;
    if (r < 0)
        hs_buf_finish(&result.text);
    run->results[index] = result;
    run->failed += result.failed;
    run->stopped |= r < 0;
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
    json_decref(extra);
}

/* ---- threads ---- */

/* Limits how far processing runs ahead of a client that reads slowly, because results not yet sent are held. */
static bool may_start(const struct run *run)
{
    return !run->lines || run->next == run->sent ||
           (run->next < run->sent + run->ahead && run->held < HS_RESPONSE_MAX / 2);
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct run *run = worker->run;
    pthread_mutex_lock(&run->lock);
    while (!run->stopped && run->next < run->count) {
        if (!may_start(run)) {
            pthread_cond_wait(&run->changed, &run->lock);
            continue;
        }
        size_t index = run->next++;
        pthread_mutex_unlock(&run->lock);
        process_picture(run, &worker->cancel, index);
        pthread_mutex_lock(&run->lock);
    }
    pthread_mutex_unlock(&run->lock);
    return NULL;
}

/* Called on the thread that cancels the request. */
static void cancel_all(void *arg)
{
    struct run *run = arg;
    for (int i = 0; i < THREADS_MAX; i++)
        hs_cancel_trigger(&run->workers[i].cancel);
}

/* Uses enough threads to decode one picture while others are in the network, and few enough that
 * requests with a single picture do not queue behind all of these. A device that takes several
 * pictures at a time needs the next ones ready. */
static int count_threads(const struct run *run)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int wanted = processors < 2 ? 2 : processors > 4 ? 4 : (int) processors, parallel = run->batch->parallel;
    if (parallel > 1 && 2 * parallel > wanted)
        wanted = 2 * parallel;
    wanted = wanted < THREADS_MAX ? wanted : THREADS_MAX;
    return (size_t) wanted < run->count ? wanted : (int) run->count;
}

/* Waits for a result. Returns the failure of the whole answer, if any. */
static int wait_for(struct run *run, size_t index)
{
    pthread_mutex_lock(&run->lock);
    while (!run->results[index].done && run->failure == 0)
        pthread_cond_wait(&run->changed, &run->lock);
    int r = run->failure;
    pthread_mutex_unlock(&run->lock);
    return r;
}

static void release(struct run *run, size_t index)
{
    struct hs_buf *text = &run->results[index].text;
    pthread_mutex_lock(&run->lock);
    hs_budget_release(run->budget, text->len);
    run->held -= text->len;
    hs_buf_finish(text);
    run->sent = index + 1;
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
}

/* ---- the response ---- */

static size_t count_failed(struct run *run)
{
    pthread_mutex_lock(&run->lock);
    size_t failed = run->failed;
    pthread_mutex_unlock(&run->lock);
    return failed;
}

static int write_text(const struct run *run, struct hs_http_stream *stream, const uint8_t *text, size_t len)
{
    int r = 0;
    for (size_t n; len > 0 && r == 0; text += n, len -= n) {
        int64_t limit_ns = hs_deadline_in_ms(PIECE_MS);
        n = len < PIECE_BYTES ? len : PIECE_BYTES;
        r = hs_http_stream_write(stream, text, n, limit_ns < run->deadline_ns ? limit_ns : run->deadline_ns);
    }
    return r;
}

static int write_counts(struct run *run, struct hs_http_stream *stream)
{
    json_t *value = json_pack("{s:I, s:I}", "count", (json_int_t) run->count, "failed", (json_int_t) count_failed(run));
    value = hs_request_add_warnings(run->req, value);
    struct hs_buf line;
    hs_buf_init(&line, HS_RESPONSE_MAX);
    int r = value ? hs_http_append_line(run->req, value, &line) : HS_ENOMEM;
    if (r == 0)
        r = write_text(run, stream, line.data, line.len);
    hs_buf_finish(&line);
    json_decref(value);
    return r;
}

static void reply_lines(struct run *run)
{
    struct hs_http_stream *stream = hs_http_stream_begin(run->req, 200, "application/x-ndjson");
    int r = 0;
    for (size_t i = 0; i < run->count && r == 0; i++) {
        r = wait_for(run, i);
        if (r == 0)
            r = write_text(run, stream, run->results[i].text.data, run->results[i].text.len);
        if (r == 0)
            release(run, i);
    }
    if (r == 0)
        r = write_counts(run, stream);
    hs_http_stream_end(stream, r == 0);
}

/* Frees each result as soon as it is copied, so that results are not held twice. */
static void append_results(struct run *run, struct hs_json_writer *json)
{
    hs_json_key(json, "results");
    hs_json_open(json, '[');
    for (size_t i = 0; i < run->count; i++) {
        hs_buf_append(hs_json_raw(json), run->results[i].text.data, run->results[i].text.len - 1); /* no line feed */
        release(run, i);
    }
    hs_json_close(json, ']');
}

static void append_warnings(const struct run *run, struct hs_json_writer *json)
{
    json_t *extra = hs_request_add_warnings(run->req, json_object()), *warnings = json_object_get(extra, "warnings");
    if (warnings) {
        hs_json_key(json, "warnings");
        hs_json_tree(json, warnings);
    }
    json_decref(extra);
}

static int write_whole(struct run *run, struct hs_buf *out)
{
    bool sorted = run->style != HS_JSON_SPACED;
    struct hs_json_writer json;
    int r = hs_buf_reserve(out, run->held + 4 * run->count + 256);
    if (r < 0)
        return r;
    hs_json_begin(&json, out, run->style);
    hs_json_open(&json, '{');
    if (!sorted)
        append_results(run, &json);
    hs_json_key(&json, "count");
    hs_json_int(&json, (int64_t) run->count);
    hs_json_key(&json, "failed");
    hs_json_int(&json, (int64_t) run->failed);
    if (sorted)
        append_results(run, &json);
    append_warnings(run, &json);
    hs_json_close(&json, '}');
    return hs_json_end(&json);
}

static void reply_whole(struct run *run)
{
    struct hs_error err;
    struct hs_buf out;
    int r = 0;
    hs_buf_init(&out, HS_RESPONSE_MAX + 4096);
    for (size_t i = 0; i < run->count && r == 0; i++)
        r = wait_for(run, i);
    if (r == 0)
        r = write_whole(run, &out);
    if (r == 0)
        hs_response_send(run->req, &out);
    else if (r == HS_EBUSY)
        hs_http_reply_error(run->req, r, NULL,
                            "The unsent answers of other requests use all memory for answers; try again later");
    else
        hs_http_reply_error(run->req, hs_response_failed(r, &err), NULL, "%s", err.message);
    hs_buf_finish(&out);
}

static void run_batch(struct run *run)
{
    struct hs_cancel *cancel = hs_http_cancel(run->req);
    int wanted = count_threads(run), started = 0;
    run->ahead = 2 * (size_t) wanted;
    hs_cancel_watch(cancel, cancel_all, run);
    if (hs_cancel_is_set(cancel))
        cancel_all(run);
    while (started < wanted &&
           hs_thread_start(&run->workers[started].thread, "http-batch", work, &run->workers[started]) == 0)
        started++;
    if (started == 0)
        hs_http_reply_error(run->req, HS_ENOMEM, NULL, "cannot start threads for the pictures");
    else if (run->lines)
        reply_lines(run);
    else
        reply_whole(run);
    pthread_mutex_lock(&run->lock);
    run->stopped = true;
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
    cancel_all(run);
    for (int i = 0; i < started; i++)
        pthread_join(run->workers[i].thread, NULL);
    hs_cancel_unwatch(cancel);
}

/* The result repeats the id, so a value that it would leave out is an error. */
static int check_ids(const struct hs_body *body, size_t count, struct hs_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const json_t *id = json_object_get(hs_body_list_value(body, i), "id");
        if (id && !json_is_null(id) && !json_is_string(id) && !json_is_integer(id))
            return hs_error_set(err, HS_EINVAL, "id: must be a string or a whole number, not %s",
                                hs_body_type_name(id));
    }
    return 0;
}

void hs_batch_reply(struct hs_http_request *req, const struct hs_batch *batch)
{
    const struct hs_app_core *core = hs_http_context(req);
    struct run run = {
        .req = req,
        .batch = batch,
        .budget = &core->budgets->responses,
        .style = hs_response_style(req),
        .lines = hs_accept_prefers(req, "application/x-ndjson"),
        .deadline_ns = hs_http_deadline_ns(req),
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .changed = PTHREAD_COND_INITIALIZER,
    };
    struct hs_error err;
    const char *field = "images";
    int r = hs_body_list_count(hs_http_body(req), &run.count, &err);
    if (r == 0 && (r = check_ids(hs_http_body(req), run.count, &err)) < 0)
        field = "id";
    if (r == 0 && !(run.results = calloc(run.count, sizeof(*run.results)))) {
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
        hs_buf_finish(&run.results[i].text);
    hs_budget_release(run.budget, run.held);
    free(run.results);
}
