#include "service/bench_command.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "service/app.h"
#include "service/test_image.h"

enum { PICTURE_MAX = 256 << 20 };

struct bench_call {
    struct hs_invocation *call;
    struct hs_bench_input input;
    int64_t clients, rounds;
    double seconds, warm;
    bool json;
};

/* A round in this process. */
static int run_round(void *worker, size_t round, double *ret_ms, struct hs_error *err)
{
    const struct hs_bench_input *input = worker;
    return input->bench->round(input->state, &input->pictures[round % input->count], ret_ms, err);
}

static const struct hs_bench_job in_process = { .run = run_round };

static int read_pictures(const struct hs_text_list *paths, struct hs_bench_picture *pictures, struct hs_error *err)
{
    int r = 0;
    for (size_t i = 0; i < paths->count && r == 0; i++) {
        pictures[i].path = paths->items[i];
        r = hs_file_read(paths->items[i], PICTURE_MAX, &pictures[i].data, &pictures[i].len, err);
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

static void print_table(const struct bench_call *bench, const struct hs_bench_summary *s)
{
    const struct hs_bench_stages *stages = &bench->input.bench->stages;
    printf("%-12s %9s %9s %9s %9s   ms\n", "stage", "mean", "p50", "p95", "p99");
    for (size_t i = 0; i < stages->count; i++) {
        const struct hs_bench_times *t = &s->stages[i];
        printf("%-12s %9.3f %9.3f %9.3f %9.3f\n", stages->names[i], t->mean, t->p50, t->p95, t->p99);
    }
    printf("%zu pictures in %.2f s by %lld client%s: %.2f a second", s->rounds, s->seconds, (long long) bench->clients,
           bench->clients == 1 ? "" : "s", s->per_second);
    if (!bench->input.url)
        printf(", %.4f CPU seconds each", s->cpu_seconds_per_round);
    printf("; %zu failed%s%s\n", s->failures, s->failures ? ": " : "", s->first_failure);
}

static json_t *report_json(const struct bench_call *bench, const struct hs_bench_summary *s)
{
    const struct hs_bench_stages *names = &bench->input.bench->stages;
    json_t *stages = json_object();
    for (size_t i = 0; i < names->count; i++) {
        const struct hs_bench_times *t = &s->stages[i];
        json_object_set_new(
            stages, names->names[i],
            json_pack("{s:f, s:f, s:f, s:f}", "mean", t->mean, "p50", t->p50, "p95", t->p95, "p99", t->p99));
    }
    json_t *report = json_pack("{s:I, s:I, s:I, s:f, s:f, s:o}", "clients", (json_int_t) bench->clients, "pictures",
                               (json_int_t) s->rounds, "failures", (json_int_t) s->failures, "seconds", s->seconds,
                               "pictures_per_second", s->per_second, "stages_ms", stages);
    if (report && !bench->input.url)
        json_object_set_new(report, "cpu_seconds_per_picture", json_real(s->cpu_seconds_per_round));
    return report;
}

static int measure(struct bench_call *bench)
{
    const struct hs_bench_plan plan = {
        .clients = (int) bench->clients,
        .seconds = bench->seconds,
        .rounds_max = (size_t) bench->rounds,
        .warm_seconds = bench->warm,
    };
    struct hs_bench_summary summary;
    struct hs_error err;
    int r = hs_bench_run(bench->input.url ? &hs_bench_over_http : &in_process, &bench->input,
                         &bench->input.bench->stages, &plan, &summary, &err);
    if (r == 0 && bench->json)
        r = hs_print_json(report_json(bench, &summary), HS_JSON_SPACED, &err);
    else if (r == 0)
        print_table(bench, &summary);
    if (r < 0)
        return hs_invocation_fail(bench->call, HS_EXIT_FAILURE, "%s", err.message);
    return summary.failures ? HS_EXIT_FAILURE : HS_EXIT_OK;
}

static int measure_here(struct bench_call *bench)
{
    void *state;
    int code = hs_app_start(bench->call, NULL, 0, HS_APP_LOAD | HS_APP_OPEN_FOUND, &state);
    if (code != HS_EXIT_OK)
        return code;
    bench->input.state = state;
    code = measure(bench);
    hs_app_destroy(state);
    return code;
}

static int run(struct bench_call *bench)
{
    const struct hs_text_list *paths = &bench->call->words;
    size_t count = paths->count ? paths->count : 1;
    struct hs_bench_picture *pictures = calloc(count, sizeof(*pictures));
    struct hs_error err;
    if (!pictures)
        return hs_invocation_fail(bench->call, HS_EXIT_FAILURE, "no memory for %zu pictures", count);
    bench->input.pictures = pictures;
    bench->input.count = count;
    int code;
    if (read_pictures(paths, pictures, &err) < 0)
        code = hs_invocation_fail(bench->call, HS_EXIT_FAILURE, "%s", err.message);
    else
        code = bench->input.url ? measure(bench) : measure_here(bench);
    for (size_t i = 0; i < count; i++)
        free(pictures[i].data);
    free(pictures);
    return code;
}

int hs_cmd_bench(struct hs_invocation *call)
{
    char url_help[120];
    struct bench_call bench = { .call = call, .input.bench = call->program->app->bench, .clients = 1, .seconds = 10,
                                .warm = 1 };
    hs_str_format(url_help, sizeof(url_help), "measure a server (its …%s) instead of this process",
                  bench.input.bench->route);
    const struct hs_option options[] = {
        HS_TEXT("url", &bench.input.url, "URL", url_help),
        HS_INT("clients", &bench.clients, "N", 1, 1024, "pictures under way at the same time (1)"),
        HS_NUMBER("seconds", &bench.seconds, "S", .01, 86400, "how long (10)"),
        HS_INT("rounds", &bench.rounds, "N", 0, 1e6, "stop after so many pictures (0: only time counts)"),
        HS_NUMBER("warm", &bench.warm, "S", 0, 3600, "how long before that, not counted (1)"),
        HS_FLAG("json", &bench.json, "print JSON"),
    };
    int code;
    return hs_invocation_parse(call, options, HS_ARRAY_LEN(options), SIZE_MAX, &code) ? run(&bench) : code;
}
