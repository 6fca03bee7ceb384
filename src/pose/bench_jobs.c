#include "pose/bench_jobs.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"

enum { ANSWER_MAX = 16 << 20, ROUND_TIMEOUT_MS = 120000 };

/* ---- in this process ---- */

struct local_worker {
    const struct hs_bench_input *input;
    struct hs_pose_result result;
};

static void *make_local(void *arg, struct hs_error *err)
{
    struct local_worker *worker = calloc(1, sizeof(*worker));
    if (!worker) {
        hs_error_set(err, HS_ENOMEM, "no memory for a client");
        return NULL;
    }
    worker->input = arg;
    hs_pose_result_init(&worker->result);
    return worker;
}

static void free_local(void *arg)
{
    struct local_worker *worker = arg;
    hs_pose_result_finish(&worker->result);
    free(worker);
}

static int run_local(void *arg, size_t round, double ret_ms[HS_BENCH_STAGES], struct hs_error *err)
{
    struct local_worker *worker = arg;
    const struct hs_bench_input *input = worker->input;
    const struct hs_bench_picture *picture = &input->pictures[round % input->count];
    struct hs_pose_params params = hs_pose_app_params(input->app);
    int r = hs_pose_detect(&input->app->pipeline, picture->data, picture->len, &params,
                           hs_deadline_in_ms(ROUND_TIMEOUT_MS), NULL, &worker->result, err);
    const struct hs_pose_timings *t = &worker->result.timings;
    ret_ms[HS_BENCH_DECODE] = t->decode_ms;
    ret_ms[HS_BENCH_PREPROCESS] = t->preprocess_ms;
    ret_ms[HS_BENCH_QUEUE] = t->queue_ms;
    ret_ms[HS_BENCH_INFERENCE] = t->inference_ms;
    ret_ms[HS_BENCH_POSTPROCESS] = t->postprocess_ms;
    ret_ms[HS_BENCH_TOTAL] = t->total_ms;
    return r;
}

const struct hs_bench_job hs_bench_in_process = {
    .make_worker = make_local, .run = run_local, .free_worker = free_local,
};

/* ---- over HTTP: one kept connection a client, the picture as a form ---- */

struct http_worker {
    const struct hs_bench_input *input;
    CURL *curl;
    struct hs_buf answer;
    char reason[CURL_ERROR_SIZE];
};

static size_t keep(char *data, size_t size, size_t count, void *arg)
{
    struct http_worker *worker = arg;
    return hs_buf_append(&worker->answer, data, size * count) == 0 ? size * count : 0;
}

static void free_http(void *arg)
{
    struct http_worker *worker = arg;
    curl_easy_cleanup(worker->curl);
    hs_buf_finish(&worker->answer);
    free(worker);
}

/* Made for each round: a form that was sent before and is set again is sent without its content by libcurl 7.88. */
static curl_mime *make_form(struct http_worker *worker, const struct hs_bench_picture *picture)
{
    curl_mime *form = curl_mime_init(worker->curl);
    curl_mimepart *part = form ? curl_mime_addpart(form) : NULL;
    if (part && curl_mime_name(part, "image") == CURLE_OK &&
        curl_mime_data(part, (const char *) picture->data, picture->len) == CURLE_OK &&
        curl_mime_filename(part, "picture") == CURLE_OK)
        return form;
    curl_mime_free(form);
    return NULL;
}

static void *make_http(void *arg, struct hs_error *err)
{
    struct http_worker *worker = calloc(1, sizeof(*worker));
    if (!worker)
        goto no_memory;
    worker->input = arg;
    hs_buf_init(&worker->answer, ANSWER_MAX);
    worker->curl = curl_easy_init();
    if (!worker->curl) {
        free_http(worker);
        goto no_memory;
    }
    curl_easy_setopt(worker->curl, CURLOPT_URL, worker->input->url);
    curl_easy_setopt(worker->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(worker->curl, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(worker->curl, CURLOPT_WRITEDATA, worker);
    curl_easy_setopt(worker->curl, CURLOPT_ERRORBUFFER, worker->reason);
    curl_easy_setopt(worker->curl, CURLOPT_TIMEOUT_MS, (long) ROUND_TIMEOUT_MS);
    curl_easy_setopt(worker->curl, CURLOPT_NOSIGNAL, 1L);
    return worker;
no_memory:
    hs_error_set(err, HS_ENOMEM, "no memory for a client");
    return NULL;
}

/* The stage times that the answer carries; a server that does not send them leaves zeros. */
static void read_timings(struct http_worker *worker, double ret_ms[HS_BENCH_STAGES])
{
    json_t *answer = json_loadb((const char *) worker->answer.data, worker->answer.len, 0, NULL);
    const json_t *timings = json_object_get(answer, "timings_ms");
    for (int stage = 0; stage < HS_BENCH_ROUND_TRIP; stage++)
        ret_ms[stage] = json_number_value(json_object_get(timings, hs_bench_stage_names[stage]));
    json_decref(answer);
}

static int run_http(void *arg, size_t round, double ret_ms[HS_BENCH_STAGES], struct hs_error *err)
{
    struct http_worker *worker = arg;
    curl_mime *form = make_form(worker, &worker->input->pictures[round % worker->input->count]);
    if (!form)
        return hs_error_set(err, HS_ENOMEM, "no memory for a form");
    worker->answer.len = 0;
    curl_easy_setopt(worker->curl, CURLOPT_MIMEPOST, form);
    CURLcode code = curl_easy_perform(worker->curl);
    curl_easy_setopt(worker->curl, CURLOPT_MIMEPOST, NULL);
    curl_mime_free(form);
    if (code != CURLE_OK)
        return hs_error_set(err, HS_EIO, "%s", worker->reason[0] ? worker->reason : curl_easy_strerror(code));
    long status = 0;
    curl_easy_getinfo(worker->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        return hs_error_set(err, HS_EIO, "HTTP %ld: %.120s", status, hs_buf_str(&worker->answer));
    read_timings(worker, ret_ms);
    return 0;
}

const struct hs_bench_job hs_bench_over_http = {
    .make_worker = make_http, .run = run_http, .free_worker = free_http,
};
