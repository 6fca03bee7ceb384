/* Runs one job from N threads for a while and keeps what each round took. */
#ifndef HS_POSE_BENCH_RUN_H
#define HS_POSE_BENCH_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"
#include "pose/pipeline.h"

/* Stages in the order of a request; the last is the caller's whole round trip. */
enum hs_bench_stage {
    HS_BENCH_DECODE,
    HS_BENCH_PREPROCESS,
    HS_BENCH_QUEUE,
    HS_BENCH_INFERENCE,
    HS_BENCH_POSTPROCESS,
    HS_BENCH_TOTAL,
    HS_BENCH_ROUND_TRIP,
    HS_BENCH_STAGES
};

extern const char *const hs_bench_stage_names[HS_BENCH_STAGES];

/* One round: does the work and says what each stage but the round trip took, in ms. `worker` is made by make_worker for
 * each thread, so that it may hold a connection. 0, or a failure that is counted and whose message is kept. */
struct hs_bench_job {
    void *(*make_worker)(void *arg, struct hs_error *err); /* NULL: failed */
    int (*run)(void *worker, size_t round, double ret_ms[HS_BENCH_STAGES], struct hs_error *err);
    void (*free_worker)(void *worker);
};

struct hs_bench_plan {
    int clients;
    double seconds;      /* how long rounds are started */
    size_t rounds_max;   /* 0: as many as fit */
    double warm_seconds; /* rounds before that, not counted */
};

struct hs_bench_summary {
    size_t rounds, failures;
    double seconds, per_second;
    double cpu_seconds_per_round; /* of this process */
    double p50[HS_BENCH_STAGES], p95[HS_BENCH_STAGES], p99[HS_BENCH_STAGES], mean[HS_BENCH_STAGES];
    char first_failure[200];
};

int hs_bench_run(const struct hs_bench_job *job, void *arg, const struct hs_bench_plan *plan,
                 struct hs_bench_summary *ret_summary, struct hs_error *err);

#endif
