#include "service/bench_run.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/str.h"

enum { SAMPLES_MAX = 1000000 };

struct bench {
    const struct hs_bench_job *job;
    void *arg;
    size_t stages;
    pthread_mutex_t lock; /* guards what follows */
    double (*samples)[HS_BENCH_STAGES_MAX];
    size_t count, capacity, started, failures, rounds_max;
    int64_t end_ns;
    char first_failure[200];
    bool keep;
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

static void record(struct bench *bench, const double ms[HS_BENCH_STAGES_MAX], const struct hs_error *failure)
{
    pthread_mutex_lock(&bench->lock);
    if (failure) {
        if (bench->failures++ == 0)
            hs_str_copy(bench->first_failure, sizeof(bench->first_failure), failure->message);
    } else if (bench->keep && bench->count < bench->capacity) {
        memcpy(bench->samples[bench->count++], ms, sizeof(bench->samples[0]));
    }
    pthread_mutex_unlock(&bench->lock);
}

static void *work(void *arg)
{
    struct bench *bench = arg;
    struct hs_error err;
    double none[HS_BENCH_STAGES_MAX] = { 0 };
    void *worker = bench->job->make_worker(bench->arg, &err);
    if (!worker) {
        record(bench, none, &err);
        return NULL;
    }
    size_t round;
    while (may_start(bench, &round)) {
        double ms[HS_BENCH_STAGES_MAX] = { 0 };
        int64_t start = hs_clock_now_ns();
        int r = bench->job->run(worker, round, ms, &err);
        ms[bench->stages - 1] = hs_ns_to_ms(hs_clock_now_ns() - start);
        record(bench, ms, r < 0 ? &err : NULL);
    }
    bench->job->free_worker(worker);
    return NULL;
}

static int run_phase(struct bench *bench, int clients, double seconds, struct hs_error *err)
{
    pthread_t *threads = calloc((size_t) clients, sizeof(*threads));
    if (!threads)
        return hs_error_set(err, HS_ENOMEM, "no memory for %d clients", clients);
    bench->end_ns = hs_clock_now_ns() + (int64_t) (seconds * 1e9);
    bench->started = 0;
    int running = 0;
    while (running < clients && pthread_create(&threads[running], NULL, work, bench) == 0)
        running++;
    for (int i = 0; i < running; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    if (running < clients)
        return hs_error_set(err, HS_ENOMEM, "only %d of %d client threads could be started", running, clients);
    return 0;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

static double percentile(const double *sorted, size_t count, double q)
{
    size_t rank = (size_t) (q * (double) count + 0.999999);
    return sorted[rank > 0 ? rank - 1 : 0];
}

struct hs_bench_times hs_bench_times_of(double *samples, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += samples[i];
    qsort(samples, count, sizeof(*samples), compare_doubles);
    return (struct hs_bench_times) {
        .mean = sum / (double) count,
        .p50 = percentile(samples, count, .50),
        .p95 = percentile(samples, count, .95),
        .p99 = percentile(samples, count, .99),
    };
}

static int summarise(const struct bench *bench, struct hs_bench_summary *s, struct hs_error *err)
{
    if (bench->count == 0)
        return hs_error_set(err, HS_EIO, "no round succeeded: %s",
                            bench->failures ? bench->first_failure : "the time was too short");
    double *column = malloc(bench->count * sizeof(*column));
    if (!column)
        return hs_error_set(err, HS_ENOMEM, "no memory for %zu samples", bench->count);
    for (size_t stage = 0; stage < bench->stages; stage++) {
        for (size_t i = 0; i < bench->count; i++)
            column[i] = bench->samples[i][stage];
        s->stages[stage] = hs_bench_times_of(column, bench->count);
    }
    free(column);
    s->rounds = bench->count;
    s->failures = bench->failures;
    hs_str_copy(s->first_failure, sizeof(s->first_failure), bench->first_failure);
    return 0;
}

static double cpu_seconds(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double) (use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double) (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

int hs_bench_run(const struct hs_bench_job *job, void *arg, const struct hs_bench_stages *stages,
                 const struct hs_bench_plan *plan, struct hs_bench_summary *ret_summary, struct hs_error *err)
{
    struct bench bench = {
        .job = job,
        .arg = arg,
        .stages = stages->count,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .capacity = plan->rounds_max && plan->rounds_max < SAMPLES_MAX ? plan->rounds_max : SAMPLES_MAX,
    };
    bench.samples = calloc(bench.capacity, sizeof(*bench.samples));
    if (!bench.samples)
        return hs_error_set(err, HS_ENOMEM, "no memory for the samples");
    int r = plan->warm_seconds > 0 ? run_phase(&bench, plan->clients, plan->warm_seconds, err) : 0;
    if (r == 0) {
        bench.keep = true;
        bench.rounds_max = plan->rounds_max;
        struct hs_bench_summary summary = { 0 };
        double cpu = cpu_seconds();
        int64_t start = hs_clock_now_ns();
        r = run_phase(&bench, plan->clients, plan->seconds, err);
        summary.seconds = (double) (hs_clock_now_ns() - start) / 1e9;
        cpu = cpu_seconds() - cpu;
        if (r == 0)
            r = summarise(&bench, &summary, err);
        if (r == 0) {
            summary.per_second = (double) summary.rounds / summary.seconds;
            summary.cpu_seconds_per_round = cpu / (double) summary.rounds;
            *ret_summary = summary;
        }
    }
    free(bench.samples);
    return r;
}
