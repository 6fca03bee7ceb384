/* The engine's inside, shared by engine.c (what workers call), state.c (who gets which slot) and keeper.c (the thread
 * that owns the device). Not for other folders. */
#ifndef HS_INFER_STATE_H
#define HS_INFER_STATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "infer/engine.h"

/* A copy that was not used for so long may make room for one that would merely be welcome. */
#define HS_ENGINE_STALE_NS (INT64_C(10) * 1000 * 1000 * 1000)

/* More than can be loaded, so that sizes may be wanted while all loaded ones are in use. */
enum { HS_ENGINE_COPIES = 2 * HS_ENGINE_MAX_COPIES };

enum hs_copy_state {
    HS_COPY_NONE,
    HS_COPY_WANTED,
    HS_COPY_LOADING,
    HS_COPY_LOADED,
    HS_COPY_DRAINING, /* loaded, but given out no more: unloaded as soon as it is idle */
};

enum hs_slot_state { HS_SLOT_FREE, HS_SLOT_HELD, HS_SLOT_STUCK };

struct hs_copy;

struct hs_slot {
    struct hs_lease lease; /* first: a lease is its slot */
    struct hs_engine *engine;
    struct hs_copy *copy;
    int index;
    enum hs_slot_state state;
    /* of the lease in hand; only its holder looks at them */
    struct hs_cancel *cancel;
    int64_t deadline_ns, queue_ns;
    bool timed_out;
};

struct hs_copy {
    enum hs_copy_state state;
    int h, w;
    int batch; /* wanted, and since it is loaded, what it takes */
    bool solo;
    bool needed;     /* wanted by somebody who waits for it; else merely welcome */
    uint64_t ticket; /* order of wanting */
    struct hs_model *model;
    int slot_count, busy, stuck; /* busy: not free; the stuck ones are among them */
    int64_t last_used_ns;
    struct hs_slot slots[HS_MODEL_MAX_SLOTS];
};

/* A request in hs_engine_acquire, on that thread's stack. */
struct hs_waiter {
    int h, w, count;
    pthread_cond_t wake;
    struct hs_slot *slot; /* granted */
    int result;           /* refused: HS_E…, and `err` is filled */
    struct hs_error *err;
    bool cancelled;
    struct hs_engine *engine;
    struct hs_waiter *prev, *next;
};

struct hs_engine {
    /* Set at creation. */
    struct hs_engine_options options;
    struct hs_model_spec spec;
    int slots;
    bool adaptive;
    bool batch_apart; /* a batch is a copy of its own */
    pthread_t keeper;

    /* Only the keeper's. */
    struct hs_device *device;

    /* Guards all that follows. Comes after the lock of a struct hs_cancel: never ask or watch one while holding it. */
    pthread_mutex_t lock;
    pthread_cond_t work;    /* for the keeper: something was wanted, released, stuck, or the end */
    pthread_cond_t changed; /* a load ended */
    struct hs_copy copies[HS_ENGINE_COPIES];
    struct hs_waiter *first, *last;
    int waiting, in_use, stuck;
    int batch; /* 1 as soon as the model turns out to be bound to one picture */
    uint64_t next_ticket;
    bool ending;
    bool used;                    /* a lease came back since the last unloading of everything */
    int64_t last_used_ns;         /* or last loaded */
    int64_t shared_not_before_ns; /* after a failed background load */
    int64_t cost_bytes[2];        /* what the newest load of a shared [0] and of a solo [1] copy took; 0: not known */
    char device_name[64], version[64];
    struct hs_error error;
    uint64_t runs, pictures, failures, timeouts, refusals, loads, evictions;
    int64_t last_load_ns;
    struct hs_engine *next_abandoned;
};

/* All of these are called with the engine's lock held. */

/* Gives free slots to waiters, oldest first, and notes which copies they lack. */
void hs_engine_dispatch(struct hs_engine *engine);

struct hs_copy_key {
    int h, w, batch;
    bool solo;
};

/* Notes that a copy is wanted, once, and wakes the keeper. One that is not `needed` is noted only where it has room. */
void hs_engine_want(struct hs_engine *engine, const struct hs_copy_key *key, bool needed);

/* Takes a waiter out of the queue. */
void hs_engine_unlink(struct hs_engine *engine, struct hs_waiter *waiter);

/* A slot that is free again. */
void hs_engine_free_slot(struct hs_engine *engine, struct hs_slot *slot);

/* Copies in one of the states of the mask 1 << HS_COPY_…. */
int hs_engine_count(const struct hs_engine *engine, unsigned states);

/* Whether a further copy of this kind beside `count` others would stay within the bounds on number and memory. */
bool hs_engine_fits(const struct hs_engine *engine, int count, bool solo);

/* The loaded copy to give up first, idle ones before busy ones; NULL where none can be. */
struct hs_copy *hs_engine_victim(struct hs_engine *engine);

/* keeper.c: the thread's body; its argument is the engine. */
void *hs_engine_keep(void *arg);

#endif
