/* The backend interface: one constant table that describes a kind of device and its functions. A backend owns a device
 * and nothing else; the runner (src/infer) owns queues, threads and policy. A backend sees only include/hs and
 * src/base.
 *
 * Life: probe -> open -> load -> { resize, input, submit, wait, output }* -> unload -> close.
 * A model has `slots` independent places for work in flight. One slot is used by one thread at a time; different slots
 * of one model may be used from different threads at once. load, unload, open and close are called by one thread at a
 * time for one device. After wait() has returned HS_ETIMEOUT the slot still belongs to the device: the runner calls
 * wait() again later and does not touch the slot's memory before it has returned something else. */
#ifndef HS_BACKEND_H
#define HS_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"
#include "hs/tensor.h"

/* The one symbol that a backend module exports: `const struct hs_backend hs_backend_entry`. */
#define HS_BACKEND_SYMBOL "hs_backend_entry"

enum {
    HS_BACKEND_ABI = 6,
    HS_MODEL_MAX_OUTPUTS = 16,
    HS_MODEL_MAX_SLOTS = 16,
    HS_MODEL_MAX_BATCH = 32,
    HS_PROBE_MAX_DEVICES = 16,
    HS_DEVICE_ID_SIZE = 32,
};

/* A device that was opened, and a model loaded on it. Each backend defines its own. */
struct hs_device;
struct hs_model;

struct hs_backend_probe {
    bool available; /* a device is here and could be opened */
    int device_count;
    char ids[HS_PROBE_MAX_DEVICES][HS_DEVICE_ID_SIZE]; /* for hs_device_options.device_id; "": no ids */
    char device[64];  /* what it is, for people: "AMD EPYC, 2 cores", "Hailo 0000:01:00.0" */
    char version[64]; /* of the runtime: "OpenVINO 2026.4.1" */
    char reason[200]; /* if available is false: why, and how to fix it */
};

/* Which number format the network is computed in. HS_PRECISION_AUTO: the fastest one that costs no accuracy worth
 * mentioning. HS_PRECISION_F32: full float32. HS_PRECISION_FAST: the fastest one that the device has. */
enum hs_precision { HS_PRECISION_AUTO, HS_PRECISION_F32, HS_PRECISION_FAST };

/* What a network finds. Its outputs tell by themselves; only a device that makes them up goes by this. */
enum hs_finding { HS_FINDS_POSES, HS_FINDS_FACES, HS_FINDS_EMBEDDINGS };

struct hs_device_options {
    const char *device_id; /* NULL: any */
    const char *group;     /* only `hailo`: programs that open it in one group share it; NULL: as its maker's do */
    const char *cache_dir; /* folder for compiled models; NULL: no cache. Exists and is writable. */
    const char *script;    /* only `sim`: the file that says what it shall do; NULL: its ordinary way */
    int threads;           /* processor threads that this device may use in all; 0: as many as there are cores */
    /* Called during open and load with a line for the log, about something that did no harm. NULL: not wanted. */
    void (*on_warning)(void *arg, const char *line);
    void *on_warning_arg;
};

struct hs_input_size {
    int h, w; /* pixels */
};

struct hs_model_spec {
    const char *path;                  /* file to load; verified by the caller */
    int input_h, input_w;              /* input size in pixels; with free_size the largest one that will be used */
    bool free_size;                    /* the network takes other sizes too, if the backend has `resize` */
    const struct hs_input_size *sizes; /* with free_size: size_count sizes that are to be ready for use after load */
    int size_count;
    int slots; /* wanted slots, 1..HS_MODEL_MAX_SLOTS; the model may get fewer (hs_model_info.slots) */
    int batch; /* wanted pictures a slot, 1..HS_MODEL_MAX_BATCH; may get fewer (hs_model_info.batch) */
    enum hs_finding finding;
    enum hs_precision precision;
    bool free_threads;     /* the system may move the network's threads; else each one stays on a processor core */
    float mean[3], std[3]; /* (v - mean) / std a channel on RGB 0..255; backends with it built in ignore both */
    bool bgr;              /* the network wants its channels in the order B, G, R; input slots are RGB all the same */
};

/* Valid until the model is unloaded. A picture is uint8 NHWC RGB, packed: h * w * 3 bytes. A slot holds up to `batch`
 * of them, each `input_stride` bytes after the one before; outputs are those of one picture. */
struct hs_model_info {
    int input_h, input_w; /* the only size; with free_size the largest one */
    bool free_size;       /* `resize` works */
    int slots, batch;
    size_t input_stride;
    int output_count;
    struct hs_tensor_desc outputs[HS_MODEL_MAX_OUTPUTS]; /* with free_size: as for input_h x input_w */
};

struct hs_device_health {
    bool ok;
    bool has_temperature;
    float temperature_c;
    char firmware[32]; /* its version, "5.1.1"; "": it tells none */
    char note[200];
};

/* Properties of a kind of device by which others decide, so that no one compares names. */
enum hs_backend_traits {
    HS_BACKEND_PROCESSOR = 1 << 0,  /* runs on the processor of this machine: can replace a device that is down, and
                                       gives memory back if it is closed and opened again */
    HS_BACKEND_FIXED_SIZE = 1 << 1, /* a model file is compiled for one input size, whatever its network could take */
    HS_BACKEND_SIMULATED = 1 << 2,  /* makes answers up: needs no model file, and closing it costs nothing */
};

struct hs_backend {
    uint32_t abi;       /* HS_BACKEND_ABI; checked before anything else is read */
    const char *name;   /* of the backend, as packs write it: "openvino" */
    const char *device; /* of its kind of device, as answers and metrics write it: "cpu" */
    unsigned traits;    /* HS_BACKEND_… */
    int default_slots;  /* slots a model gets if the settings leave it open; 0: as many as the backend likes */

    /* Looks without opening or changing anything. Never fails: what is missing goes into the answer. `options` may be
     * NULL; only its script is looked at. */
    void (*probe)(const struct hs_device_options *options, struct hs_backend_probe *ret_probe);

    int (*open)(const struct hs_device_options *options, struct hs_device **ret_device, struct hs_error *err);
    void (*close)(struct hs_device *device); /* NULL allowed; all its models are unloaded before */

    int (*load)(struct hs_device *device, const struct hs_model_spec *spec, struct hs_model **ret_model,
                struct hs_error *err);
    void (*unload)(struct hs_model *model); /* NULL allowed; no slot is in flight */
    const struct hs_model_info *(*info)(const struct hs_model *model);

    /* Sets the size of the slot's next pictures, at most info->input_h x info->input_w. NULL, or not called, if the
     * model's size is not free. The slot is not in flight. */
    int (*resize)(struct hs_model *model, int slot, int h, int w, struct hs_error *err);

    /* The slot's input memory, page-aligned, the same address for the model's whole life. */
    uint8_t *(*input)(struct hs_model *model, int slot);

    /* Starts the network on the first `count` pictures of the slot's input, 1..batch. Returns at once. */
    int (*submit)(struct hs_model *model, int slot, int count, struct hs_error *err);

    /* Waits until the slot is done or the monotonic clock reaches deadline_ns. HS_ETIMEOUT: still running. */
    int (*wait)(struct hs_model *model, int slot, int64_t deadline_ns, struct hs_error *err);

    /* Memory of output `index` of one of the submitted pictures, from 0, of a slot that is done; valid until the slot's
     * next submit. */
    const void *(*output)(struct hs_model *model, int slot, int picture, int index);

    /* Descriptions of the outputs of a slot that is done, info->output_count of them; valid as long as their memory.
     * NULL: info->outputs, whatever the size. */
    const struct hs_tensor_desc *(*outputs)(const struct hs_model *model, int slot);

    /* How the device is now, for which it may have to be asked, which takes a while. Called by the thread that loads
     * and closes, also while slots are in flight. May be NULL: the device has nothing to say. */
    int (*health)(struct hs_device *device, struct hs_device_health *ret_health, struct hs_error *err);
};

#endif
