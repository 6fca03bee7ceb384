/* What `bench` measures: the pipeline inside this process, or a server at the other end of a URL. */
#ifndef HS_POSE_BENCH_JOBS_H
#define HS_POSE_BENCH_JOBS_H

#include "pose/app.h"
#include "pose/bench_run.h"

/* A picture file in memory. */
struct hs_bench_picture {
    const char *path;
    uint8_t *data;
    size_t len;
};

/* Rounds take the pictures in turn. All of it is borrowed for as long as the job runs. */
struct hs_bench_input {
    const struct hs_bench_picture *pictures;
    size_t count;
    const struct hs_pose_app *app; /* in process */
    const char *url;               /* of POST /v1/pose/detect */
};

/* Their arg is a struct hs_bench_input. */
extern const struct hs_bench_job hs_bench_in_process;
extern const struct hs_bench_job hs_bench_over_http;

#endif
