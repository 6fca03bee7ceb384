/* How fast the engine gets pictures through a model, without HTTP and pictures: N threads acquire, run and release as
 * fast as they can.
 *
 *   bench_infer MODEL.onnx HEIGHT WIDTH CLIENTS SECONDS WAY[,WAY...] f32|auto CACHE-FOLDER|-
 *
 * A way is solo (one slot), shared (a slot a core) or adaptive. Several are compared in one process, by turns of half a
 * second, so that what else the machine does hits all of them; SECONDS are those of each. Prints pictures per second,
 * latency, processor time a picture, and memory. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "infer/runner.h"
#include "infer/registry.h"

enum { MAX_CLIENTS = 64, MAX_SAMPLES = 100000, MAX_WAYS = 8 };
#define TURN_S 0.5

/* One way, and what was found of it. */
struct way {
    const char *name;
    struct hs_runner *engine;
    double *samples_ms;
    size_t count, failures;
    double elapsed_s, cpu_ms;
};

struct client {
    pthread_t thread;
    struct hs_runner *engine;
    struct hs_input_size shape;
    int64_t end_ns;
    double *samples_ms;
    size_t count, failures;
};

static double processor_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double) t.tv_sec * 1e3 + (double) t.tv_nsec / 1e6;
}

static void print_memory(const char *when)
{
    char line[256];
    FILE *file = fopen("/proc/self/status", "r");
    printf("%-28s", when);
    while (file && fgets(line, sizeof(line), file))
        if (hs_str_starts(line, "VmRSS") || hs_str_starts(line, "VmHWM") || hs_str_starts(line, "RssAnon"))
            printf(" %.*s", (int) strcspn(line, "\n"), line);
    printf("\n");
    if (file)
        fclose(file);
}

static void *use_engine(void *arg)
{
    struct client *client = arg;
    while (hs_clock_now_ns() < client->end_ns && client->count < MAX_SAMPLES) {
        struct hs_lease *lease;
        struct hs_error err;
        int64_t start_ns = hs_clock_now_ns();
        int r = hs_runner_acquire(client->runner, client->shape.h, client->shape.w, HS_NO_DEADLINE, NULL, &lease, &err);
        if (r == 0) {
            r = hs_runner_run(lease, NULL, &err);
            hs_runner_release(lease);
        }
        if (r == 0)
            client->samples_ms[client->count++] = hs_ns_to_ms(hs_clock_now_ns() - start_ns);
        else
            client->failures++;
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

static void run_clients(struct way *way, struct hs_input_size shape, int clients, double seconds)
{
    static struct client all[MAX_CLIENTS];
    double cpu_ms = processor_ms();
    int64_t start_ns = hs_clock_now_ns();
    for (int i = 0; i < clients; i++) {
        all[i] = (struct client) {
            .runner = way->runner, .shape = shape, .end_ns = start_ns + (int64_t) (seconds * 1e9),
        };
        all[i].samples_ms = malloc(MAX_SAMPLES * sizeof(double));
        if (!all[i].samples_ms || pthread_create(&all[i].thread, NULL, use_engine, &all[i]) != 0)
            exit(1);
    }
    for (int i = 0; i < clients; i++) {
        pthread_join(all[i].thread, NULL);
        for (size_t k = 0; k < all[i].count && way->count < MAX_SAMPLES; k++)
            way->samples_ms[way->count++] = all[i].samples_ms[k];
        way->failures += all[i].failures;
        free(all[i].samples_ms);
    }
    way->elapsed_s += (double) (hs_clock_now_ns() - start_ns) / 1e9;
    way->cpu_ms += processor_ms() - cpu_ms;
}

static void forget(struct way *way)
{
    way->count = way->failures = 0;
    way->elapsed_s = way->cpu_ms = 0;
}

static void report(struct way *way, int clients)
{
    double *t = way->samples_ms;
    if (way->count == 0)
        exit(1);
    qsort(t, way->count, sizeof(t[0]), compare);
    printf("%-8s %2d clients: %6.1f /s, p50 %6.1f ms, p95 %6.1f ms, min %6.1f ms, cpu %6.1f ms each, %zu failed\n",
           way->name, clients, (double) way->count / way->elapsed_s, t[way->count / 2], t[way->count * 95 / 100], t[0],
           way->cpu_ms / (double) way->count, way->failures);
}

/* Fills in all but the name. */
static int start(struct way *way, const struct hs_model_spec *spec, struct hs_input_size shape, const char *cache,
                 struct hs_error *err)
{
    bool solo = strcmp(way->name, "solo") == 0, adaptive = strcmp(way->name, "adaptive") == 0;
    struct hs_runner_options options = {
        .cache_dir = cache, .slots = solo ? 1 : 0, .adaptive = adaptive, .max_copies = 12, .queue_max = 100,
        .keep_alive_s = -1,
    };
    way->samples_ms = malloc(MAX_SAMPLES * sizeof(double));
    if (!way->samples_ms || (!solo && !adaptive && strcmp(way->name, "shared") != 0))
        return hs_error_set(err, HS_EINVAL, "no such way: %s", way->name);
    int r = cache ? hs_dir_make(cache, err) : 0;
    if (r == 0)
        r = hs_registry_find("cpu", &options.backend, err);
    if (r == 0)
        r = hs_runner_create(&options, spec, &way->runner, err);
    if (r < 0)
        return r;
    hs_runner_preload(way->runner, &shape, 1);
    return hs_runner_wait_loaded(way->runner, HS_NO_DEADLINE, err);
}

static void take_turns(struct way *ways, int count, struct hs_input_size shape, int clients, double seconds)
{
    for (int i = 0; i < count; i++) {
        run_clients(&ways[i], shape, clients, 0.1); /* the first run allocates, several bring the shared copy */
        run_clients(&ways[i], shape, clients, 2 * TURN_S);
        forget(&ways[i]);
    }
    print_memory("warm");
    for (int turn = 0; turn * TURN_S < seconds; turn++)
        for (int i = 0; i < count; i++)
            run_clients(&ways[turn % 2 ? count - 1 - i : i], shape, clients, TURN_S);
}

int main(int argc, char **argv)
{
    int64_t h, w, clients;
    double seconds;
    struct hs_error err = { 0 };
    struct way ways[MAX_WAYS] = { { 0 } };
    int count = 0;
    if (argc != 9 || !hs_str_to_int64(argv[2], &h) || !hs_str_to_int64(argv[3], &w) ||
        !hs_str_to_int64(argv[4], &clients) || clients < 1 || clients > MAX_CLIENTS ||
        !hs_str_to_double(argv[5], &seconds)) {
        fprintf(stderr, "bench_infer MODEL HEIGHT WIDTH CLIENTS SECONDS solo|shared|adaptive[,...] f32|auto CACHE|-\n");
        return 2;
    }
    const struct hs_input_size shape = { (int) h, (int) w };
    const struct hs_model_spec spec = {
        .path = argv[1], .std = { 255, 255, 255 },
        .precision = strcmp(argv[7], "f32") == 0 ? HS_PRECISION_F32 : HS_PRECISION_AUTO,
    };
    for (char *names = argv[6], *name; (name = strsep(&names, ",")) && count < MAX_WAYS; count++) {
        ways[count].name = name;
        if (start(&ways[count], &spec, shape, strcmp(argv[8], "-") == 0 ? NULL : argv[8], &err) < 0) {
            fprintf(stderr, "%s\n", err.message);
            return 1;
        }
    }
    print_memory("loaded");
    take_turns(ways, count, shape, (int) clients, seconds);
    print_memory("after");
    for (int i = 0; i < count; i++) {
        report(&ways[i], (int) clients);
        hs_runner_destroy(ways[i].runner);
        free(ways[i].samples_ms);
    }
    return 0;
}
