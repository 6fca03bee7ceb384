/* The states of a slot, from its first picture to its results.
 *
 *   state    begins when                      leaves to
 *   FREE     -                                FILLING: a part is handed out (hs_slot_take)
 *   FILLING  its first part is handed out    RUNNING: all parts are ready; the batch is full or its wait is over
 *                                             FREE: all parts are released before that
 *   RUNNING  a thread submits it              DONE: the backend returned a result, or the submission failed
 *                                             STUCK: all parts are released before that
 *   DONE     `result` is set                  FREE: all parts are released
 *   STUCK    no thread waits for the run      FREE: the loader sees that the device returned it
 *
 * One thread fills each part. When all are ready, one of the threads submits the slot and waits
 * inside the backend (`polled`); the others wait on `changed`. A thread that leaves the backend
 * always broadcasts, so that another waiter takes over if the polling thread reached its own
 * deadline. A run that took too long has a result although its state is still RUNNING. */
#include <assert.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/stage.h"
#include "infer/runner_internal.h"

/* Most batches in a device: one that runs, and one that is ready to run next. More would be
 * submitted half full. */
enum { BATCHES_IN_FLIGHT = 2 };

void hs_lease_outputs(const struct hs_lease *lease, int picture, struct hs_tensor_view *ret_views)
{
    const struct hs_slot_part *part = (const struct hs_slot_part *) lease;
    const struct hs_slot *slot = part->slot;
    const struct hs_instance *instance = slot->instance;
    const struct hs_backend *backend = instance->runner->options.backend;
    assert(picture >= 0 && picture < lease->pictures);
    for (int i = 0; i < lease->output_count; i++)
        ret_views[i] = hs_tensor_view_of(&lease->descs[i],
                                         backend->output(instance->model, slot->index, part->first + picture, i));
}

/* ---- Handing out and taking back, with the runner's lock held ---- */

/* Returns a slot with room for this size: one that is being filled, else a free one; NULL if there
 * is none. */
static struct hs_slot *find_slot(const struct hs_runner *runner, const struct hs_slot_request *request)
{
    struct hs_instance *instance = runner->instance;
    struct hs_slot *free_slot = NULL;
    for (int i = 0; i < instance->slot_count; i++) {
        struct hs_slot *slot = &instance->slots[i];
        if (slot->state == HS_SLOT_FILLING && slot->taken < instance->info->batch && slot->h == request->h &&
            slot->w == request->w)
            return slot;
        if (slot->state == HS_SLOT_FREE && !free_slot)
            free_slot = slot;
    }
    return free_slot;
}

struct hs_slot_part *hs_slot_take(struct hs_runner *runner, const struct hs_slot_request *request)
{
    struct hs_slot *slot = find_slot(runner, request);
    if (!slot)
        return NULL;
    struct hs_instance *instance = slot->instance;
    const struct hs_backend *backend = runner->options.backend;
    if (slot->state == HS_SLOT_FREE) {
        slot->state = HS_SLOT_FILLING;
        slot->h = request->h;
        slot->w = request->w;
        slot->taken = slot->held = slot->ready = slot->parts = slot->result = 0;
        instance->busy++;
        runner->in_use++;
    }
    struct hs_slot_part *part = &slot->part[slot->parts++];
    int room = instance->info->batch - slot->taken;
    part->first = slot->taken;
    part->held = true;
    part->ready = false;
    part->lease.input_h = request->h;
    part->lease.input_w = request->w;
    part->lease.descs = instance->info->outputs;
    part->lease.pictures = request->count < room ? request->count : room;
    part->lease.input = backend->input(instance->model, slot->index) + (size_t) part->first * part->lease.input_stride;
    slot->taken += part->lease.pictures;
    slot->held++;
    return part;
}

void hs_slot_free(struct hs_slot *slot)
{
    struct hs_instance *instance = slot->instance;
    struct hs_runner *runner = instance->runner;
    if (slot->state == HS_SLOT_STUCK) {
        instance->stuck--;
        runner->stuck -= !instance->abandoned;
    }
    slot->state = HS_SLOT_FREE;
    instance->busy--;
    runner->in_use -= !instance->abandoned;
    runner->last_used_ns = hs_clock_now_ns();
    runner->used = true;
    hs_runner_consider_restart(runner);
    hs_runner_dispatch(runner);
    if (instance->busy == 0)
        pthread_cond_signal(&runner->work); /* the loader may be waiting for the instance to become idle */
}

/* ---- A run, with the lock held ---- */

static bool is_full(const struct hs_slot *slot)
{
    return slot->taken == slot->instance->info->batch || slot->instance != slot->instance->runner->instance ||
           slot->instance->runner->load_state != HS_LOAD_LOADED;
}

/* Returns the time from which the slot may be submitted; HS_NO_DEADLINE: parts or batches in the
 * device must finish first. */
static int64_t submit_time(const struct hs_slot *slot)
{
    const struct hs_instance *instance = slot->instance;
    if (slot->ready < slot->parts || (instance->info->batch > 1 && instance->running >= BATCHES_IN_FLIGHT))
        return HS_NO_DEADLINE;
    return is_full(slot) ? 0 : slot->ready_ns + instance->runner->options.batch_wait_ns;
}

/* Wakes batches that wait for room in the device. */
static void wake_filled(struct hs_instance *instance)
{
    for (int i = 0; i < instance->slot_count && instance->info->batch > 1; i++)
        if (instance->slots[i].state == HS_SLOT_FILLING && instance->slots[i].ready > 0)
            pthread_cond_broadcast(&instance->slots[i].changed);
}

static void make_ready(struct hs_slot_part *part)
{
    struct hs_slot *slot = part->slot;
    part->ready = true;
    if (slot->ready++ == 0)
        slot->ready_ns = hs_clock_now_ns();
    if (slot->ready == slot->parts)
        pthread_cond_broadcast(&slot->changed);
}

static void enter_backend(struct hs_slot *slot)
{
    slot->polled = true;
    pthread_mutex_unlock(&slot->instance->runner->lock);
}

static void leave_backend(struct hs_slot *slot)
{
    pthread_mutex_lock(&slot->instance->runner->lock);
    slot->polled = false;
    pthread_cond_broadcast(&slot->changed);
}

/* Counts a slot that the device begins (1) or ends (-1) to work on. */
static void change_running(struct hs_instance *instance, int change)
{
    struct hs_runner *runner = instance->runner;
    int before = runner->running;
    instance->running += change;
    runner->running += change;
    if (before == 0)
        runner->busy_since_ns = hs_clock_now_ns();
    else if (runner->running == 0)
        runner->busy_ns += hs_clock_now_ns() - runner->busy_since_ns;
}

/* `hung`: the run took too long, and the device still holds the slot. */
static void finish_run(struct hs_slot *slot, int result, bool hung, const struct hs_error *why)
{
    struct hs_runner *runner = slot->instance->runner;
    slot->result = result;
    slot->error = *why;
    if (!hung) {
        slot->state = HS_SLOT_DONE;
        change_running(slot->instance, -1);
    }
    runner->pictures += (uint64_t) slot->taken;
    runner->run_ns += hs_clock_now_ns() - slot->started_ns;
    hs_runner_count_run(runner, result, hung, why);
    wake_filled(slot->instance);
}

static void submit(struct hs_slot *slot)
{
    struct hs_instance *instance = slot->instance;
    const struct hs_backend *backend = instance->runner->options.backend;
    struct hs_error why = { 0 };
    int count = slot->taken, r = 0;
    slot->state = HS_SLOT_RUNNING;
    change_running(instance, 1);
    slot->started_ns = hs_clock_now_ns();
    enter_backend(slot);
    if (instance->info->free_size)
        r = backend->resize(instance->model, slot->index, slot->h, slot->w, &why);
    if (r == 0)
        r = backend->submit(instance->model, slot->index, count, &why);
    leave_backend(slot);
    if (r != 0)
        finish_run(slot, r, false, &why);
}

/* Waits inside the backend until the deadline, or until the run has exceeded run_timeout_ns. */
static void poll_slot(struct hs_slot *slot, int64_t deadline_ns)
{
    struct hs_instance *instance = slot->instance;
    const struct hs_runner_options *options = &instance->runner->options;
    struct hs_error why = { 0 };
    int64_t limit_ns = options->run_timeout_ns, late_ns = slot->started_ns + limit_ns;
    bool bounded = limit_ns > 0 && late_ns < deadline_ns;
    enter_backend(slot);
    int r = options->backend->wait(instance->model, slot->index, bounded ? late_ns : deadline_ns, &why);
    leave_backend(slot);
    if (r != HS_ETIMEOUT) {
        finish_run(slot, r, false, &why);
    } else if (bounded) {
        hs_error_set(&why, HS_ELOST, "the device did not respond within %.1f s", hs_ns_to_ms(limit_ns) / 1000);
        finish_run(slot, HS_ELOST, true, &why);
    }
}

static bool has_result(const struct hs_slot *slot)
{
    return slot->state == HS_SLOT_DONE || slot->result != 0;
}

/* Returns when there is a result, or at the part's deadline. */
static void wait_for_result(struct hs_slot_part *part)
{
    struct hs_slot *slot = part->slot;
    while (!has_result(slot) && hs_clock_now_ns() < part->deadline_ns) {
        int64_t when_ns = slot->state == HS_SLOT_FILLING ? submit_time(slot) : HS_NO_DEADLINE;
        if (when_ns <= hs_clock_now_ns())
            submit(slot);
        else if (slot->state == HS_SLOT_RUNNING && !slot->polled)
            poll_slot(slot, part->deadline_ns);
        else
            hs_cond_wait_until(&slot->changed, &slot->instance->runner->lock,
                               when_ns < part->deadline_ns ? when_ns : part->deadline_ns);
    }
}

/* ---- For request threads ---- */

int hs_runner_run(struct hs_lease *lease, struct hs_runner_timings *ret_timings, struct hs_error *err)
{
    struct hs_slot_part *part = (struct hs_slot_part *) lease;
    struct hs_slot *slot = part->slot;
    struct hs_runner *runner = slot->instance->runner;
    if (hs_cancel_is_set(part->cancel))
        return hs_error_set(err, HS_ECANCELED, "cancelled before the inference started");
    int64_t start_ns = hs_clock_now_ns();
    if (start_ns >= part->deadline_ns)
        return hs_error_set(err, HS_ETIMEOUT, "the timeout passed before the inference started");
    int r = 0;
    pthread_mutex_lock(&runner->lock);
    make_ready(part);
    wait_for_result(part);
    if (!has_result(slot)) {
        runner->timeouts++;
        r = hs_error_set(err, HS_ETIMEOUT, "the timeout passed during the inference");
    } else if (slot->result != 0) {
        /* HS_EBUSY would mean that this runner's queue is full, which is not retried. The device's
         * queue may have room at the next attempt. */
        r = hs_error_set(err, slot->result == HS_EBUSY ? HS_ETRANSIENT : slot->result, "%s", slot->error.message);
    }
    pthread_mutex_unlock(&runner->lock);
    if (r == 0) {
        const struct hs_backend *backend = runner->options.backend;
        if (backend->outputs)
            lease->descs = backend->outputs(slot->instance->model, slot->index);
        hs_lease_outputs(lease, 0, lease->outputs);
    }
    const struct hs_runner_timings timings = { part->queue_ns, hs_clock_now_ns() - start_ns };
    if (r == 0) {
        hs_stage_record(HS_STAGE_QUEUE, timings.queue_ns);
        hs_stage_record(HS_STAGE_INFERENCE, timings.inference_ns);
    }
    if (ret_timings)
        *ret_timings = timings;
    return r;
}

void hs_runner_release(struct hs_lease *lease)
{
    if (!lease)
        return;
    struct hs_slot_part *part = (struct hs_slot_part *) lease;
    struct hs_slot *slot = part->slot;
    struct hs_instance *instance = slot->instance;
    struct hs_runner *runner = instance->runner;
    pthread_mutex_lock(&runner->lock);
    assert(part->held);
    part->held = false;
    /* Other threads may be waiting until the slot is filled. This part's pictures are computed,
     * but not read. */
    if (!part->ready)
        make_ready(part);
    if (--slot->held == 0 && slot->state != HS_SLOT_RUNNING) {
        hs_slot_free(slot);
    } else if (slot->held == 0) {
        slot->state = HS_SLOT_STUCK;
        change_running(instance, -1);
        instance->stuck++;
        runner->stuck += !instance->abandoned;
        wake_filled(instance);
        pthread_cond_signal(&runner->work);
    }
    pthread_mutex_unlock(&runner->lock);
}
