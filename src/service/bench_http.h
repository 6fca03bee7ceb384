/* A picture as a form to a server, again and again: what `bench --url` does. */
#ifndef HS_SERVICE_BENCH_HTTP_H
#define HS_SERVICE_BENCH_HTTP_H

#include <stdbool.h>

#include "service/bench_run.h"

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
    struct hs_bench_stages stages;
    const char *url; /* of a POST route that takes the form field `image` */
    bool built_in;   /* the picture is the drawn figure */
    const void *app; /* for the job in this process: what the command's start made */
};

/* One kept connection a client. Its arg is a struct hs_bench_input. Stage times are what the answer says under their
 * names, in its member `timings_ms` or in a header Server-Timing; the rest is zero. */
extern const struct hs_bench_job hs_bench_over_http;

#endif
