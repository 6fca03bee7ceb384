/* A runner is one model on one device. It decides which request uses the device next: a bounded queue, a bounded number
 * of slots in the device, a deadline on everything.
 *
 *     r = hs_runner_acquire(runner, &request, &lease, err);      waits for a free slot
 *     … writes picture i, 0 .. lease->pictures - 1, to lease->input + i * lease->input_stride …
 *     r = hs_runner_run(lease, &timings, err);                   waits for the device
 *     … reads hs_lease_outputs(lease, i, views) …
 *     hs_runner_release(lease);                                  always, whatever run returned
 *
 * A request for several pictures (the faces of one photograph) gets as many as fit, and acquires the rest later.
 * Leases of different requests may share the batch of one slot.
 *
 * The model is loaded once. If its sides are free, one loaded model takes every input size, so that the answer to a
 * request never depends on earlier ones. One thread of the runner, the loader, opens, loads, unloads and closes; it
 * also collects slots that a device gave back after their deadline, and brings back a device that is down. All
 * functions may be called from any thread; a lease is used by one thread at a time. */
#ifndef HS_INFER_RUNNER_H
#define HS_INFER_RUNNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "hs/backend.h"
#include "hs/status.h"
#include "hs/tensor.h"

struct hs_runner;

struct hs_runner_options {
    const struct hs_backend *backend; /* hs_backend_hailo_absent until its module is found */
    const char *device_id;            /* as in struct hs_device_options; strings are copied */
    const char *group;
    const char *cache_dir;
    const char *script;
    int threads;
    int slots;             /* as in struct hs_model_spec; 0: the backend's choice. At most HS_MODEL_MAX_SLOTS */
    int batch;             /* most pictures in a slot, 0..HS_MODEL_MAX_BATCH; 0 and 1: one. The model may allow fewer */
    int64_t batch_wait_ns; /* longest wait of a picture for others to fill its batch while the device is idle */
    int warmup;            /* runs after a load, before the first use */
    int64_t run_timeout_ns;   /* a run that takes longer is a failure of the device; 0: no such bound */
    int failures_max;         /* runs in a row that fail until the device counts as down; 0: no such bound */
    int64_t retry_max_ns;     /* a device that is down is tried again after a tenth of a second, and then after pauses
                                 that double up to this; 0: five seconds */
    int queue_max;            /* requests that may wait for a slot; one more gets HS_EBUSY */
    int64_t restart_above;    /* resident bytes of this process above which the model is unloaded, the device closed and
                                 opened, and the model loaded again. Requests wait meanwhile. 0: never */
    int64_t restart_pause_ns; /* least time between two restarts */
    /* Called on the loader's thread, without a lock, after a restart has closed the device: resident memory before and
     * now. It must not call the runner. May be NULL. */
    void (*on_restart)(void *arg, int64_t before_bytes, int64_t after_bytes);
    void *on_restart_arg;
    void (*on_warning)(void *arg, const char *line); /* as in struct hs_device_options, on the loader's thread */
    void *on_warning_arg;
    double keep_alive_s; /* negative: loaded for good; 0: unloaded when idle; else unloaded, and the device closed,
                            after so many seconds without use */
};

/* FAILED: the device is down, after a load failed, a run returned HS_ELOST, failures_max runs failed in a row, or every
 * slot is stuck. Requests then fail at once, and the loader opens, loads and runs again until that works. */
enum hs_runner_state {
    HS_RUNNER_IDLE, /* not loaded; the next request loads */
    HS_RUNNER_LOADING,
    HS_RUNNER_READY,
    HS_RUNNER_UNLOADING,
    HS_RUNNER_FAILED,
};

enum hs_priority { HS_INTERACTIVE, HS_BACKGROUND }; /* interactive requests leave the queue first */

/* A snapshot, and counters since creation. */
struct hs_runner_status {
    enum hs_runner_state state;
    bool loaded;
    const char *backend; /* its name */
    char device[64];     /* from its probe when the device was opened; "" before */
    char version[64];
    int slots;  /* slots that may be in the device at the same time */
    int in_use; /* slots held by leases or stuck */
    int stuck;  /* slots that the device did not give back by their deadline */
    bool hung;  /* down because of that */
    int waiting;
    uint64_t runs, pictures, failures, timeouts, refusals; /* pictures: in all runs; refusals: HS_EBUSY */
    uint64_t loads, restarts;
    int64_t run_ns;       /* sum over all runs, from submission to their end */
    int64_t last_load_ns; /* duration of the latest load */
    bool has_health;      /* the device is open and answered some seconds ago */
    struct hs_device_health health;
    struct hs_error error; /* the failure that is not repaired yet; code 0: none */
};

struct hs_runner_timings {
    int64_t queue_ns;     /* in hs_runner_acquire, a load included */
    int64_t inference_ns; /* in hs_runner_run */
};

struct hs_slot_request {
    int h, w;  /* input size in pixels: any up to the spec's if the model's size is free, else the spec's */
    int count; /* pictures wanted, at least 1 */
    enum hs_priority priority;
    int64_t deadline_ns;
    struct hs_cancel *cancel; /* may be NULL; outlives the lease */
};

/* Some pictures of a slot. The views are filled by a successful hs_runner_run and valid until hs_runner_release. */
struct hs_lease {
    uint8_t *input; /* input_h * input_w * 3 bytes a picture, RGB, packed */
    int input_h, input_w;
    int pictures;        /* that hs_runner_run computes, 1 to the request's count */
    size_t input_stride; /* bytes from one picture to the next */
    int output_count;
    const struct hs_tensor_desc *descs;                  /* output_count names and sizes, after a successful run */
    struct hs_tensor_view outputs[HS_MODEL_MAX_OUTPUTS]; /* of the first picture */
};

/* Copies options and spec (slots and batch of the spec are ignored) and starts the loader; loads nothing yet.
 * HS_EINVAL: an option is out of bounds. The caller frees with hs_runner_destroy. */
int hs_runner_create(const struct hs_runner_options *options, const struct hs_model_spec *spec,
                     struct hs_runner **ret_runner, struct hs_error *err);

/* No lease is out and no other call is running. Unloads and closes within a few seconds: memory of a device that still
 * holds a slot, or of a backend that does not return, is left alone until the process ends. NULL allowed. */
void hs_runner_destroy(struct hs_runner *runner);

/* True if a destroyed runner could not be freed, because a thread of it or of its device is still inside the backend.
 * The process must then end by _exit, so that the destructors of the backend's libraries do not run beside it. */
bool hs_runner_any_leaked(void);

/* Starts to load and returns at once. Calls off an unload that waits. A device that is down is left to the loader. */
void hs_runner_preload(struct hs_runner *runner);

/* Waits until no load is under way: 0 if the model is loaded, else the error of the load; HS_ETIMEOUT at the deadline.
 */
int hs_runner_wait_loaded(struct hs_runner *runner, int64_t deadline_ns, struct hs_error *err);

/* Changes options.keep_alive_s. */
void hs_runner_set_keep_alive(struct hs_runner *runner, double seconds);

/* Unloads as soon as nothing is in use, and closes the device. The next request loads again. */
void hs_runner_unload(struct hs_runner *runner);

/* Waits, first come first served within a priority, for a slot of the model, which is loaded if it is not yet.
 * HS_EBUSY: the queue is full. HS_ETIMEOUT, HS_ECANCELED: no slot came free. HS_EINVAL: the model does not take this
 * size. Else the error of opening or loading, or the reason why the device is down. */
int hs_runner_acquire(struct hs_runner *runner, const struct hs_slot_request *request, struct hs_lease **ret_lease,
                      struct hs_error *err);

/* Runs the network on the lease's input, together with other leases of the slot, until the deadline of the request.
 * After HS_ETIMEOUT, and HS_ELOST for a run that took too long, the slot stays out of use until the device gives it
 * back, and lease->input must not be touched. `ret_timings` may be NULL. */
int hs_runner_run(struct hs_lease *lease, struct hs_runner_timings *ret_timings, struct hs_error *err);

/* Fills lease->output_count views of one picture. */
void hs_lease_outputs(const struct hs_lease *lease, int picture, struct hs_tensor_view *ret_views);

void hs_runner_release(struct hs_lease *lease); /* NULL allowed */

/* Slots in use and requests that wait; negative: the device is down. */
int hs_runner_get_load(struct hs_runner *runner);

void hs_runner_get_status(struct hs_runner *runner, struct hs_runner_status *ret_status);
const char *hs_runner_state_name(enum hs_runner_state state); /* "idle", "ready" and so on */

#endif
