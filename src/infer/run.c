/* From a filled slot to its results. Its shares are filled by one thread each. The last of them that is ready, or one
 * that is woken when its time has come, submits the slot and attends to it inside the backend; the others wait for word
 * of it. Who attends and runs out of time leaves that to another; when the last one has left, the slot is stuck, and
 * the keeper attends to it from then on. */
#include <assert.h>

#include "base/clock.h"
#include "base/mem.h"
#include "infer/state.h"

/* Submissions to a device that takes batches: one that it computes, and one that is ready when it has done so. More
 * would be sent off half full. */
enum { BATCHES_IN_FLIGHT = 2 };

void hs_lease_outputs(const struct hs_lease *lease, int picture, struct hs_tensor_view *ret_views)
{
    const struct hs_share *share = (const struct hs_share *) lease;
    const struct hs_slot *slot = share->slot;
    const struct hs_backend *backend = slot->engine->options.backend;
    assert(picture >= 0 && picture < lease->pictures);
    for (int i = 0; i < lease->output_count; i++)
        ret_views[i] = hs_tensor_view_of(&lease->descs[i],
                                         backend->output(slot->copy->model, slot->index, share->first + picture, i));
}

/* ---- With the engine's lock held ---- */

static bool is_full(const struct hs_slot *slot)
{
    return slot->taken == slot->copy->batch || slot->engine->batch_apart || slot->copy->state != HS_COPY_LOADED;
}

/* When the slot may be submitted: at once where `now` is no earlier; HS_NO_DEADLINE: something else comes first. */
static int64_t submit_time(const struct hs_slot *slot)
{
    if (slot->ready < slot->shares || (slot->copy->batch > 1 && slot->copy->running >= BATCHES_IN_FLIGHT))
        return HS_NO_DEADLINE;
    return is_full(slot) ? 0 : slot->ready_ns + slot->engine->options.batch_wait_ns;
}

/* Slots that wait for room in the device. */
static void wake_filled(struct hs_copy *copy)
{
    for (int i = 0; i < copy->slot_count && copy->batch > 1; i++)
        if (copy->slots[i].state == HS_SLOT_FILLING && copy->slots[i].ready > 0)
            pthread_cond_broadcast(&copy->slots[i].changed);
}

static void make_ready(struct hs_share *share)
{
    struct hs_slot *slot = share->slot;
    share->ready = true;
    if (slot->ready++ == 0)
        slot->ready_ns = hs_clock_now_ns();
    if (slot->ready == slot->shares)
        pthread_cond_broadcast(&slot->changed);
}

static void finish_run(struct hs_slot *slot, int result, bool hung, const struct hs_error *why)
{
    struct hs_engine *engine = slot->engine;
    slot->result = result;
    slot->error = *why;
    if (!hung) {
        slot->state = HS_SLOT_DONE;
        slot->copy->running--;
    }
    engine->runs++;
    engine->run_ns += hs_clock_now_ns() - slot->started_ns;
    engine->pictures += (uint64_t) slot->taken;
    engine->failures += result != 0;
    hs_engine_judge_run(engine, result, hung, why);
    pthread_cond_broadcast(&slot->changed);
    wake_filled(slot->copy);
}

/* ---- Without it, between the two lines ---- */

/* Submits the slot. */
static void begin_run(struct hs_slot *slot)
{
    struct hs_engine *engine = slot->engine;
    struct hs_error why = { 0 };
    int count = slot->taken;
    slot->state = HS_SLOT_RUNNING;
    slot->attended = true;
    slot->copy->running++;
    slot->started_ns = hs_clock_now_ns();
    pthread_mutex_unlock(&engine->lock);
    int r = engine->options.backend->submit(slot->copy->model, slot->index, count, &why);
    pthread_mutex_lock(&engine->lock);
    slot->attended = false;
    if (r != 0)
        finish_run(slot, r, false, &why);
}

/* Waits inside the backend until the deadline, or until the run has taken too long. */
static void attend(struct hs_slot *slot, int64_t deadline_ns)
{
    struct hs_engine *engine = slot->engine;
    struct hs_error why = { 0 };
    int64_t limit_ns = engine->options.run_timeout_ns, late_ns = slot->started_ns + limit_ns;
    bool bounded = limit_ns > 0 && late_ns < deadline_ns;
    slot->attended = true;
    pthread_mutex_unlock(&engine->lock);
    int r = engine->options.backend->wait(slot->copy->model, slot->index, bounded ? late_ns : deadline_ns, &why);
    pthread_mutex_lock(&engine->lock);
    slot->attended = false;
    if (r != HS_ETIMEOUT) {
        finish_run(slot, r, false, &why);
    } else if (bounded) {
        hs_error_set(&why, HS_ELOST, "the device did not answer within %.1f s", hs_ns_to_ms(limit_ns) / 1000);
        finish_run(slot, HS_ELOST, true, &why);
    } else {
        pthread_cond_broadcast(&slot->changed);
    }
}

/* ---- What a worker calls ---- */

static bool has_result(const struct hs_slot *slot)
{
    return slot->state == HS_SLOT_DONE || slot->result != 0;
}

/* The engine's lock is held. Returns when there is a result, or at the deadline. */
static void see_through(struct hs_share *share)
{
    struct hs_slot *slot = share->slot;
    struct hs_engine *engine = slot->engine;
    while (!has_result(slot) && hs_clock_now_ns() < share->deadline_ns) {
        int64_t when_ns = slot->state == HS_SLOT_FILLING ? submit_time(slot) : HS_NO_DEADLINE;
        if (when_ns <= hs_clock_now_ns())
            begin_run(slot);
        else if (slot->state == HS_SLOT_RUNNING && !slot->attended)
            attend(slot, share->deadline_ns);
        else
            hs_cond_wait_until(&slot->changed, &engine->lock,
                               when_ns < share->deadline_ns ? when_ns : share->deadline_ns);
    }
}

int hs_engine_run(struct hs_lease *lease, struct hs_engine_timings *ret_timings, struct hs_error *err)
{
    struct hs_share *share = (struct hs_share *) lease;
    struct hs_slot *slot = share->slot;
    struct hs_engine *engine = slot->engine;
    if (hs_cancel_is_set(share->cancel))
        return hs_error_set(err, HS_ECANCELED, "cancelled before the network was started");
    int64_t start_ns = hs_clock_now_ns();
    if (start_ns >= share->deadline_ns)
        return hs_error_set(err, HS_ETIMEOUT, "the deadline passed before the network was started");
    int r = 0;
    pthread_mutex_lock(&engine->lock);
    make_ready(share);
    see_through(share);
    if (!has_result(slot)) {
        engine->timeouts++;
        r = hs_error_set(err, HS_ETIMEOUT, "the network did not finish in time");
    } else if (slot->result != 0) {
        /* HS_EBUSY is this engine's own queue, which is not tried again; the device's is, and may have room then. */
        r = hs_error_set(err, slot->result == HS_EBUSY ? HS_ETRANSIENT : slot->result, "%s", slot->error.message);
    }
    pthread_mutex_unlock(&engine->lock);
    if (r == 0)
        hs_lease_outputs(lease, 0, lease->outputs);
    if (ret_timings)
        *ret_timings = (struct hs_engine_timings) {
            .queue_ns = share->queue_ns,
            .inference_ns = hs_clock_now_ns() - start_ns,
        };
    return r;
}

/* The last one to leave. */
static void leave_slot(struct hs_slot *slot)
{
    struct hs_engine *engine = slot->engine;
    if (slot->state != HS_SLOT_RUNNING) {
        hs_engine_free_slot(engine, slot);
        return;
    }
    slot->state = HS_SLOT_STUCK;
    slot->copy->running--;
    slot->copy->stuck++;
    engine->stuck += slot->copy->state != HS_COPY_ABANDONED;
    wake_filled(slot->copy);
    pthread_cond_signal(&engine->work);
}

void hs_engine_release(struct hs_lease *lease)
{
    if (!lease)
        return;
    struct hs_share *share = (struct hs_share *) lease;
    struct hs_slot *slot = share->slot;
    struct hs_engine *engine = slot->engine;
    pthread_mutex_lock(&engine->lock);
    assert(share->held);
    share->held = false;
    /* Others may wait for it to be filled. What lies in it is computed and looked at by nobody. */
    if (!share->ready)
        make_ready(share);
    if (--slot->held == 0)
        leave_slot(slot);
    pthread_mutex_unlock(&engine->lock);
}
