/* An engine that starts over when the process has grown too large. On some machines the memory of an inference runtime
 * grows for as long as it is used, and only closing all of it gives that back. No request fails for it: what runs ends
 * first, the others wait until the networks are loaded again. */
#include <stdatomic.h>

#include "base/clock.h"
#include "base/mem.h"
#include "infer/state.h"

/* How often the process's memory is looked at, while the engine is in use. */
#define LOOK_NS (HS_NS_PER_S / 4)
/* What runs longer is not waited for, where the options do not say. */
#define DRAIN_LIMIT_NS (5 * HS_NS_PER_S)

/* Somebody in this process is at it: one engine after another, since the first one may free enough. */
static atomic_flag taken = ATOMIC_FLAG_INIT;

void hs_engine_consider_restart(struct hs_engine *engine)
{
    const struct hs_engine_options *options = &engine->options;
    int64_t now_ns = hs_clock_now_ns();
    if (options->restart_above == 0 || engine->restarting || engine->down || now_ns < engine->next_look_ns)
        return;
    engine->next_look_ns = now_ns + LOOK_NS;
    engine->restart_bytes = hs_mem_resident();
    if (engine->restart_bytes <= options->restart_above || atomic_flag_test_and_set(&taken))
        return;
    engine->restarting = true;
    engine->restart_until_ns = now_ns + (options->run_timeout_ns > 0 ? options->run_timeout_ns : DRAIN_LIMIT_NS);
    engine->next_look_ns = now_ns + options->restart_pause_ns;
    pthread_cond_signal(&engine->work);
}

/* Loads end while leases come back, so what is loaded is looked for again and again. */
bool hs_engine_drain(struct hs_engine *engine)
{
    struct hs_copy *newest = NULL;
    for (int i = 0; i < HS_ENGINE_COPIES; i++) {
        struct hs_copy *copy = &engine->copies[i];
        if (copy->state != HS_COPY_LOADED)
            continue;
        copy->state = HS_COPY_DRAINING;
        copy->again = true;
        copy->needed = false;
        if (!newest || copy->last_used_ns > newest->last_used_ns)
            newest = copy;
    }
    if (!newest)
        return false;
    /* The rest is merely welcome: it comes back where it has room. */
    newest->needed = true;
    engine->revive = (struct hs_copy_key) { newest->h, newest->w, newest->batch, newest->solo };
    return true;
}

void hs_engine_leave_restart(struct hs_engine *engine)
{
    if (engine->restarting)
        atomic_flag_clear(&taken);
    engine->restarting = false;
}

void hs_engine_end_restart(struct hs_engine *engine)
{
    hs_engine_leave_restart(engine);
    for (int i = 0; i < HS_ENGINE_COPIES; i++) {
        struct hs_copy *copy = &engine->copies[i];
        if (copy->state == HS_COPY_DRAINING && copy->again)
            copy->state = HS_COPY_LOADED;
        copy->again = false;
    }
    hs_engine_dispatch(engine);
    pthread_cond_broadcast(&engine->changed);
}
