#include "service/bench_command.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

enum { ANSWER_MAX = 16 << 20, ROUND_TIMEOUT_MS = 120000 };

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

/* "decode;dur=1.5, detect;dur=20" */
static void read_header(const struct hs_bench_stages *stages, const char *text, double *ret_ms)
{
    char mark[64], number[32];
    for (size_t i = 0; i + 1 < stages->count; i++) {
        hs_str_format(mark, sizeof(mark), "%s;dur=", stages->names[i]);
        const char *at = text;
        while ((at = strstr(at, mark)) && at > text && at[-1] != ' ' && at[-1] != ',')
            at++;
        double ms;
        if (at && hs_str_copy_n(number, sizeof(number), at + strlen(mark), strcspn(at + strlen(mark), ",; ")) &&
            hs_str_to_double(number, &ms))
            ret_ms[i] = ms;
    }
}

/* The stage times that the answer carries; a server that does not send them leaves zeros. */
static void read_timings(struct http_worker *worker, double *ret_ms)
{
    json_t *answer = json_loadb((const char *) worker->answer.data, worker->answer.len, 0, NULL);
    const json_t *timings = json_object_get(answer, "timings_ms");
    const struct hs_bench_stages *stages = &worker->input->bench->stages;
    for (size_t i = 0; i + 1 < stages->count; i++)
        ret_ms[i] = json_number_value(json_object_get(timings, stages->names[i]));
    json_decref(answer);
    struct curl_header *header;
    if (curl_easy_header(worker->curl, "Server-Timing", 0, CURLH_HEADER, -1, &header) == CURLHE_OK)
        read_header(stages, header->value, ret_ms);
}

static int run_http(void *arg, size_t round, double *ret_ms, struct hs_error *err)
{
    struct http_worker *worker = arg;
    curl_mime *form = make_form(worker, &worker->input->pictures[round % worker->input->count]);
    if (!form)
        return hs_error_set(err, HS_ENOMEM, "no memory for a form");
    hs_buf_clear(&worker->answer);
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
    .make_worker = make_http,
    .run = run_http,
    .free_worker = free_http,
};
