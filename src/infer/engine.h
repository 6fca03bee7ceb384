/* The engine owns one device and one model on it, loaded once for each input size that is in use, and decides who may
 * use them when: a bounded queue in front, a bounded number of pictures inside, a deadline on everything.
 *
 * What a worker does with it:
 *
 *     r = hs_engine_acquire(engine, h, w, deadline_ns, cancel, &lease, err);     waits for a free slot
 *     … writes h * w * 3 bytes of RGB to lease->input …
 *     r = hs_engine_run(lease, &timings, err);                                   waits for the device
 *     … reads lease->outputs[0 .. lease->output_count - 1] …
 *     hs_engine_release(lease);                                                  always, whatever run returned
 *
 * One thread of the engine, the keeper, is the only one that opens, loads, unloads and closes, and it collects slots
 * that a device gave back late. All functions may be called from any thread, a lease is used by one thread at a time.
 */
#ifndef HS_INFER_ENGINE_H
#define HS_INFER_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "hs/backend.h"
#include "hs/status.h"
#include "hs/tensor.h"

struct hs_engine;

enum { HS_ENGINE_MAX_COPIES = 16, HS_ENGINE_MAX_SIDE = 8192 };

/* Where a request has several pictures of the model's size (the faces of one photograph, say):
 *
 *     r = hs_engine_acquire_some(engine, h, w, wanted, deadline_ns, cancel, &lease, err);
 *     … writes picture i, 0 .. lease->pictures - 1, to lease->input + i * lease->input_stride …
 *     r = hs_engine_run(lease, &timings, err);
 *     … reads hs_lease_outputs(lease, i, views) …
 *     hs_engine_release(lease);
 *
 * and again for those that are left. How many fit is the engine's decision. A lease says only where its own pictures
 * lie, so that leases may come to share a device's batch. */

/* A copy is the model loaded for one input size. Where `adaptive` is set there are two kinds of them: a solo copy (one
 * slot, all processor threads on one picture: the lowest latency) serves a request that is alone, a shared copy
 * (`slots` slots, the threads divided: the most pictures per second) serves those that are not. The solo copy is loaded
 * first, the shared one in the background when requests first meet. Without `adaptive` all copies are shared ones.
 *
 * With a `batch` above 1, an accelerator's copies take up to so many pictures a slot. On a processor (`adaptive`),
 * where a batch always costs its full size, it is a copy of its own, solo, loaded in the background when a request that
 * fills it first comes, and used by such requests while they are alone: sharing the processor, pictures one by one are
 * as cheap. */
struct hs_engine_options {
    const struct hs_backend *backend;
    const char *device_id; /* as in struct hs_device_options; strings are copied */
    const char *group;
    const char *cache_dir;
    const char *script;
    int threads;
    int slots;           /* pictures in the device at the same time, over all copies; 0: one a processor core that the
                            device may use. At most HS_MODEL_MAX_SLOTS. */
    bool adaptive;       /* for processors; an accelerator gains nothing from it */
    int batch;           /* most pictures of one request in a slot, 0..HS_MODEL_MAX_BATCH; 0 and 1: one. A model that is
                            bound to less gets less. */
    int max_copies;      /* kept loaded, 1..HS_ENGINE_MAX_COPIES; the least recently used one makes room */
    int64_t memory_max;  /* bytes of this whole process up to which a further copy is loaded without another one making
                            room, as far as earlier loads tell; one copy is always loaded. 0: no such bound */
    int64_t batch_wait_ns; /* how long a picture may wait for others to fill its batch, on a device that has nothing
                              better to do; 0: not at all */
    int warmup;          /* runs of a copy before its first use, to spare that one what a first run costs */
    int64_t run_timeout_ns; /* a run that takes longer is a failure of the device; 0: no such bound */
    int failures_max;    /* runs in a row that fail until the device counts as down; 0: it never does for that */
    int64_t retry_max_ns; /* a device that is down is tried again after a tenth of a second, and then after pauses
                             that double up to this; 0: five seconds */
    int queue_max;       /* requests that may wait for a slot; one more gets HS_EBUSY */
    int64_t restart_above; /* bytes of this whole process past which all that is loaded is unloaded, the device closed
                              and opened, and the same loaded again. Requests wait for it. 0: never */
    int64_t restart_pause_ns; /* the least time between two of these */
    /* A restart has closed the device: the process's memory before and now. On the keeper's thread, which holds no lock
     * and loads as soon as this returns; it must not call the engine. NULL: nobody is told. */
    void (*on_restart)(void *arg, int64_t before_bytes, int64_t after_bytes);
    void *on_restart_arg;
    double keep_alive_s; /* negative: loaded for good; 0: unloaded whenever nothing is in use or waiting; else unloaded
                            after so many seconds without use. The device is closed then, too. */
};

struct hs_engine_shape {
    int h, w;
};

/* FAILED: the device is down. It is so after a load failed with nothing else loaded, after a run that said HS_ELOST,
 * after failures_max failed runs in a row, and when every slot is stuck. Requests then fail at once, the device and all
 * that was loaded is given up, and the keeper opens and loads it anew, and runs it once, until that works. */
enum hs_engine_state {
    HS_ENGINE_IDLE,      /* nothing is loaded; the next request loads */
    HS_ENGINE_LOADING,   /* nothing is loaded yet, but on its way */
    HS_ENGINE_READY,     /* at least one copy is loaded, and the device answers */
    HS_ENGINE_UNLOADING, /* what is loaded is on its way out */
    HS_ENGINE_FAILED,    /* down; see `error` */
};

/* Who waits first. */
enum hs_priority { HS_INTERACTIVE, HS_BACKGROUND };

/* A moment's picture of the engine, and counters since its creation. */
struct hs_engine_status {
    enum hs_engine_state state;
    bool model_loaded;
    const char *backend; /* its name */
    char device[64];     /* from its probe when the device was opened; "" before */
    char version[64];
    int slots;  /* pictures that may be in the device at the same time */
    int in_use; /* slots held by leases or stuck */
    int stuck;  /* slots that the device did not give back by their deadline */
    bool hung;  /* it is down because it did not give them back */
    int waiting;
    int copy_count;
    struct hs_engine_copy_status {
        int h, w, slots, batch;
        bool solo;
    } copies[HS_ENGINE_MAX_COPIES];
    uint64_t runs, pictures, failures, timeouts, refusals; /* pictures: in all runs; refusals: HS_EBUSY */
    uint64_t loads, evictions;
    int64_t run_ns;        /* what all runs took together, from submission to their end */
    uint64_t restarts;     /* because of options.restart_above */
    int64_t last_load_ns;  /* how long the newest load took */
    bool has_health;       /* the device is open and told how it is, some seconds ago at most */
    struct hs_device_health health;
    struct hs_error error; /* the newest load failure or stuck device; code 0 where there is none to mend */
};

struct hs_engine_timings {
    int64_t queue_ns;     /* in hs_engine_acquire, a load included */
    int64_t inference_ns; /* from submit until done */
};

/* A slot in hand. The views are filled by a successful hs_engine_run and valid until hs_engine_release. */
struct hs_lease {
    uint8_t *input; /* input_h * input_w * 3 bytes, RGB, tightly packed, page-aligned */
    int input_h, input_w;
    int pictures;        /* how many hs_engine_run computes, at least 1; not above what was asked for */
    size_t input_stride; /* bytes from one to the next */
    int output_count;
    const struct hs_tensor_desc *descs;                  /* output_count of them: names, sizes */
    struct hs_tensor_view outputs[HS_MODEL_MAX_OUTPUTS]; /* of the first picture */
};

/* Copies options and spec (input_h, input_w and slots of the spec are ignored), starts the keeper. Opens and loads
 * nothing yet. HS_EINVAL for options out of their bounds. Caller frees with hs_engine_destroy. */
int hs_engine_create(const struct hs_engine_options *options, const struct hs_model_spec *spec,
                     struct hs_engine **ret_engine, struct hs_error *err);

/* No lease is out and no other call is running. Unloads and closes; a device that still holds a slot gets two
 * seconds to give it back, then all of it is left as it is until the process ends. NULL allowed. */
void hs_engine_destroy(struct hs_engine *engine);

/* Asks the keeper to load these shapes in this order, and returns at once; hs_engine_get_status tells how it goes.
 * At most max_copies are taken; none while the device is down. */
void hs_engine_start_loading(struct hs_engine *engine, const struct hs_engine_shape *shapes, size_t count);

/* Waits until no load is under way or wanted: 0 where at least one copy is loaded, the load's error where none could
 * be, HS_ETIMEOUT at the deadline. */
int hs_engine_wait_loaded(struct hs_engine *engine, int64_t deadline_ns, struct hs_error *err);

/* The input size to use for a picture that needs h x w: that size itself where it is loaded, or may be loaded without
 * pushing out a copy that was used in the last ten seconds; else the smallest loaded size that holds it; else `whole`,
 * which holds every picture. So pictures of many sizes do not make the engine load and unload for each of them: it ends
 * with the whole size and those that are asked for most. */
void hs_engine_choose_shape(struct hs_engine *engine, int h, int w, struct hs_engine_shape whole,
                            struct hs_engine_shape *ret_shape);

/* How long models stay loaded from now, as options.keep_alive_s; until it is said again. */
void hs_engine_set_keep_alive(struct hs_engine *engine, double seconds);

/* Unloads everything as soon as nothing is in use, and closes the device. The next request loads again. */
void hs_engine_unload(struct hs_engine *engine);

/* Waits, first come first served, for a slot of the model at this input size, which is loaded when it is not yet. (Who
 * waits for a load does not hold up those behind him whose shape is there.) `cancel` may be NULL; it outlives the
 * lease. HS_EBUSY: the queue is full. HS_ETIMEOUT, HS_ECANCELED: waited in vain. Else what opening or loading gave, or
 * why the device is down. */
int hs_engine_acquire(struct hs_engine *engine, int h, int w, int64_t deadline_ns, struct hs_cancel *cancel,
                      struct hs_lease **ret_lease, struct hs_error *err);

struct hs_engine_wish {
    int h, w;
    int count; /* pictures that are left, 1 or more: lease->pictures of them are to be put in */
    enum hs_priority priority;
    int64_t deadline_ns;
    struct hs_cancel *cancel;
};

/* The same with more to say. */
int hs_engine_acquire_some(struct hs_engine *engine, const struct hs_engine_wish *wish, struct hs_lease **ret_lease,
                           struct hs_error *err);

/* Runs the network on the lease's input until the deadline given at acquire, together with the pictures of other
 * requests where the device takes batches. After HS_ETIMEOUT, and HS_ELOST for a run that took too long, the slot stays
 * out of use until the device gives it back, and lease->input must not be touched. `ret_timings` may be NULL. */
int hs_engine_run(struct hs_lease *lease, struct hs_engine_timings *ret_timings, struct hs_error *err);

/* The views of one of the lease's pictures, lease->output_count of them; like lease->outputs, which are picture 0's. */
void hs_lease_outputs(const struct hs_lease *lease, int picture, struct hs_tensor_view *ret_views);

void hs_engine_release(struct hs_lease *lease); /* NULL allowed */

/* How much the device has to do: slots in use and requests that wait. Negative: it is down. */
int hs_engine_get_load(struct hs_engine *engine);

void hs_engine_get_status(struct hs_engine *engine, struct hs_engine_status *ret_status);
const char *hs_engine_state_name(enum hs_engine_state state); /* "idle", "ready" and so on */

#endif
