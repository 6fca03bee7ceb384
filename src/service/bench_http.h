/* A picture as a form to a server, again and again: what `bench --url` does. */
#ifndef HS_SERVICE_BENCH_HTTP_H
#define HS_SERVICE_BENCH_HTTP_H

#include "service/bench_command.h"

/* One kept connection a client. Its arg is a struct hs_bench_input. Stage times are what the answer says under their
 * names, in its member `timings_ms` or in a header Server-Timing; the rest is zero. */
extern const struct hs_bench_job hs_bench_over_http;

#endif
