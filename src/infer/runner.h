/* A runner is one model on one device. It schedules requests onto the device with a bounded queue,
 * a bounded number of slots in the device, and a deadline for every wait.
 *
 *     r = hs_runner_acquire(runner, &request, &lease, err);      waits for a free slot
 *     … writes picture i, 0 .. lease->pictures - 1, to lease->input + i * lease->input_stride …
 *     r = hs_runner_run(lease, &timings, err);                   waits for the device
 *     … reads hs_lease_outputs(lease, i, views) …
 *     hs_runner_release(lease);                                  always, whatever run returned
 *
 * A request for several pictures (the faces of one photograph) gets as many as fit into a slot, and
 * acquires the rest later. Leases of different requests may share the batch of one slot.
 *
 * The model is loaded once. If its input size is free, one loaded model takes every size, so the
 * answer to a request never depends on earlier requests. One thread of the runner, the loader,
 * opens, loads, unloads and closes; it also collects slots that a device returned after their
 * deadline, and recovers a device that is down. Any thread may call these functions; one thread at
 * a time uses a lease. */
#ifndef HS_INFER_RUNNER_H
#define HS_INFER_RUNNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/metrics.h"
#include "hs/backend.h"
#include "hs/status.h"
#include "hs/tensor.h"

struct hs_runner;

struct hs_runner_options {
    const struct hs_backend *backend; /* hs_backend_hailo_absent if its module was not found */
    const char *device_id;            /* as in struct hs_device_options; strings are copied */
    const char *group;
    const char *cache_dir;
    const char *script;
    int threads;
    int slots;             /* as in struct hs_model_spec; 0: the backend's default. At most HS_MODEL_MAX_SLOTS */
    int batch;             /* most pictures in a slot, 0..HS_MODEL_MAX_BATCH; 0 and 1: one. The model may allow fewer */
    int64_t batch_wait_ns; /* longest wait of a picture for others to fill its batch while the device is idle */
    int warmup;            /* runs after a load, before the first use */
    int64_t run_timeout_ns;   /* a run that takes longer counts as a failure of the device; 0: no limit */
    int failures_max;         /* failed runs in a row after which the device is down; 0: no limit */
    int64_t retry_max_ns;     /* first retry of a device that is down: after 0.1 s; then the pause doubles up to this
                               * value. 0: five seconds */
    int queue_max;            /* requests that may wait for a slot; further ones fail with HS_EBUSY */
    int64_t restart_above;    /* resident bytes of this process above which the model is unloaded, the device closed
                               * and opened, and the model loaded again. Requests wait during that time. 0: never */
    int64_t restart_pause_ns; /* least time between two restarts */
    /* Called on the loader's thread, without a lock, after a restart has closed the device, with
     * the resident memory before the restart and now. It must not call the runner. May be NULL. */
    void (*on_restart)(void *arg, int64_t before_bytes, int64_t after_bytes);
    void *on_restart_arg;
    void (*on_warning)(void *arg, const char *line); /* as in struct hs_device_options; called on the loader's thread */
    void *on_warning_arg;
    double keep_alive_s; /* negative: never unloaded; 0: unloaded when idle; else the model is unloaded, and the
                          * device closed, after this time without use */
};

/* FAILED: the device is down, because a load failed, a run returned HS_ELOST, failures_max runs in
 * a row failed, or every slot is stuck. Requests then fail at once, and the loader opens, loads and
 * runs until an attempt succeeds. */
enum hs_runner_state {
    HS_RUNNER_IDLE, /* not loaded; the next request loads */
    HS_RUNNER_LOADING,
    HS_RUNNER_READY,
    HS_RUNNER_UNLOADING,
    HS_RUNNER_FAILED,
};

enum hs_priority { HS_INTERACTIVE, HS_BACKGROUND }; /* interactive requests leave the queue first */

/* A snapshot of the state, and counters since creation. */
struct hs_runner_status {
    enum hs_runner_state state;
    bool loaded;
    const char *backend; /* name of the backend */
    char device[64];     /* from the probe when the device was opened; "" before */
    char version[64];
    int slots;  /* slots that may run in the device at the same time */
    int in_use; /* slots held by leases or stuck */
    int stuck;  /* slots that the device did not return by their deadline */
    bool hung;  /* the device is down because it did not return slots */
    int waiting;
    uint64_t runs, pictures, failures, timeouts, refusals; /* pictures: in all runs; refusals: HS_EBUSY results */
    uint64_t loads, restarts;
    uint64_t downs, recoveries; /* times that the device went down, and that it was recovered */
    int64_t run_ns;             /* sum over all runs, from submission to result */
    int64_t busy_ns;            /* time in which the device had work; overlapping runs count once */
    int64_t last_load_ns;       /* duration of the latest load */
    bool has_health;            /* the device is open, and its latest health poll succeeded */
    struct hs_device_health health;
    struct hs_error error; /* the failure from which the runner has not recovered yet; code 0: none */
};

struct hs_runner_timings {
    int64_t queue_ns;     /* time in hs_runner_acquire, including a load */
    int64_t inference_ns; /* time in hs_runner_run */
};

struct hs_slot_request {
    int h, w;  /* input size in pixels: up to the spec's if the model's size is free, else equal to the spec's */
    int count; /* pictures wanted, at least 1 */
    enum hs_priority priority;
    int64_t deadline_ns;
    struct hs_cancel *cancel; /* may be NULL; outlives the lease */
};

/* Part of a slot. hs_runner_run fills the views on success; they are valid until hs_runner_release. */
struct hs_lease {
    uint8_t *input; /* input_h * input_w * 3 bytes per picture, RGB, packed */
    int input_h, input_w;
    int pictures;        /* pictures in this lease, 1 up to the request's count */
    size_t input_stride; /* bytes from one picture to the next */
    int output_count;
    const struct hs_tensor_desc *descs;                  /* output_count names and sizes, after a successful run */
    struct hs_tensor_view outputs[HS_MODEL_MAX_OUTPUTS]; /* views of the first picture */
};

/* Copies options and spec (slots and batch of the spec are ignored) and starts the loader thread;
 * does not load the model yet. HS_EINVAL: an option is out of bounds. The caller frees with
 * hs_runner_destroy. */
int hs_runner_create(const struct hs_runner_options *options, const struct hs_model_spec *spec,
                     struct hs_runner **ret_runner, struct hs_error *err);

/* Unloads the model, closes the device and frees the runner; returns within a few seconds. All
 * leases must have been released, and no other call may be running. If the device still holds a
 * slot, or the backend does not return, their memory stays allocated until the process ends. NULL
 * allowed. */
void hs_runner_destroy(struct hs_runner *runner);

/* Returns true if a destroyed runner could not be freed because one of its threads, or of its
 * device's, is still inside the backend. The process must then end by _exit, so that destructors of
 * the backend's libraries do not run concurrently with that thread. */
bool hs_runner_any_leaked(void);

/* Starts to load and returns at once. Cancels a pending unload. If the device is down, only the
 * loader's next attempt loads the model. */
void hs_runner_preload(struct hs_runner *runner);

/* Waits until no load is under way. Returns 0 if the model is loaded, or was loaded meanwhile; else
 * the error of the load; HS_ETIMEOUT at the deadline. */
int hs_runner_wait_loaded(struct hs_runner *runner, int64_t deadline_ns, struct hs_error *err);

/* Changes options.keep_alive_s. */
void hs_runner_set_keep_alive(struct hs_runner *runner, double seconds);

/* Unloads the model and closes the device as soon as no slot is in use. The next request loads it again. */
void hs_runner_unload(struct hs_runner *runner);

/* Waits for a slot of the model, first come first served within a priority, and loads the model if
 * it is not loaded. HS_EBUSY: the queue is full. HS_ETIMEOUT: no slot was free by the deadline.
 * HS_ECANCELED: request->cancel was set. HS_EINVAL: the model does not accept this size. Else the
 * error of opening or loading, or the reason why the device is down. The caller returns the lease
 * with hs_runner_release. */
int hs_runner_acquire(struct hs_runner *runner, const struct hs_slot_request *request, struct hs_lease **ret_lease,
                      struct hs_error *err);

/* Runs the model on the lease's input, together with other leases of the slot, until the request's
 * deadline. After HS_ETIMEOUT, and after HS_ELOST for a run that took too long, the slot stays out
 * of use until the device returns it, and lease->input must not be touched. `ret_timings` may be
 * NULL. */
int hs_runner_run(struct hs_lease *lease, struct hs_runner_timings *ret_timings, struct hs_error *err);

/* Fills ret_views with the lease->output_count outputs of one picture. */
void hs_lease_outputs(const struct hs_lease *lease, int picture, struct hs_tensor_view *ret_views);

void hs_runner_release(struct hs_lease *lease); /* NULL allowed */

/* Returns the number of slots in use plus requests that wait; -1 if the device is down. */
int hs_runner_get_load(struct hs_runner *runner);

void hs_runner_get_status(struct hs_runner *runner, struct hs_runner_status *ret_status);

/* Failed runs of all runners, by code. */
extern struct hs_counters hs_device_errors;

const char *hs_runner_state_name(enum hs_runner_state state); /* returns "idle", "ready" and so on */

#endif
