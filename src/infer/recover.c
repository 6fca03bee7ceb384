/* Devices that fail. A run that fails may be the picture's bad luck; several in a row, or one that says that the device
 * is gone, are the device's. It then counts as down: nothing is given to it, so that nobody waits in vain, and the
 * keeper tries to bring it back (Nygard, "Release It!": circuit breaker, with the keeper's own run in place of a
 * client's to try it). */
#include "base/clock.h"
#include "base/mem.h"
#include "infer/state.h"

#define FIRST_PAUSE_NS (100 * HS_NS_PER_MS)
#define DEFAULT_PAUSE_MAX_NS (5 * HS_NS_PER_S)

/* Whether it tells something of the device, and not of the request. */
static bool is_device_failure(int code)
{
    return code != HS_ETIMEOUT && code != HS_ECANCELED && code != HS_EBUSY && code != HS_EINVAL;
}

void hs_engine_judge_run(struct hs_engine *engine, int result, bool hung, const struct hs_error *why)
{
    if (result == 0) {
        engine->failures_in_row = 0;
        return;
    }
    if (!is_device_failure(result) || engine->down)
        return;
    engine->failures_in_row++;
    bool gone = result == HS_ELOST && !hung;
    if (gone || (engine->options.failures_max > 0 && engine->failures_in_row >= engine->options.failures_max)) {
        engine->hung = hung;
        hs_engine_go_down(engine, why);
    }
}

/* What is loaded in a device that is down is worth nothing, and what is wanted will not come. */
static void drop_copies(struct hs_engine *engine)
{
    for (int i = 0; i < HS_ENGINE_COPIES; i++) {
        struct hs_copy *copy = &engine->copies[i];
        copy->again = false;
        if (copy->state == HS_COPY_LOADED) {
            engine->revive = (struct hs_copy_key) { copy->h, copy->w, copy->batch, copy->solo };
            copy->state = HS_COPY_DRAINING;
        } else if (copy->state == HS_COPY_WANTED) {
            copy->state = HS_COPY_NONE;
        }
    }
}

void hs_engine_plan_attempt(struct hs_engine *engine)
{
    int64_t most_ns = engine->options.retry_max_ns > 0 ? engine->options.retry_max_ns : DEFAULT_PAUSE_MAX_NS;
    int64_t pause_ns = engine->attempts < 16 ? FIRST_PAUSE_NS << engine->attempts : most_ns;
    engine->attempts++;
    engine->next_attempt_ns = hs_clock_now_ns() + (pause_ns < most_ns ? pause_ns : most_ns);
}

void hs_engine_go_down(struct hs_engine *engine, const struct hs_error *why)
{
    engine->down = true;
    hs_engine_leave_restart(engine);
    engine->error = *why;
    engine->attempts = 0;
    hs_engine_plan_attempt(engine);
    drop_copies(engine);
    struct hs_error told;
    hs_engine_down_error(engine, &told);
    hs_engine_fail_waiters(engine, NULL, &told);
    pthread_cond_signal(&engine->work);
}

int hs_engine_down_error(const struct hs_engine *engine, struct hs_error *err)
{
    int code = engine->error.code;
    return hs_error_set(err, hs_status_http(code) == 503 ? code : HS_ENOTREADY, "%s", engine->error.message);
}
