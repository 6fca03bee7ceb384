/* `bench`: how fast this machine or a server is, stage by stage. */
#ifndef HS_SERVICE_BENCH_COMMAND_H
#define HS_SERVICE_BENCH_COMMAND_H

#include <stdbool.h>

#include "cli/program.h"
#include "service/bench_run.h"

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

/* Rounds take the pictures in turn. All is borrowed for as long as the job runs. */
struct hs_bench_input {
    const struct hs_app_bench *bench;
    struct hs_bench_picture *pictures;
    size_t count;
    const char *url;   /* of the server; NULL: this process */
    const void *state; /* of this process */
};

/* The picture as a form to a server. One kept connection a client; its arg is a struct hs_bench_input. Stage times
 * are those of the answer's member `timings_ms` or of a header Server-Timing; the rest is zero. */
extern const struct hs_bench_job hs_bench_over_http;

/* Reads the options, measures and prints. Returns the exit code. */
int hs_cmd_bench(struct hs_invocation *call);

#endif
