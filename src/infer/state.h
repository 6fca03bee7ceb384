/* The engine's inside, shared by engine.c (what workers call), run.c (from a filled slot to its results), state.c (who
 * gets which slot), recover.c (devices that fail), restart.c (too much memory) and keeper.c (the thread that owns
 * the device). Not for other folders. */
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
    HS_COPY_DRAINING,  /* loaded, but given out no more: unloaded as soon as it is idle */
    HS_COPY_ABANDONED, /* of a device that was given up while it held slots of it: unloaded if it gives them back */
};

/* A slot is handed out picture by picture while it is FILLING, and goes back when all its leases have. */
enum hs_slot_state {
    HS_SLOT_FREE,
    HS_SLOT_FILLING,
    HS_SLOT_RUNNING,
    HS_SLOT_DONE,  /* `result` says how it went */
    HS_SLOT_STUCK, /* all who waited for it have left; the device has it still */
};

struct hs_copy;
struct hs_slot;

/* A lease's inside: some pictures of a slot. */
struct hs_share {
    struct hs_lease lease; /* first: a lease is its share */
    struct hs_slot *slot;
    int first; /* picture of the slot */
    bool held, ready;
    /* only its holder looks at these */
    struct hs_cancel *cancel;
    int64_t deadline_ns, queue_ns;
};

struct hs_slot {
    struct hs_engine *engine;
    struct hs_copy *copy;
    int index;
    enum hs_slot_state state;
    int taken;          /* pictures given out, from the first */
    int held, ready;    /* shares not yet released; and those that wait for the run, or went without */
    int shares;         /* given out since the slot was last free */
    bool attended;      /* somebody is inside the backend for it */
    int64_t ready_ns;   /* when the first share became ready */
    int64_t started_ns; /* when it was submitted */
    int result;
    struct hs_error error;
    pthread_cond_t changed; /* for those in hs_engine_run */
    struct hs_share *share; /* `batch` of them, of the copy's */
};

struct hs_copy {
    enum hs_copy_state state;
    int h, w;
    int batch; /* wanted, and since it is loaded, what it takes */
    bool solo;
    bool again;      /* draining for a restart: wanted as soon as it is unloaded */
    bool needed;     /* wanted by somebody who waits for it; else merely welcome */
    uint64_t ticket; /* order of wanting */
    struct hs_device *device; /* that it is loaded on */
    struct hs_model *model;
    int slot_count, busy, stuck; /* busy: not free; the stuck ones are among them */
    int running;                 /* submitted and not done */
    int64_t last_used_ns;
    struct hs_slot slots[HS_MODEL_MAX_SLOTS];
    struct hs_share *shares; /* slot_count * batch */
};

struct hs_copy_key {
    int h, w, batch;
    bool solo;
};

/* A request in hs_engine_acquire, on that thread's stack. */
struct hs_waiter {
    int h, w, count;
    enum hs_priority priority;
    pthread_cond_t wake;
    struct hs_share *share; /* granted */
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
    int waiting, in_use, stuck; /* of copies that are not abandoned */
    int batch; /* 1 as soon as the model turns out to be bound to one picture */
    uint64_t next_ticket;
    bool ending;
    bool used;                    /* a lease came back since the last unloading of everything */
    int64_t last_used_ns;         /* or last loaded */
    int64_t shared_not_before_ns; /* after a failed background load */
    int64_t cost_bytes[2];        /* what the newest load of a shared [0] and of a solo [1] copy took; 0: not known */
    char device_name[64], version[64];
    struct hs_error error; /* what is not mended yet; code 0: nothing */
    double keep_alive_s;   /* in force: the options', or what a request asked for */
    bool unload_asked;
    /* A device that is down gets no work: what is loaded on it is dropped, and it is tried again now and then. */
    bool down, hung;
    int failures_in_row;
    int attempts; /* to bring it back since it went down */
    int64_t next_attempt_ns;
    struct hs_copy_key revive; /* what is loaded to see whether it is back */
    /* While it is restarting, what is loaded drains, and nothing is loaded before all of it is unloaded. */
    bool restarting;
    int64_t restart_until_ns; /* when it is put off, where something does not drain */
    int64_t restart_bytes;    /* of the process, when it was last looked at */
    int64_t next_look_ns;
    uint64_t runs, pictures, failures, timeouts, refusals, loads, evictions, restarts;
    int64_t run_ns; /* of all runs */
    int64_t last_load_ns;
    struct hs_device_health health; /* what the open device said of itself last, if it ever did */
    bool has_health;
    int64_t next_health_ns;
    struct hs_engine *next_abandoned;
};

/* All of these are called with the engine's lock held. */

/* Gives free slots to waiters, oldest first, and notes which copies they lack. */
void hs_engine_dispatch(struct hs_engine *engine);

/* Notes that a copy is wanted, once, and wakes the keeper. One that is not `needed` is noted only where it has room. */
void hs_engine_want(struct hs_engine *engine, const struct hs_copy_key *key, bool needed);

/* Takes a waiter out of the queue. */
void hs_engine_unlink(struct hs_engine *engine, struct hs_waiter *waiter);

/* A slot whose leases are all back, or that the device gave back. */
void hs_engine_free_slot(struct hs_engine *engine, struct hs_slot *slot);

/* Fails everyone who waits; of those who wait for `key` only, where it is not NULL. */
void hs_engine_fail_waiters(struct hs_engine *engine, const struct hs_copy_key *key, const struct hs_error *why);

/* recover.c: what a run's end means for the device; and a device that is to be left alone from now. */
void hs_engine_judge_run(struct hs_engine *engine, int result, bool hung, const struct hs_error *why);
void hs_engine_go_down(struct hs_engine *engine, const struct hs_error *why);

void hs_engine_plan_attempt(struct hs_engine *engine);

/* What a request to a device that is down is told: always a failure that may pass. */
int hs_engine_down_error(const struct hs_engine *engine, struct hs_error *err);

/* health.c: asks the device how it is, where it is time to; true: it did, and the lock was given up meanwhile. For the
 * keeper. And when it is time to: HS_NO_DEADLINE where there is nobody to ask. */
bool hs_engine_look_at_health(struct hs_engine *engine);
int64_t hs_engine_health_time(const struct hs_engine *engine);

/* restart.c: begins a restart where the process is past its limit; takes what is loaded out of use for it (false: there
 * is nothing); ends it, done or put off; and leaves it, when all that is loaded is given up. */
void hs_engine_consider_restart(struct hs_engine *engine);
bool hs_engine_drain(struct hs_engine *engine);
void hs_engine_leave_restart(struct hs_engine *engine);
void hs_engine_end_restart(struct hs_engine *engine);

/* Copies in one of the states of the mask 1 << HS_COPY_…. */
int hs_engine_count(const struct hs_engine *engine, unsigned states);

/* Whether a further copy of this kind beside `count` others would stay within the bounds on number and memory. */
bool hs_engine_fits(const struct hs_engine *engine, int count, bool solo);

/* The loaded copy to give up first, idle ones before busy ones; NULL where none can be. */
struct hs_copy *hs_engine_victim(struct hs_engine *engine);

/* keeper.c: the thread's body; its argument is the engine. */
void *hs_engine_keep(void *arg);

#endif
