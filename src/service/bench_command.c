#include "service/bench_command.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/print_json.h"
#include "image/encode.h"
#include "service/figure.h"

enum { PICTURE_MAX = 256 << 20, FIGURE_QUALITY = 90 };

struct bench_call {
    struct hs_invocation *call;
    const struct hs_bench_command *command;
    const char *url;
    int64_t clients, rounds;
    double seconds, warm;
    bool json;
};

static int add_figure(struct hs_bench_picture *ret, struct hs_error *err)
{
    struct hs_image *image;
    int r = hs_figure_draw(&image, err);
    if (r < 0)
        return r;
    struct hs_buf out;
    hs_buf_init(&out, PICTURE_MAX);
    r = hs_image_encode_jpeg(image, FIGURE_QUALITY, &out, err);
    hs_image_destroy(image);
    ret->path = "built-in picture";
    if (r == 0)
        ret->data = hs_buf_take(&out, &ret->len);
    hs_buf_finish(&out);
    return r;
}

static int read_pictures(const struct hs_text_list *paths, struct hs_bench_picture *pictures, struct hs_error *err)
{
    if (paths->count == 0)
        return add_figure(&pictures[0], err);
    int r = 0;
    for (size_t i = 0; i < paths->count && r == 0; i++) {
        pictures[i].path = paths->items[i];
        r = hs_file_read(paths->items[i], PICTURE_MAX, &pictures[i].data, &pictures[i].len, err);
    }
    return r;
}

static void print_table(const struct bench_call *bench, const struct hs_bench_summary *s)
{
    printf("%-12s %9s %9s %9s %9s   ms\n", "stage", "mean", "p50", "p95", "p99");
    const struct hs_bench_stages *stages = &bench->command->stages;
    for (size_t i = 0; i < stages->count; i++) {
        const struct hs_bench_times *t = &s->stages[i];
        printf("%-12s %9.3f %9.3f %9.3f %9.3f\n", stages->names[i], t->mean, t->p50, t->p95, t->p99);
    }
    printf("%zu pictures in %.2f s by %lld client%s: %.2f a second", s->rounds, s->seconds, (long long) bench->clients,
           bench->clients == 1 ? "" : "s", s->per_second);
    if (!bench->url)
        printf(", %.4f CPU seconds each", s->cpu_seconds_per_round);
    printf("; %zu failed%s%s\n", s->failures, s->failures ? ": " : "", s->first_failure);
}

static int print_json(const struct bench_call *bench, const struct hs_bench_summary *s, struct hs_error *err)
{
    json_t *stages = json_object();
    for (size_t i = 0; i < bench->command->stages.count; i++) {
        const struct hs_bench_times *t = &s->stages[i];
        json_object_set_new(
            stages, bench->command->stages.names[i],
            json_pack("{s:f, s:f, s:f, s:f}", "mean", t->mean, "p50", t->p50, "p95", t->p95, "p99", t->p99));
    }
    json_t *report = json_pack("{s:I, s:I, s:I, s:f, s:f, s:o}", "clients", (json_int_t) bench->clients, "pictures",
                               (json_int_t) s->rounds, "failures", (json_int_t) s->failures, "seconds", s->seconds,
                               "pictures_per_second", s->per_second, "stages_ms", stages);
    if (report && !bench->url)
        json_object_set_new(report, "cpu_seconds_per_picture", json_real(s->cpu_seconds_per_round));
    return hs_print_json(report, err);
}

static int measure(const struct bench_call *bench, const struct hs_bench_input *input)
{
    const struct hs_bench_plan plan = {
        .clients = (int) bench->clients,
        .seconds = bench->seconds,
        .rounds_max = (size_t) bench->rounds,
        .warm_seconds = bench->warm,
    };
    struct hs_bench_summary summary;
    struct hs_error err;
    int r = hs_bench_run(bench->url ? &hs_bench_over_http : &bench->command->in_process, (void *) input, &input->stages,
                         &plan, &summary, &err);
    if (r < 0)
        return hs_invocation_fail(bench->call, HS_EXIT_FAILURE, "%s", err.message);
    if (!bench->json)
        print_table(bench, &summary);
    else if (print_json(bench, &summary, &err) < 0)
        return hs_invocation_fail(bench->call, HS_EXIT_FAILURE, "%s", err.message);
    return summary.failures ? HS_EXIT_FAILURE : HS_EXIT_OK;
}

static int run(const struct bench_call *bench, const struct hs_text_list *paths)
{
    size_t count = paths->count ? paths->count : 1;
    struct hs_bench_picture *pictures = calloc(count, sizeof(*pictures));
    if (!pictures)
        return hs_invocation_fail(bench->call, HS_EXIT_FAILURE, "no memory for %zu pictures", count);
    struct hs_error err;
    int code = HS_EXIT_OK;
    struct hs_bench_input input = {
        .pictures = pictures,
        .count = count,
        .stages = bench->command->stages,
        .url = bench->url,
        .built_in = paths->count == 0,
    };
    if (read_pictures(paths, pictures, &err) < 0) {
        code = hs_invocation_fail(bench->call, HS_EXIT_FAILURE, "%s", err.message);
    } else if (bench->url) {
        code = measure(bench, &input);
    } else {
        void *app;
        code = bench->command->start(bench->call, &app);
        if (code == HS_EXIT_OK) {
            input.app = app;
            code = measure(bench, &input);
            bench->command->finish(app);
        }
    }
    for (size_t i = 0; i < count; i++)
        free(pictures[i].data);
    free(pictures);
    return code;
}

int hs_bench_command_run(struct hs_invocation *call, const struct hs_bench_command *command)
{
    char url_help[120];
    struct bench_call bench = { .call = call, .command = command, .clients = 1, .seconds = 10, .warm = 1 };
    hs_str_format(url_help, sizeof(url_help), "measure a server (its …%s) instead of this process", command->route);
    const struct hs_option options[] = {
        { .name = "url", .kind = HS_OPTION_TEXT, .target = &bench.url, .value = "URL", .help = url_help },
        { .name = "clients",
          .kind = HS_OPTION_INT,
          .target = &bench.clients,
          .value = "N",
          .min = 1,
          .max = 1024,
          .help = "pictures under way at the same time (1)" },
        { .name = "seconds",
          .kind = HS_OPTION_NUMBER,
          .target = &bench.seconds,
          .value = "S",
          .min = .01,
          .max = 86400,
          .help = "how long (10)" },
        { .name = "rounds",
          .kind = HS_OPTION_INT,
          .target = &bench.rounds,
          .value = "N",
          .min = 0,
          .max = 1e6,
          .help = "stop after so many pictures (0: only time counts)" },
        { .name = "warm",
          .kind = HS_OPTION_NUMBER,
          .target = &bench.warm,
          .value = "S",
          .min = 0,
          .max = 3600,
          .help = "how long before that, not counted (1)" },
        { .name = "json", .kind = HS_OPTION_FLAG, .target = &bench.json, .help = "print JSON" },
    };
    struct hs_text_list paths = { 0 };
    int code;
    if (hs_invocation_parse(call, options, HS_ARRAY_LEN(options), &paths, SIZE_MAX, &code))
        code = run(&bench, &paths);
    hs_text_list_finish(&paths);
    return code;
}
