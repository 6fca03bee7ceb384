/* Internals of a runner, shared by runner.c (the queue and the functions for request threads),
 * slot.c (a slot from its first picture to its results) and loader.c (the thread that owns the
 * device). Other folders must not include it. */
#ifndef HS_INFER_RUNNER_INTERNAL_H
#define HS_INFER_RUNNER_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "infer/runner.h"

/* The table at the top of slot.c shows the transitions. */
enum hs_slot_state { HS_SLOT_FREE, HS_SLOT_FILLING, HS_SLOT_RUNNING, HS_SLOT_DONE, HS_SLOT_STUCK };

/* NONE -> WANTED -> LOADING -> LOADED -> DRAINING -> NONE. No slots of a draining model are handed
 * out, and it is unloaded as soon as no slot is in use. A failed load leads back to NONE. Every
 * change broadcasts `changed`. */
enum hs_load_state { HS_LOAD_NONE, HS_LOAD_WANTED, HS_LOAD_LOADING, HS_LOAD_LOADED, HS_LOAD_DRAINING };

struct hs_slot;

/* A lease and its place in a slot. */
struct hs_slot_part {
    struct hs_lease lease; /* first, because a lease is cast to its part */
    struct hs_slot *slot;
    int first; /* index of its first picture in the slot */
    bool held, ready;
    /* Read only by the thread that holds the lease. */
    struct hs_cancel *cancel;
    int64_t deadline_ns, queue_ns;
};

struct hs_slot {
    struct hs_instance *instance;
    int index;
    enum hs_slot_state state;
    int h, w;           /* size of its pictures */
    int taken;          /* pictures handed out, counted from the first */
    int held, ready;    /* parts not yet released; parts whose pictures are written or abandoned */
    int parts;          /* handed out since the slot was last free */
    bool polled;        /* a thread is inside the backend for it */
    int64_t ready_ns;   /* time at which the first part became ready */
    int64_t started_ns; /* time of submission */
    int result;
    struct hs_error error;
    pthread_cond_t changed;    /* for threads in hs_runner_run */
    struct hs_slot_part *part; /* info->batch parts, inside the instance's array */
};

/* A model loaded on a device. */
struct hs_instance {
    struct hs_runner *runner;
    struct hs_device *device;
    struct hs_model *model;
    const struct hs_model_info *info;
    int slot_count, busy, stuck; /* busy: slots that are not free, the stuck ones included */
    int running;                 /* submitted and not done */
    bool abandoned;              /* its device was given up while it held slots */
    struct hs_instance *next;    /* next of the abandoned instances */
    struct hs_slot slots[HS_MODEL_MAX_SLOTS];
    struct hs_slot_part *parts; /* slot_count * info->batch */
};

/* A request in hs_runner_acquire, on the stack of its thread. */
struct hs_waiter {
    const struct hs_slot_request *request;
    struct hs_runner *runner;
    pthread_cond_t wake;
    struct hs_slot_part *part; /* set once granted */
    int result;                /* if refused: HS_E…, and `err` is filled */
    struct hs_error *err;
    bool cancelled;
    struct hs_waiter *prev, *next;
};

struct hs_runner {
    /* Set at creation. */
    struct hs_runner_options options;
    struct hs_model_spec spec;
    pthread_t loader;

    /* Used only by the loader. */
    struct hs_device *device;

    /* Guards everything below. The lock of a struct hs_cancel comes first: do not check or watch
     * one while holding this lock. */
    pthread_mutex_t lock;
    pthread_cond_t work;    /* wakes the loader: load wanted, slot released or stuck, or runner ending */
    pthread_cond_t changed; /* broadcast if load_state, down or restarting changes, or the loader ends */
    enum hs_load_state load_state;
    struct hs_instance *instance; /* set while LOADED or DRAINING, else NULL */
    struct hs_instance *abandoned;
    struct hs_waiter *first, *last;
    int waiting, in_use, stuck; /* without those of abandoned instances */
    bool ending, ended;
    bool orphaned; /* destroyed while the loader was inside the backend, so the loader frees it */
    struct hs_runner *next_leaked;
    bool used;            /* a slot was freed since the model was loaded */
    int64_t last_used_ns; /* time of the last use or of the load */
    double keep_alive_s;  /* the current setting */
    bool unload_asked;
    bool preload_asked; /* by a preload while load_state is NONE or DRAINING */
    char device_name[64], version[64];
    struct hs_error error; /* not recovered from yet; code 0: none */

    /* A device that is down gets no work: the model is unloaded, and the loader tries to recover
     * the device. This is a circuit breaker (Nygard, "Release It!") whose trial run is the loader's
     * and not a client's. */
    bool down, hung;
    int failures_in_row;
    int attempts; /* since it went down */
    int64_t next_attempt_ns;

    /* A restart drains, unloads, closes, opens and loads. */
    bool restarting;
    int64_t restart_until_ns; /* time at which a restart is put off if a slot is still in use */
    int64_t restart_bytes;    /* resident memory of the process when last measured */
    int64_t next_measure_ns;

    struct hs_device_health health;
    bool has_health;
    int64_t next_health_ns;

    uint64_t runs, pictures, failures, timeouts, refusals, loads, restarts, downs, recoveries;
    int64_t run_ns, last_load_ns;
    int running;                    /* slots that the device works on, of all instances */
    int64_t busy_ns, busy_since_ns; /* time with `running` > 0 that has ended; start of the current one */
};

/* The functions below are called with the runner's lock held, except hs_runner_free_orphan. */

/* runner.c: hands free slots to waiters, oldest first, and starts a load if one is missing. */
void hs_runner_dispatch(struct hs_runner *runner);
void hs_runner_set_load_state(struct hs_runner *runner, enum hs_load_state state);

/* runner.c: marks the device as down; requests fail with `why` until the loader has recovered it. */
void hs_runner_mark_down(struct hs_runner *runner, bool hung, const struct hs_error *why);
void hs_runner_schedule_attempt(struct hs_runner *runner);

/* runner.c: counts a run that ended with `result`, and marks the device as down if the device is at fault. */
void hs_runner_count_run(struct hs_runner *runner, int result, bool hung, const struct hs_error *why);

/* slot.c: takes a part of a slot for the request; NULL if none is free. hs_slot_free frees a slot
 * whose leases are all released, or that the device returned late. */
struct hs_slot_part *hs_slot_take(struct hs_runner *runner, const struct hs_slot_request *request);
void hs_slot_free(struct hs_slot *slot);

/* runner.c: frees an orphaned runner whose loader has ended. Called without the lock, unlike the
 * other functions here. */
void hs_runner_free_orphan(struct hs_runner *runner);

/* loader.c: hs_runner_load_loop is the body of the thread; its argument is the runner. */
void *hs_runner_load_loop(void *arg);
void hs_runner_consider_restart(struct hs_runner *runner);
void hs_runner_end_restart(struct hs_runner *runner);

#endif
