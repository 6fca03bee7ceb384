/* Measures the throughput of a runner without HTTP and image decoding: CLIENTS threads acquire, run and release
 * as fast as they can.
 *
 *   bench_infer MODEL.onnx|sim HEIGHT WIDTH CLIENTS SECONDS SLOTS[,SLOTS...] f32|auto CACHE-FOLDER|-
 *
 * SLOTS is inference.slots. Several values are compared in one process, in turns of at most half a second, so
 * that other load on the machine affects all of them equally; SECONDS applies to each value. Prints images per
 * second, latency, CPU time per image, and memory. `sim` is the scripted device. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "infer/registry.h"
#include "infer/runner.h"

enum { MAX_CLIENTS = 64, MAX_SAMPLES = 100000, MAX_CANDIDATES = 8 };
#define TURN_S 0.5

/* A runner with one number of slots, and its samples. */
struct candidate {
    int64_t slots;
    struct hs_runner *runner;
    double *samples_ms;
    size_t count, failures;
    double elapsed_s, cpu_ms;
};

struct client {
    pthread_t thread;
    struct hs_runner *runner;
    struct hs_input_size size;
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

static void *use_runner(void *arg)
{
    struct client *client = arg;
    const struct hs_slot_request request = {
        .h = client->size.h,
        .w = client->size.w,
        .count = 1,
        .deadline_ns = HS_NO_DEADLINE,
    };
    while (hs_clock_now_ns() < client->end_ns && client->count < MAX_SAMPLES) {
        struct hs_lease *lease;
        struct hs_error err;
        int64_t start_ns = hs_clock_now_ns();
        int r = hs_runner_acquire(client->runner, &request, &lease, &err);
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

static void run_clients(struct candidate *candidate, struct hs_input_size size, int clients, double seconds)
{
    static struct client all[MAX_CLIENTS];
    double cpu_ms = processor_ms();
    int64_t start_ns = hs_clock_now_ns();
    for (int i = 0; i < clients; i++) {
        all[i] = (struct client) {
            .runner = candidate->runner,
            .size = size,
            .end_ns = start_ns + (int64_t) (seconds * 1e9),
        };
        all[i].samples_ms = malloc(MAX_SAMPLES * sizeof(double));
        if (!all[i].samples_ms || pthread_create(&all[i].thread, NULL, use_runner, &all[i]) != 0)
            exit(1);
    }
    for (int i = 0; i < clients; i++) {
        pthread_join(all[i].thread, NULL);
        for (size_t k = 0; k < all[i].count && candidate->count < MAX_SAMPLES; k++)
            candidate->samples_ms[candidate->count++] = all[i].samples_ms[k];
        candidate->failures += all[i].failures;
        free(all[i].samples_ms);
    }
    candidate->elapsed_s += (double) (hs_clock_now_ns() - start_ns) / 1e9;
    candidate->cpu_ms += processor_ms() - cpu_ms;
}

static void clear_samples(struct candidate *candidate)
{
    candidate->count = candidate->failures = 0;
    candidate->elapsed_s = candidate->cpu_ms = 0;
}

static void report(struct candidate *candidate, int clients)
{
    double *t = candidate->samples_ms;
    if (candidate->count == 0)
        exit(1);
    qsort(t, candidate->count, sizeof(t[0]), compare);
    printf("slots %2d, %2d clients: %6.1f /s, p50 %6.1f ms, p95 %6.1f ms, min %6.1f ms, cpu %6.1f ms each, "
           "%zu failed\n",
           (int) candidate->slots, clients, (double) candidate->count / candidate->elapsed_s, t[candidate->count / 2],
           t[candidate->count * 95 / 100], t[0], candidate->cpu_ms / (double) candidate->count, candidate->failures);
}

/* Sets all fields except the number of slots. */
static int start(struct candidate *candidate, const struct hs_model_spec *spec, const char *cache, struct hs_error *err)
{
    const char *name = strcmp(spec->path, "sim") == 0 ? "sim" : "cpu";
    struct hs_runner_options options = { .cache_dir = cache, .warmup = 1, .queue_max = 100, .keep_alive_s = -1 };
    candidate->samples_ms = malloc(MAX_SAMPLES * sizeof(double));
    if (!candidate->samples_ms)
        return hs_error_set(err, HS_ENOMEM, "out of memory");
    int r = cache ? hs_dir_make(cache, err) : 0;
    if (r == 0)
        r = hs_registry_find(name, &options.backend, err);
    if (r < 0)
        return r;
    options.slots = candidate->slots > 0 ? (int) candidate->slots : options.backend->default_slots;
    r = hs_runner_create(&options, spec, &candidate->runner, err);
    if (r < 0)
        return r;
    hs_runner_preload(candidate->runner);
    return hs_runner_wait_loaded(candidate->runner, HS_NO_DEADLINE, err);
}

static void alternate(struct candidate *all, int count, struct hs_input_size size, int clients, double seconds)
{
    double turn_s = seconds < TURN_S ? seconds : TURN_S;
    for (int i = 0; i < count; i++) {
        run_clients(&all[i], size, clients, 2 * turn_s);
        clear_samples(&all[i]);
    }
    print_memory("warm");
    for (int turn = 0; turn * turn_s < seconds; turn++)
        for (int i = 0; i < count; i++)
            run_clients(&all[turn % 2 ? count - 1 - i : i], size, clients, turn_s);
}

int main(int argc, char **argv)
{
    int64_t h, w, clients;
    double seconds;
    struct hs_error err = { 0 };
    struct candidate all[MAX_CANDIDATES] = { { 0 } };
    int count = 0;
    if (argc != 9 || !hs_str_to_int64(argv[2], &h) || !hs_str_to_int64(argv[3], &w) ||
        !hs_str_to_int64(argv[4], &clients) || clients < 1 || clients > MAX_CLIENTS ||
        !hs_str_to_double(argv[5], &seconds) || seconds <= 0) {
        fprintf(stderr, "bench_infer MODEL|sim HEIGHT WIDTH CLIENTS SECONDS SLOTS[,SLOTS...] f32|auto CACHE|-\n");
        return 2;
    }
    const struct hs_input_size size = { (int) h, (int) w };
    const struct hs_model_spec spec = {
        .path = argv[1],
        .input_h = size.h,
        .input_w = size.w,
        .free_size = true,
        .sizes = &size,
        .size_count = 1,
        .batch = 1,
        .precision = strcmp(argv[7], "f32") == 0 ? HS_PRECISION_F32 : HS_PRECISION_AUTO,
        .std = { 255, 255, 255 },
    };
    for (char *list = argv[6], *item; (item = strsep(&list, ",")) && count < MAX_CANDIDATES; count++) {
        int r =
            hs_str_to_int64(item, &all[count].slots) && all[count].slots >= 0 && all[count].slots <= HS_MODEL_MAX_SLOTS
                ? start(&all[count], &spec, strcmp(argv[8], "-") == 0 ? NULL : argv[8], &err)
                : hs_error_set(&err, HS_EINVAL, "not a number of slots: %s", item);
        if (r < 0) {
            fprintf(stderr, "%s\n", err.message);
            return 1;
        }
    }
    print_memory("loaded");
    alternate(all, count, size, (int) clients, seconds);
    print_memory("after");
    bool failed = false;
    for (int i = 0; i < count; i++) {
        report(&all[i], (int) clients);
        failed |= all[i].failures > 0;
        hs_runner_destroy(all[i].runner);
        free(all[i].samples_ms);
    }
    return failed;
}
