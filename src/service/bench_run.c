#include "service/bench_run.h"

#include <pthread.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/str.h"
#include "service/parallel_for.h"
#include "service/sample_stats.h"

/* Of a run that is longer the first ones stand for all. */
enum { SAMPLES_MAX = 1000000 };

struct bench {
    const struct hs_bench_job *job;
    void *arg;
    size_t stages;
    pthread_mutex_t lock; /* guards what follows */
    struct hs_samples samples[HS_BENCH_STAGES_MAX]; /* ms */
    size_t started, rounds_max, rounds, failures;
    int64_t end_ns;
    char first_failure[200];
    bool warming; /* nothing but failures is kept */
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

/* One client: rounds one after the other until the time is over. */
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
        .count = (size_t) clients, .threads = clients, .run = run_client, .arg = bench,
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

static int measure(struct bench *bench, const struct hs_bench_plan *plan, struct hs_bench_summary *ret_summary,
                   struct hs_error *err)
{
    struct hs_bench_summary s = { 0 };
    bench->warming = true;
    int r = plan->warm_seconds > 0 ? run_phase(bench, plan->clients, plan->warm_seconds, 0, err) : 0;
    if (r < 0)
        return r;
    bench->warming = false;
    double cpu = cpu_seconds();
    int64_t start = hs_clock_now_ns();
    r = run_phase(bench, plan->clients, plan->seconds, plan->rounds_max, err);
    if (r < 0)
        return r;
    s.seconds = (double) (hs_clock_now_ns() - start) / 1e9;
    s.rounds = bench->rounds;
    s.failures = bench->failures;
    hs_str_copy(s.first_failure, sizeof(s.first_failure), bench->first_failure);
    if (s.rounds == 0)
        return hs_error_set(err, HS_EIO, "no round succeeded: %s",
                            s.failures ? s.first_failure : "the time was too short");
    s.per_second = (double) s.rounds / s.seconds;
    s.cpu_seconds_per_round = (cpu_seconds() - cpu) / (double) s.rounds;
    for (size_t i = 0; i < bench->stages; i++) {
        struct hs_samples *samples = &bench->samples[i];
        s.stages[i].mean = hs_samples_summarize(samples).mean;
        s.stages[i].p50 = hs_samples_percentile(samples, .50);
        s.stages[i].p95 = hs_samples_percentile(samples, .95);
        s.stages[i].p99 = hs_samples_percentile(samples, .99);
    }
    *ret_summary = s;
    return 0;
}

int hs_bench_run(const struct hs_bench_job *job, void *arg, const struct hs_bench_stages *stages,
                 const struct hs_bench_plan *plan, struct hs_bench_summary *ret_summary, struct hs_error *err)
{
    struct bench bench = { .job = job, .arg = arg, .stages = stages->count, .lock = PTHREAD_MUTEX_INITIALIZER };
    int r = measure(&bench, plan, ret_summary, err);
    for (size_t i = 0; i < stages->count; i++)
        hs_samples_finish(&bench.samples[i]);
    return r;
}
