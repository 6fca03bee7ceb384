/* `bench`: the same for every service, but for the stages and for what runs them in this process. */
#ifndef HS_SERVICE_BENCH_COMMAND_H
#define HS_SERVICE_BENCH_COMMAND_H

#include "cli/program.h"
#include "service/bench_http.h"

struct hs_bench_command {
    const char *route; /* for help: "/v1/pose/detect" */
    struct hs_bench_stages stages;
    /* Loads what the job in this process needs. HS_EXIT_OK, or the exit code to end with; said why. */
    int (*start)(const struct hs_invocation *call, void **ret_app);
    void (*finish)(void *app);
    struct hs_bench_job in_process; /* its arg is a struct hs_bench_input */
};

/* Reads the options, measures and prints. Gives the exit code. */
int hs_bench_command_run(struct hs_invocation *call, const struct hs_bench_command *command);

#endif
