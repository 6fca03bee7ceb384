/* How fast this machine is, stage by stage. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pose/commands.h"
#include "service/bench_command.h"

enum { ROUND_TIMEOUT_MS = 120000 };

/* In the order of a request. */
enum stage { DECODE, PREPROCESS, QUEUE, INFERENCE, POSTPROCESS, TOTAL, ROUND_TRIP };

static const char *const stage_names[] = {
    [DECODE] = "decode",           [PREPROCESS] = "preprocess", [QUEUE] = "queue",           [INFERENCE] = "inference",
    [POSTPROCESS] = "postprocess", [TOTAL] = "total",           [ROUND_TRIP] = "round_trip",
};

struct worker {
    const struct hs_bench_input *input;
    struct hs_pose_result result;
};

static void *make_worker(void *arg, struct hs_error *err)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    if (!worker) {
        hs_error_set(err, HS_ENOMEM, "no memory for a client");
        return NULL;
    }
    worker->input = arg;
    hs_pose_result_init(&worker->result);
    return worker;
}

static void free_worker(void *arg)
{
    struct worker *worker = arg;
    hs_pose_result_finish(&worker->result);
    free(worker);
}

static int run_round(void *arg, size_t round, double *ret_ms, struct hs_error *err)
{
    struct worker *worker = arg;
    const struct hs_bench_input *input = worker->input;
    const struct hs_pose_app *app = input->app;
    const struct hs_bench_picture *picture = &input->pictures[round % input->count];
    struct hs_pose_params params = hs_pose_app_params(app);
    int r = hs_pose_detect(&app->pipeline, app->pool, picture->data, picture->len, &params,
                           hs_deadline_in_ms(ROUND_TIMEOUT_MS), NULL, &worker->result, err);
    const struct hs_pose_timings *t = &worker->result.timings;
    ret_ms[DECODE] = t->decode_ms;
    ret_ms[PREPROCESS] = t->preprocess_ms;
    ret_ms[QUEUE] = t->queue_ms;
    ret_ms[INFERENCE] = t->inference_ms;
    ret_ms[POSTPROCESS] = t->postprocess_ms;
    ret_ms[TOTAL] = t->total_ms;
    return r;
}

static int start(const struct hs_invocation *call, void **ret_app)
{
    static struct hs_pose_app app;
    *ret_app = &app;
    return hs_pose_start_app(call, &app);
}

static void finish(void *app)
{
    hs_pose_app_finish(app);
}

int hs_pose_cmd_bench(struct hs_invocation *call)
{
    static const struct hs_bench_command command = {
        .route = "/v1/pose/detect",
        .stages = { stage_names, HS_ARRAY_LEN(stage_names) },
        .start = start,
        .finish = finish,
        .in_process = { .make_worker = make_worker, .run = run_round, .free_worker = free_worker },
    };
    return hs_bench_command_run(call, &command);
}
