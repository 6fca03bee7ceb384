/* How fast the engine gets pictures through a model, without HTTP and pictures: N threads acquire, run and release as
 * fast as they can.
 *
 *   bench_infer MODEL.onnx HEIGHT WIDTH CLIENTS SECONDS solo|shared|adaptive f32|auto CACHE-FOLDER|- [MORE-SHAPES HxW…]
 *
 * Prints pictures per second, latency, processor time a picture, and memory. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "infer/engine.h"
#include "infer/registry.h"

enum { MAX_CLIENTS = 64, MAX_SAMPLES = 100000 };

struct client {
    pthread_t thread;
    struct hs_engine *engine;
    struct hs_engine_shape shape;
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
        int r = hs_engine_acquire(client->engine, client->shape.h, client->shape.w, HS_NO_DEADLINE, NULL, &lease, &err);
        if (r == 0) {
            r = hs_engine_run(lease, NULL, &err);
            hs_engine_release(lease);
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

static void run_clients(struct hs_engine *engine, struct hs_engine_shape shape, int clients, double seconds)
{
    static struct client all[MAX_CLIENTS];
    static double samples[MAX_SAMPLES];
    size_t count = 0, failures = 0;
    double cpu_ms = processor_ms();
    int64_t start_ns = hs_clock_now_ns();
    for (int i = 0; i < clients; i++) {
        all[i] = (struct client) { .engine = engine, .shape = shape, .end_ns = start_ns + (int64_t) (seconds * 1e9) };
        all[i].samples_ms = malloc(MAX_SAMPLES * sizeof(double));
        if (!all[i].samples_ms || pthread_create(&all[i].thread, NULL, use_engine, &all[i]) != 0)
            exit(1);
    }
    for (int i = 0; i < clients; i++) {
        pthread_join(all[i].thread, NULL);
        for (size_t k = 0; k < all[i].count && count < MAX_SAMPLES; k++)
            samples[count++] = all[i].samples_ms[k];
        failures += all[i].failures;
        free(all[i].samples_ms);
    }
    double elapsed_s = (double) (hs_clock_now_ns() - start_ns) / 1e9;
    cpu_ms = processor_ms() - cpu_ms;
    if (count == 0)
        exit(1);
    qsort(samples, count, sizeof(samples[0]), compare);
    printf("%2d clients: %6.1f /s, p50 %6.1f ms, p95 %6.1f ms, min %6.1f ms, cpu %6.1f ms each, %zu failed\n", clients,
           (double) count / elapsed_s, samples[count / 2], samples[count * 95 / 100], samples[0],
           cpu_ms / (double) count, failures);
}

static bool parse_shape(char *text, struct hs_engine_shape *ret)
{
    int64_t h, w;
    char *x = strchr(text, 'x');
    if (!x)
        return false;
    *x = '\0';
    if (!hs_str_to_int64(text, &h) || !hs_str_to_int64(x + 1, &w))
        return false;
    *ret = (struct hs_engine_shape) { (int) h, (int) w };
    return true;
}

int main(int argc, char **argv)
{
    int64_t h, w, clients;
    double seconds;
    struct hs_error err = { 0 };
    if (argc < 9 || !hs_str_to_int64(argv[2], &h) || !hs_str_to_int64(argv[3], &w) ||
        !hs_str_to_int64(argv[4], &clients) || clients < 1 || clients > MAX_CLIENTS ||
        !hs_str_to_double(argv[5], &seconds)) {
        fprintf(stderr,
                "bench_infer MODEL HEIGHT WIDTH CLIENTS SECONDS solo|shared|adaptive f32|auto CACHE|- [HxW…]\n");
        return 2;
    }
    bool solo = strcmp(argv[6], "solo") == 0;
    int64_t start_ns = hs_clock_now_ns();
    struct hs_engine_options options = {
        .cache_dir = strcmp(argv[8], "-") == 0 ? NULL : argv[8], .slots = solo ? 1 : 0,
        .adaptive = strcmp(argv[6], "adaptive") == 0, .max_copies = 12, .queue_max = 100, .keep_alive_s = -1,
    };
    struct hs_model_spec spec = {
        .path = argv[1], .std = { 255, 255, 255 },
        .precision = strcmp(argv[7], "f32") == 0 ? HS_PRECISION_F32 : HS_PRECISION_AUTO,
    };
    struct hs_engine *engine = NULL;
    struct hs_engine_shape shape = { (int) h, (int) w };
    int r = options.cache_dir ? hs_dir_make(options.cache_dir, &err) : 0;
    if (r == 0)
        r = hs_registry_find("cpu", &options.backend, &err);
    if (r == 0)
        r = hs_engine_create(&options, &spec, &engine, &err);
    if (r == 0) {
        hs_engine_start_loading(engine, &shape, 1);
        r = hs_engine_wait_loaded(engine, HS_NO_DEADLINE, &err);
    }
    if (r != 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    printf("ready after %.0f ms\n", hs_ns_to_ms(hs_clock_now_ns() - start_ns));
    print_memory("loaded");
    run_clients(engine, shape, 1, 0.1); /* the first run allocates */
    if (clients > 1)
        run_clients(engine, shape, (int) clients, 2); /* brings the shared copy */
    print_memory("warm");
    run_clients(engine, shape, (int) clients, seconds);
    print_memory("after");
    for (int i = 9; i < argc; i++)
        if (parse_shape(argv[i], &shape)) {
            run_clients(engine, shape, (int) clients, seconds);
            print_memory("one more shape");
        }
    struct hs_engine_status status;
    hs_engine_get_status(engine, &status);
    printf("%d copies, newest load %.0f ms\n", status.copy_count, hs_ns_to_ms(status.last_load_ns));
    hs_engine_destroy(engine);
    return 0;
}
