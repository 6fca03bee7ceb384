/* `bench`: how fast this machine or a server is, stage by stage. */
#ifndef HS_SERVICE_BENCH_H
#define HS_SERVICE_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

enum { HS_BENCH_STAGES_MAX = 8 };

/* The stages of a round. The last one is the caller's whole round trip, measured by hs_bench_run. */
struct hs_bench_stages {
    const char *const *names;
    size_t count; /* at most HS_BENCH_STAGES_MAX */
};

/* One round: does the work and gives the ms of each stage but the last. `worker` is made by make_worker for each
 * thread, so that it may hold a connection; it is the job's arg if there is no make_worker. 0, or a failure that is
 * counted and whose message is kept. */
struct hs_bench_job {
    void *(*make_worker)(void *arg, struct hs_error *err); /* returns NULL if it failed */
    int (*run)(void *worker, size_t round, double *ret_ms, struct hs_error *err);
    void (*free_worker)(void *worker);
};

struct hs_bench_plan {
    int clients;
    double seconds;      /* how long rounds are started */
    size_t rounds_max;   /* 0: as many as fit */
    double warm_seconds; /* rounds before that, not counted */
};

struct hs_bench_times {
    double mean, p50, p95, p99; /* ms */
};

struct hs_bench_summary {
    size_t rounds, failures; /* rounds: those that succeeded */
    double seconds, per_second;
    double cpu_seconds_per_round; /* of this process */
    struct hs_bench_times stages[HS_BENCH_STAGES_MAX];
    char first_failure[200];
};

/* Runs one job from so many threads for a while and measures each round. */
int hs_bench_run(const struct hs_bench_job *job, void *arg, const struct hs_bench_stages *stages,
                 const struct hs_bench_plan *plan, struct hs_bench_summary *ret_summary, struct hs_error *err);

/* A picture file in memory. */
struct hs_bench_picture {
    const char *path;
    uint8_t *data;
    size_t len;
    bool built_in; /* the drawn one (service/test_image.h) */
};

/* The program's part. */
struct hs_app_bench {
    const char *route; /* a POST route that takes the form field `image`; for help */
    struct hs_bench_stages stages;
    /* As a request without a server; gives the ms of each stage but the last. Several at once. */
    int (*round)(const void *state, const struct hs_bench_picture *picture, double *ret_ms, struct hs_error *err);
};

#endif
