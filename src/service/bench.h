/* `bench`: measures the speed of this machine or of a server, by stage. */
#ifndef HS_SERVICE_BENCH_H
#define HS_SERVICE_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

enum { HS_BENCH_STAGES_MAX = 8 };

/* The stages of a round. The last one is the caller's total round trip, which hs_bench_run measures. */
struct hs_bench_stages {
    const char *const *names;
    size_t count; /* at most HS_BENCH_STAGES_MAX */
};

/* run() does one round and writes the ms of each stage except the last. It returns 0, or an error
 * that is counted; the first message is kept. make_worker() creates the `worker` of each thread,
 * for example a connection. If make_worker is NULL, `worker` is the `arg` of hs_bench_run. */
struct hs_bench_job {
    void *(*make_worker)(void *arg, struct hs_error *err); /* returns NULL on failure */
    int (*run)(void *worker, size_t round, double *ret_ms, struct hs_error *err);
    void (*free_worker)(void *worker);
};

struct hs_bench_plan {
    int clients;
    double seconds;      /* how long new rounds are started */
    size_t rounds_max;   /* 0: unlimited */
    double warm_seconds; /* rounds before the measurement, not counted */
};

struct hs_bench_times {
    double mean, p50, p95, p99; /* ms */
};

struct hs_bench_summary {
    size_t rounds, failures; /* rounds: successful ones */
    double seconds, per_second;
    double cpu_seconds_per_round; /* of this process */
    struct hs_bench_times stages[HS_BENCH_STAGES_MAX];
    char first_failure[200];
};

/* Runs the job on plan->clients threads and measures each round. */
int hs_bench_run(const struct hs_bench_job *job, void *arg, const struct hs_bench_stages *stages,
                 const struct hs_bench_plan *plan, struct hs_bench_summary *ret_summary, struct hs_error *err);

/* A picture file in memory. */
struct hs_bench_picture {
    const char *path;
    uint8_t *data;
    size_t len;
    bool built_in; /* the generated one (service/test_image.h) */
};

/* The program's part of `bench`. */
struct hs_app_bench {
    const char *route; /* a POST route that takes the form field `image`; for the help text */
    struct hs_bench_stages stages;
    /* Processes the picture as a request does, without a server. Writes the ms of each stage except
     * the last. Called concurrently. */
    int (*round)(const void *state, const struct hs_bench_picture *picture, double *ret_ms, struct hs_error *err);
};

#endif
