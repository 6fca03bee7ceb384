/* How warm the device is, and what else it says of itself: asked for now and then, so that those who want to know need
 * not wait for it. */
#include "base/clock.h"
#include "infer/state.h"

#define PERIOD_NS (10 * HS_NS_PER_S)

int64_t hs_engine_health_time(const struct hs_engine *engine)
{
    /* One that hangs might not answer this either. */
    bool can = engine->device && engine->options.backend->health && !engine->down && engine->stuck == 0;
    return can ? engine->next_health_ns : HS_NO_DEADLINE;
}

bool hs_engine_look_at_health(struct hs_engine *engine)
{
    struct hs_device_health health;
    struct hs_device *device = engine->device;
    if (hs_clock_now_ns() < hs_engine_health_time(engine))
        return false;
    pthread_mutex_unlock(&engine->lock);
    int r = engine->options.backend->health(device, &health, NULL);
    pthread_mutex_lock(&engine->lock);
    engine->next_health_ns = hs_clock_now_ns() + PERIOD_NS;
    engine->has_health = r == 0;
    if (r == 0)
        engine->health = health;
    return true;
}
