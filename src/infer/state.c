#include "infer/state.h"

#include "base/clock.h"
#include "base/mem.h"

static const unsigned occupied = 1u << HS_COPY_WANTED | 1u << HS_COPY_LOADING | 1u << HS_COPY_LOADED;

int hs_engine_count(const struct hs_engine *engine, unsigned states)
{
    int count = 0;
    for (int i = 0; i < HS_ENGINE_COPIES; i++)
        count += (states >> engine->copies[i].state) & 1u;
    return count;
}

struct hs_copy *hs_engine_victim(struct hs_engine *engine)
{
    struct hs_copy *victim = NULL;
    for (int i = 0; i < HS_ENGINE_COPIES; i++) {
        struct hs_copy *copy = &engine->copies[i];
        if (copy->state != HS_COPY_LOADED || copy->stuck > 0)
            continue;
        if (!victim || (copy->busy == 0) > (victim->busy == 0) ||
            ((copy->busy == 0) == (victim->busy == 0) && copy->last_used_ns < victim->last_used_ns))
            victim = copy;
    }
    return victim;
}

bool hs_engine_fits(const struct hs_engine *engine, int count, bool solo)
{
    if (count >= engine->options.max_copies)
        return false;
    int64_t cost_bytes = engine->cost_bytes[solo] ? engine->cost_bytes[solo] : engine->cost_bytes[!solo];
    return count == 0 || engine->options.memory_max == 0 ||
           hs_mem_resident() + cost_bytes <= engine->options.memory_max;
}

static bool has_room(struct hs_engine *engine, bool solo)
{
    if (hs_engine_fits(engine, hs_engine_count(engine, occupied), solo))
        return true;
    struct hs_copy *victim = hs_engine_victim(engine);
    return victim && victim->busy == 0 && hs_clock_now_ns() - victim->last_used_ns >= HS_ENGINE_STALE_NS;
}

static struct hs_copy *find_copy(struct hs_engine *engine, const struct hs_copy_key *key, unsigned states)
{
    for (int i = 0; i < HS_ENGINE_COPIES; i++) {
        struct hs_copy *copy = &engine->copies[i];
        if (((states >> copy->state) & 1u) && copy->h == key->h && copy->w == key->w && copy->solo == key->solo &&
            (copy->batch == key->batch || !engine->batch_apart))
            return copy;
    }
    return NULL;
}

void hs_engine_want(struct hs_engine *engine, const struct hs_copy_key *key, bool needed)
{
    struct hs_copy *copy = find_copy(engine, key, occupied);
    if (copy) {
        copy->needed |= needed;
        return;
    }
    if (!needed && (hs_clock_now_ns() < engine->shared_not_before_ns || !has_room(engine, key->solo)))
        return;
    /* Where no place is left, the waiter's next dispatch asks again. */
    for (int i = 0; i < HS_ENGINE_COPIES; i++) {
        copy = &engine->copies[i];
        if (copy->state != HS_COPY_NONE)
            continue;
        copy->state = HS_COPY_WANTED;
        copy->h = key->h;
        copy->w = key->w;
        copy->batch = key->batch;
        copy->solo = key->solo;
        copy->needed = needed;
        copy->ticket = engine->next_ticket++;
        pthread_cond_signal(&engine->work);
        return;
    }
}

/* A batch that is being filled has room for others where the device takes batches from several requests. */
static struct hs_slot *find_filling(const struct hs_engine *engine, struct hs_copy *copy)
{
    for (int i = 0; i < copy->slot_count && !engine->batch_apart; i++)
        if (copy->slots[i].state == HS_SLOT_FILLING && copy->slots[i].taken < copy->batch)
            return &copy->slots[i];
    return NULL;
}

static bool is_free(const struct hs_engine *engine, struct hs_copy *copy)
{
    return copy && ((copy->busy < copy->slot_count && engine->in_use < engine->slots) || find_filling(engine, copy));
}

/* The copy for a request that fills a batch; NULL: none is free, or pictures one by one are as well. */
static struct hs_copy *choose_batch(struct hs_engine *engine, const struct hs_waiter *waiter)
{
    const struct hs_copy_key key = {
        .h = waiter->h,
        .w = waiter->w,
        .batch = engine->batch,
        .solo = engine->adaptive,
    };
    bool alone = engine->in_use == 0 && engine->waiting == 1;
    if (!engine->batch_apart || engine->batch < 2 || waiter->count < engine->batch || !alone)
        return NULL;
    struct hs_copy *copy = find_copy(engine, &key, 1u << HS_COPY_LOADED);
    if (!copy)
        hs_engine_want(engine, &key, false);
    return is_free(engine, copy) ? copy : NULL;
}

/* The copy to serve this request from now; NULL: none is free. What is lacking is noted. */
static struct hs_copy *choose_copy(struct hs_engine *engine, const struct hs_waiter *waiter)
{
    const int batch = engine->batch_apart ? 1 : engine->batch;
    const struct hs_copy_key shared_key = { .h = waiter->h, .w = waiter->w, .batch = batch };
    const struct hs_copy_key solo_key = { .h = waiter->h, .w = waiter->w, .batch = batch, .solo = true };
    struct hs_copy *many = choose_batch(engine, waiter);
    if (many)
        return many;
    struct hs_copy *shared = find_copy(engine, &shared_key, 1u << HS_COPY_LOADED);
    if (!engine->adaptive) {
        if (!shared)
            hs_engine_want(engine, &shared_key, true);
        return is_free(engine, shared) ? shared : NULL;
    }
    struct hs_copy *solo = find_copy(engine, &solo_key, 1u << HS_COPY_LOADED);
    bool alone = engine->in_use == 0 && engine->waiting == 1;
    if (!solo && !shared)
        hs_engine_want(engine, &solo_key, true);
    else if (!shared && !alone)
        hs_engine_want(engine, &shared_key, false);
    else if (!solo && alone)
        hs_engine_want(engine, &solo_key, false);
    struct hs_copy *better = alone ? solo : shared, *other = alone ? shared : solo;
    return is_free(engine, better) ? better : is_free(engine, other) ? other : NULL;
}

void hs_engine_unlink(struct hs_engine *engine, struct hs_waiter *waiter)
{
    *(waiter->prev ? &waiter->prev->next : &engine->first) = waiter->next;
    *(waiter->next ? &waiter->next->prev : &engine->last) = waiter->prev;
    waiter->prev = waiter->next = NULL;
    engine->waiting--;
}

static struct hs_slot *take_slot(struct hs_engine *engine, struct hs_copy *copy)
{
    struct hs_slot *slot = find_filling(engine, copy);
    if (slot)
        return slot;
    slot = copy->slots;
    while (slot->state != HS_SLOT_FREE)
        slot++;
    slot->state = HS_SLOT_FILLING;
    slot->taken = slot->held = slot->ready = slot->shares = slot->result = 0;
    copy->busy++;
    engine->in_use++;
    return slot;
}

static void grant(struct hs_engine *engine, struct hs_waiter *waiter, struct hs_copy *copy)
{
    struct hs_slot *slot = take_slot(engine, copy);
    struct hs_share *share = &slot->share[slot->shares++];
    int room = copy->batch - slot->taken;
    share->first = slot->taken;
    share->held = true;
    share->ready = false;
    share->lease.pictures = waiter->count < room ? waiter->count : room;
    share->lease.input =
        engine->options.backend->input(copy->model, slot->index) + (size_t) share->first * share->lease.input_stride;
    slot->taken += share->lease.pictures;
    slot->held++;
    hs_engine_unlink(engine, waiter);
    waiter->share = share;
    pthread_cond_signal(&waiter->wake);
}

/* Goes on past those that cannot be served, so that a size being loaded holds nobody else up; and to the end even when
 * all slots are in use, so that loads begin early. */
void hs_engine_dispatch(struct hs_engine *engine)
{
    struct hs_waiter *next;
    for (struct hs_waiter *waiter = engine->first; waiter && !engine->down && !engine->restarting; waiter = next) {
        next = waiter->next;
        struct hs_copy *copy = choose_copy(engine, waiter);
        if (copy)
            grant(engine, waiter, copy);
    }
}

void hs_engine_fail_waiters(struct hs_engine *engine, const struct hs_copy_key *key, const struct hs_error *why)
{
    struct hs_waiter *next;
    for (struct hs_waiter *waiter = engine->first; waiter; waiter = next) {
        next = waiter->next;
        if (key && (waiter->h != key->h || waiter->w != key->w))
            continue;
        hs_engine_unlink(engine, waiter);
        waiter->result = why->code;
        if (waiter->err)
            *waiter->err = *why;
        pthread_cond_signal(&waiter->wake);
    }
}

void hs_engine_free_slot(struct hs_engine *engine, struct hs_slot *slot)
{
    struct hs_copy *copy = slot->copy;
    bool counted = copy->state != HS_COPY_ABANDONED;
    if (slot->state == HS_SLOT_STUCK) {
        copy->stuck--;
        engine->stuck -= counted;
    }
    slot->state = HS_SLOT_FREE;
    copy->busy--;
    engine->in_use -= counted;
    copy->last_used_ns = engine->last_used_ns = hs_clock_now_ns();
    engine->used = true;
    hs_engine_consider_restart(engine);
    hs_engine_dispatch(engine);
    /* The keeper may have waited for this copy, or for the whole engine, to become idle. */
    if (copy->busy == 0 && (copy->state != HS_COPY_LOADED || engine->keep_alive_s >= 0 || engine->unload_asked))
        pthread_cond_signal(&engine->work);
}

/* The smallest loaded copy that a picture of h x w fits into; NULL where there is none. */
static const struct hs_copy *find_holder(const struct hs_engine *engine, int h, int w)
{
    const struct hs_copy *best = NULL;
    for (int i = 0; i < HS_ENGINE_COPIES; i++) {
        const struct hs_copy *copy = &engine->copies[i];
        if (copy->state == HS_COPY_LOADED && (copy->batch == 1 || !engine->batch_apart) && copy->h >= h &&
            copy->w >= w && (!best || (int64_t) copy->h * copy->w < (int64_t) best->h * best->w))
            best = copy;
    }
    return best;
}

void hs_engine_choose_shape(struct hs_engine *engine, int h, int w, struct hs_engine_shape whole,
                            struct hs_engine_shape *ret_shape)
{
    *ret_shape = (struct hs_engine_shape) { h, w };
    pthread_mutex_lock(&engine->lock);
    const int batch = engine->batch_apart ? 1 : engine->batch;
    const struct hs_copy_key shared = { .h = h, .w = w, .batch = batch };
    const struct hs_copy_key solo = { .h = h, .w = w, .batch = batch, .solo = true };
    bool known = find_copy(engine, &solo, occupied) || find_copy(engine, &shared, occupied);
    if (!known && !has_room(engine, engine->adaptive)) {
        const struct hs_copy *holder = find_holder(engine, h, w);
        *ret_shape = holder ? (struct hs_engine_shape) { holder->h, holder->w } : whole;
    }
    pthread_mutex_unlock(&engine->lock);
}
