#include "service/bench.h"

#include <curl/curl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/str.h"
#include "service/app.h"
#include "service/parallel_for.h"
#include "service/picture_files.h"
#include "service/sample_stats.h"
#include "service/test_image.h"

enum { PICTURE_MAX = 256 << 20, RESPONSE_MAX = 16 << 20, ROUND_TIMEOUT_MS = 120000 };

/* ---- rounds on several threads ---- */

/* In a longer run, only the first samples are kept. */
enum { SAMPLES_MAX = 1000000 };

struct bench {
    const struct hs_bench_job *job;
    void *arg;
    size_t stages;
    pthread_mutex_t lock;                           /* guards the fields below */
    struct hs_samples samples[HS_BENCH_STAGES_MAX]; /* ms */
    size_t started, rounds_max, rounds, failures;
    int64_t end_ns;
    char first_failure[200];
    bool warming; /* only failures are kept */
};

static bool may_start(struct bench *bench, size_t *ret_round)
{
    pthread_mutex_lock(&bench->lock);
    bool go = hs_clock_now_ns() < bench->end_ns && (bench->rounds_max == 0 || bench->started < bench->rounds_max);
    if (go)
        *ret_round = bench->started++;
    pthread_mutex_unlock(&bench->lock);
    return go;
}

static void record_failure(struct bench *bench, const struct hs_error *failure)
{
    pthread_mutex_lock(&bench->lock);
    if (bench->failures++ == 0)
        hs_str_copy(bench->first_failure, sizeof(bench->first_failure), failure->message);
    pthread_mutex_unlock(&bench->lock);
}

static int record(struct bench *bench, const double ms[HS_BENCH_STAGES_MAX], struct hs_error *err)
{
    int r = 0;
    pthread_mutex_lock(&bench->lock);
    if (!bench->warming && bench->rounds++ < SAMPLES_MAX)
        for (size_t i = 0; i < bench->stages && r == 0; i++)
            r = hs_samples_add(&bench->samples[i], ms[i], err);
    pthread_mutex_unlock(&bench->lock);
    return r;
}

/* Runs rounds one after another until the time is over. */
static int run_client(void *arg, size_t index, struct hs_error *err)
{
    struct bench *bench = arg;
    struct hs_error failure;
    size_t round;
    int r = 0;
    (void) index;
    void *worker = bench->job->make_worker ? bench->job->make_worker(bench->arg, &failure) : bench->arg;
    if (!worker) {
        record_failure(bench, &failure);
        return 0;
    }
    while (r == 0 && may_start(bench, &round)) {
        double ms[HS_BENCH_STAGES_MAX] = { 0 };
        int64_t start = hs_clock_now_ns();
        int done = bench->job->run(worker, round, ms, &failure);
        ms[bench->stages - 1] = hs_ns_to_ms(hs_clock_now_ns() - start);
        if (done < 0)
            record_failure(bench, &failure);
        else
            r = record(bench, ms, err);
    }
    if (bench->job->free_worker)
        bench->job->free_worker(worker);
    return r;
}

static int run_phase(struct bench *bench, int clients, double seconds, size_t rounds_max, struct hs_error *err)
{
    const struct hs_parallel_for loop = {
        .count = (size_t) clients,
        .threads = clients,
        .run = run_client,
        .arg = bench,
    };
    bench->end_ns = hs_clock_now_ns() + (int64_t) (seconds * 1e9);
    bench->started = 0;
    bench->rounds_max = rounds_max;
    return hs_parallel_for(&loop, err);
}

static double cpu_seconds(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double) (use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double) (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

/* The caller frees bench->samples. */
static int measure(struct bench *bench, const struct hs_bench_plan *plan, struct hs_bench_summary *s,
                   struct hs_error *err)
{
    bench->warming = true;
    int r = plan->warm_seconds > 0 ? run_phase(bench, plan->clients, plan->warm_seconds, 0, err) : 0;
    bench->warming = false;
    double cpu = cpu_seconds();
    int64_t start = hs_clock_now_ns();
    if (r == 0)
        r = run_phase(bench, plan->clients, plan->seconds, plan->rounds_max, err);
    if (r < 0)
        return r;
    s->seconds = (double) (hs_clock_now_ns() - start) / 1e9;
    s->rounds = bench->rounds;
    s->failures = bench->failures;
    hs_str_copy(s->first_failure, sizeof(s->first_failure), bench->first_failure);
    if (s->rounds == 0)
        return hs_error_set(err, HS_EIO, "no round succeeded: %s",
                            s->failures ? s->first_failure : "the time was too short");
    s->per_second = (double) s->rounds / s->seconds;
    s->cpu_seconds_per_round = (cpu_seconds() - cpu) / (double) s->rounds;
    for (size_t i = 0; i < bench->stages; i++) {
        struct hs_samples *samples = &bench->samples[i];
        double mean = hs_samples_summarize(samples).mean; /* sorts the samples */
        s->stages[i] =
            (struct hs_bench_times) { mean, hs_samples_percentile(samples, .50), hs_samples_percentile(samples, .95),
                                      hs_samples_percentile(samples, .99) };
    }
    return 0;
}

int hs_bench_run(const struct hs_bench_job *job, void *arg, const struct hs_bench_stages *stages,
                 const struct hs_bench_plan *plan, struct hs_bench_summary *ret_summary, struct hs_error *err)
{
    struct bench bench = { .job = job, .arg = arg, .stages = stages->count, .lock = PTHREAD_MUTEX_INITIALIZER };
    struct hs_bench_summary summary = { 0 };
    int r = measure(&bench, plan, &summary, err);
    if (r == 0)
        *ret_summary = summary;
    for (size_t i = 0; i < stages->count; i++)
        hs_samples_finish(&bench.samples[i]);
    return r;
}

/* ---- over HTTP ---- */

/* The command line, and the pictures; rounds use these in turn. */
struct bench_call {
    struct hs_invocation *invocation;
    const struct hs_app_bench *bench;
    struct hs_bench_picture *pictures;
    size_t count;
    const char *url;     /* address of the server; NULL: this process */
    const char *socket;  /* its unix socket; NULL: TCP */
    const char *ca_file; /* certificates of authorities for https; NULL: those of the system */
    const void *state;   /* state of this process, if url is NULL */
    int64_t clients, rounds;
    double seconds, warm;
    bool json;
};

/* One persistent connection per client. */
struct http_worker {
    const struct bench_call *call;
    CURL *curl;
    struct hs_buf response;
    char reason[CURL_ERROR_SIZE];
};

static size_t append_response(char *data, size_t size, size_t count, void *arg)
{
    struct http_worker *worker = arg;
    return hs_buf_append(&worker->response, data, size * count) == 0 ? size * count : 0;
}

static void free_http(void *arg)
{
    struct http_worker *worker = arg;
    curl_easy_cleanup(worker->curl);
    hs_buf_finish(&worker->response);
    free(worker);
}

/* Created for each round: libcurl 7.88 sends a form without its content if it was sent before and is set again. */
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
    worker->call = arg;
    hs_buf_init(&worker->response, RESPONSE_MAX);
    worker->curl = curl_easy_init();
    if (!worker->curl) {
        free_http(worker);
        goto no_memory;
    }
    curl_easy_setopt(worker->curl, CURLOPT_URL, worker->call->url);
    if (worker->call->socket)
        curl_easy_setopt(worker->curl, CURLOPT_UNIX_SOCKET_PATH, worker->call->socket);
    if (worker->call->ca_file)
        curl_easy_setopt(worker->curl, CURLOPT_CAINFO, worker->call->ca_file);
    curl_easy_setopt(worker->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(worker->curl, CURLOPT_WRITEFUNCTION, append_response);
    curl_easy_setopt(worker->curl, CURLOPT_WRITEDATA, worker);
    curl_easy_setopt(worker->curl, CURLOPT_ERRORBUFFER, worker->reason);
    curl_easy_setopt(worker->curl, CURLOPT_TIMEOUT_MS, (long) ROUND_TIMEOUT_MS);
    curl_easy_setopt(worker->curl, CURLOPT_NOSIGNAL, 1L);
    return worker;
no_memory:
    hs_error_set(err, HS_ENOMEM, "no memory for a client");
    return NULL;
}

/* Reads a Server-Timing header: "decode;dur=1.5, detect;dur=20". */
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

/* Reads the stage times of the answer. They stay 0 if the server does not send them. */
static void read_timings(struct http_worker *worker, double *ret_ms)
{
    json_t *response = json_loadb((const char *) worker->response.data, worker->response.len, 0, NULL);
    const json_t *timings = json_object_get(response, "timings_ms");
    const struct hs_bench_stages *stages = &worker->call->bench->stages;
    for (size_t i = 0; i + 1 < stages->count; i++)
        ret_ms[i] = json_number_value(json_object_get(timings, stages->names[i]));
    json_decref(response);
    struct curl_header *header;
    if (curl_easy_header(worker->curl, "Server-Timing", 0, CURLH_HEADER, -1, &header) == CURLHE_OK)
        read_header(stages, header->value, ret_ms);
}

static int run_http(void *arg, size_t round, double *ret_ms, struct hs_error *err)
{
    struct http_worker *worker = arg;
    curl_mime *form = make_form(worker, &worker->call->pictures[round % worker->call->count]);
    if (!form)
        return hs_error_set(err, HS_ENOMEM, "no memory for a form");
    hs_buf_clear(&worker->response);
    curl_easy_setopt(worker->curl, CURLOPT_MIMEPOST, form);
    CURLcode code = curl_easy_perform(worker->curl);
    curl_easy_setopt(worker->curl, CURLOPT_MIMEPOST, NULL);
    curl_mime_free(form);
    if (code != CURLE_OK)
        return hs_error_set(err, HS_EIO, "%s", worker->reason[0] ? worker->reason : curl_easy_strerror(code));
    long status = 0;
    curl_easy_getinfo(worker->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        return hs_error_set(err, HS_EIO, "HTTP %ld: %.120s", status, hs_buf_str(&worker->response));
    read_timings(worker, ret_ms);
    return 0;
}

static const struct hs_bench_job over_http = { make_http, run_http, free_http };

/* ---- the command ---- */

/* Runs a round in this process. */
static int run_round(void *worker, size_t round, double *ret_ms, struct hs_error *err)
{
    const struct bench_call *call = worker;
    return call->bench->round(call->state, &call->pictures[round % call->count], ret_ms, err);
}

static const struct hs_bench_job in_process = { .run = run_round };

static int read_pictures(const struct hs_text_list *paths, struct hs_bench_picture *pictures, struct hs_error *err)
{
    int r = 0;
    for (size_t i = 0; i < paths->count && r == 0; i++) {
        pictures[i].path = paths->items[i];
        r = hs_picture_read(paths->items[i], PICTURE_MAX, &pictures[i].data, &pictures[i].len, err);
    }
    if (paths->count == 0) {
        struct hs_buf out;
        hs_buf_init(&out, PICTURE_MAX);
        r = hs_test_image_encode(&out, err);
        pictures[0] = (struct hs_bench_picture) { .path = "built-in picture", .built_in = true };
        if (r == 0)
            pictures[0].data = hs_buf_take(&out, &pictures[0].len);
        hs_buf_finish(&out);
    }
    return r;
}

static void print_table(const struct bench_call *call, const struct hs_bench_summary *s)
{
    const struct hs_bench_stages *stages = &call->bench->stages;
    char pictures[HS_COUNT_SIZE], clients[HS_COUNT_SIZE];
    printf("%-12s %9s %9s %9s %9s\n", "STAGE (ms)", "MEAN", "P50", "P95", "P99");
    for (size_t i = 0; i < stages->count; i++) {
        const struct hs_bench_times *t = &s->stages[i];
        printf("%-12s %9.3f %9.3f %9.3f %9.3f\n", stages->names[i], t->mean, t->p50, t->p95, t->p99);
    }
    printf("\n%s in %.2f s with %s: %.2f pictures/s",
           hs_str_count(pictures, (int64_t) s->rounds, "picture", "pictures"), s->seconds,
           hs_str_count(clients, call->clients, "client", "clients"), s->per_second);
    if (!call->url)
        printf(", %.4f s of CPU time per picture", s->cpu_seconds_per_round);
    putchar('\n');
    if (s->failures)
        printf("%zu failed: %s\n", s->failures, s->first_failure);
}

/* Rounds to the digits of the table: stages may take less than 0.1 ms, and these are statistics of many rounds. */
static double micro(double ms)
{
    return hs_json_rounded(ms, 3);
}

static json_t *report_json(const struct bench_call *call, const struct hs_bench_summary *s)
{
    const struct hs_bench_stages *names = &call->bench->stages;
    json_t *stages = json_object();
    for (size_t i = 0; i < names->count; i++) {
        const struct hs_bench_times *t = &s->stages[i];
        json_object_set_new(stages, names->names[i],
                            json_pack("{s:f, s:f, s:f, s:f}", "mean", micro(t->mean), "p50", micro(t->p50), "p95",
                                      micro(t->p95), "p99", micro(t->p99)));
    }
    json_t *report =
        json_pack("{s:I, s:I, s:I, s:f, s:f, s:o}", "clients", (json_int_t) call->clients, "pictures",
                  (json_int_t) s->rounds, "failures", (json_int_t) s->failures, "seconds", micro(s->seconds),
                  "pictures_per_second", hs_json_rounded(s->per_second, 2), "stages_ms", stages);
    if (report && !call->url)
        json_object_set_new(report, "cpu_seconds_per_picture", json_real(hs_json_rounded(s->cpu_seconds_per_round, 4)));
    return report;
}

static int measure_and_print(struct bench_call *call)
{
    const struct hs_bench_plan plan = {
        .clients = (int) call->clients,
        .seconds = call->seconds,
        .rounds_max = (size_t) call->rounds,
        .warm_seconds = call->warm,
    };
    struct hs_bench_summary summary;
    struct hs_error err;
    int r = hs_bench_run(call->url ? &over_http : &in_process, call, &call->bench->stages, &plan, &summary, &err);
    if (r == 0 && call->json)
        r = hs_print_json(report_json(call, &summary), HS_JSON_SPACED, &err);
    else if (r == 0)
        print_table(call, &summary);
    if (r < 0)
        return hs_invocation_fail(call->invocation, HS_EXIT_FAILURE, "%s", err.message);
    return summary.failures ? HS_EXIT_FAILURE : HS_EXIT_OK;
}

static int measure_here(struct bench_call *call)
{
    void *state;
    int code = hs_app_start(call->invocation, NULL, 0, HS_APP_LOAD | HS_APP_OPEN_EXISTING | HS_APP_PREPARE, &state);
    if (code != HS_EXIT_OK)
        return code;
    call->state = state;
    code = measure_and_print(call);
    hs_app_destroy(state);
    return code;
}

static int run_command(struct bench_call *call)
{
    const struct hs_text_list *paths = &call->invocation->operands;
    size_t count = paths->count ? paths->count : 1;
    struct hs_bench_picture *pictures = calloc(count, sizeof(*pictures));
    struct hs_error err;
    if (!pictures)
        return hs_invocation_fail(call->invocation, HS_EXIT_FAILURE, "no memory for %zu pictures", count);
    call->pictures = pictures;
    call->count = count;
    int code;
    if (read_pictures(paths, pictures, &err) < 0)
        code = hs_invocation_fail(call->invocation, HS_EXIT_FAILURE, "%s", err.message);
    else
        code = call->url ? measure_and_print(call) : measure_here(call);
    for (size_t i = 0; i < count; i++)
        free(pictures[i].data);
    free(pictures);
    return code;
}

static int run(struct hs_invocation *call)
{
    char url_help[120];
    struct bench_call bench = {
        .invocation = call, .bench = call->program->app->bench, .clients = 1, .seconds = 10, .warm = 1
    };
    hs_str_format(url_help, sizeof(url_help), "measure a running server through its %s, instead of this process",
                  bench.bench->route);
    const struct hs_option options[] = {
        HS_TEXT("url", &bench.url, "URL", url_help),
        HS_TEXT("unix-socket", &bench.socket, "FILE", "unix socket of that server (default: the host of --url)"),
        HS_TEXT("ca-file", &bench.ca_file, "FILE", "certificate that signed that server's (default: the system's)"),
        HS_INT("clients", &bench.clients, "N", 1, 1024, "pictures processed at the same time (default 1)"),
        HS_NUMBER("seconds", &bench.seconds, "SECONDS", .01, 86400, "duration of the measurement (default 10)"),
        HS_INT("rounds", &bench.rounds, "N", 0, 1e6, "stop after that many pictures (default: no limit)"),
        HS_NUMBER("warm", &bench.warm, "SECONDS", 0, 3600, "warm-up before the measurement, not counted (default 1)"),
        HS_FLAG("json", &bench.json, "print JSON"),
    };
    int code;
    return hs_invocation_read(call, options, HS_ARRAY_LEN(options), &code) ? run_command(&bench) : code;
}

static const struct hs_example examples[] = {
    { "bench .deps/samples/bus.jpg --models .deps/models --seconds 3", "Measure each stage with one picture" },
    { "bench --models .deps/models --clients 4 --seconds 3", "Measure four at a time, with the built-in picture" },
};

const struct hs_command hs_command_bench = {
    .name = "bench",
    .arguments = "[PICTURE…]",
    .summary = "Measure the speed on this machine or of a server",
    .run = run,
    HS_EXAMPLES(examples),
};
