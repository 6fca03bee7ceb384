/* The backend interface: one constant table that describes a kind of device and its functions. A backend owns a device
 * and nothing else; the runner (src/infer) owns queues, threads and policy. A backend sees only include/hs and
 * src/base.
 *
 * Order of calls: probe -> open -> load -> { resize, input, submit, wait, output }* -> unload -> close.
 * A model has `slots` independent places for work in flight. One thread at a time uses a slot; several threads may use
 * different slots of one model at once. For one device, one thread at a time calls load, unload, open and close. After
 * wait() returns HS_ETIMEOUT the slot still belongs to the device: the runner calls wait() again later and does not
 * touch the slot's memory until wait() returns another code. */
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

/* An open device, and a model loaded on it. Each backend defines both structs. */
struct hs_device;
struct hs_model;

struct hs_backend_probe {
    bool available; /* a device is present and can be opened */
    int device_count;
    char ids[HS_PROBE_MAX_DEVICES][HS_DEVICE_ID_SIZE]; /* for hs_device_options.device_id; "": no ids */
    char device[64];  /* description for people: "AMD EPYC, 2 cores", "Hailo 0000:01:00.0" */
    char version[64]; /* of the runtime: "OpenVINO 2026.4.1" */
    char reason[200]; /* if available is false: the cause and the fix */
};

/* Number format of the network's arithmetic. HS_PRECISION_AUTO: the fastest format without a notable loss of accuracy.
 * HS_PRECISION_F32: full float32. HS_PRECISION_FAST: the fastest format of the device. */
enum hs_precision { HS_PRECISION_AUTO, HS_PRECISION_F32, HS_PRECISION_FAST };

/* The task of a network. Only a backend that makes its outputs up reads this; otherwise the outputs show the task. */
enum hs_output_kind { HS_OUTPUT_POSES, HS_OUTPUT_FACES, HS_OUTPUT_EMBEDDINGS };

struct hs_device_options {
    const char *device_id; /* NULL: any */
    const char *group;     /* only `hailo`: programs that use the same group share the device; NULL: Hailo's default */
    const char *cache_dir; /* folder for compiled models; NULL: no cache. Exists and is writable. */
    const char *script;    /* only `sim`: path of the script of its behaviour; NULL: default behaviour */
    int threads;           /* processor threads that this device may use in total; 0: one per core */
    /* Called during open and load with a log line about a harmless problem. NULL: the line is dropped. */
    void (*on_warning)(void *arg, const char *line);
    void *on_warning_arg;
};

struct hs_input_size {
    int h, w; /* pixels */
};

struct hs_model_spec {
    const char *path;                  /* file to load; verified by the caller */
    int input_h, input_w;              /* input size in pixels; with free_size the largest one that will be used */
    bool free_size;                    /* the network also accepts other sizes, if the backend has `resize` */
    const struct hs_input_size *sizes; /* with free_size: size_count sizes that load prepares */
    int size_count;
    int slots; /* requested slots, 1..HS_MODEL_MAX_SLOTS; the model may get fewer (hs_model_info.slots) */
    int batch; /* requested pictures per slot, 1..HS_MODEL_MAX_BATCH; may get fewer (hs_model_info.batch) */
    enum hs_output_kind output_kind;
    enum hs_precision precision;
    bool free_threads;     /* the system may move the network's threads; else each is pinned to a processor core */
    float mean[3], std[3]; /* (v - mean) / std per channel on RGB 0..255; ignored if compiled into the model */
    bool bgr;              /* the network expects the channel order B, G, R; input slots are RGB regardless */
};

/* Valid until the model is unloaded. A picture is uint8 NHWC RGB, packed: h * w * 3 bytes. A slot holds up to `batch`
 * pictures, each `input_stride` bytes after the previous one; `outputs` describes the outputs of one picture. */
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
    char firmware[32]; /* version, "5.1.1"; "": unknown */
    char note[200];
};

/* Properties of a kind of device. Callers test these instead of comparing names. */
enum hs_backend_traits {
    HS_BACKEND_PROCESSOR = 1 << 0,  /* runs on the processor of this machine: can replace a device that is down, and
                                       frees memory if it is closed and opened again */
    HS_BACKEND_FIXED_SIZE = 1 << 1, /* a model file is compiled for one input size, even if its network allows more */
    HS_BACKEND_SIMULATED = 1 << 2,  /* makes outputs up: needs no model file, and closing it costs nothing */
};

struct hs_backend {
    uint32_t abi;       /* HS_BACKEND_ABI; checked before anything else is read */
    const char *name;   /* of the backend, as in packs: "openvino" */
    const char *device; /* of its kind of device, as in answers and metrics: "cpu" */
    unsigned traits;    /* HS_BACKEND_… */
    int default_slots;  /* slots per model if the settings do not specify it; 0: the backend chooses */

    /* Detects devices without opening or changing anything. Never fails: *ret_probe reports what is missing. `options`
     * may be NULL; only its `script` is used. */
    void (*probe)(const struct hs_device_options *options, struct hs_backend_probe *ret_probe);

    int (*open)(const struct hs_device_options *options, struct hs_device **ret_device, struct hs_error *err);
    void (*close)(struct hs_device *device); /* NULL allowed; the caller has unloaded all its models */

    int (*load)(struct hs_device *device, const struct hs_model_spec *spec, struct hs_model **ret_model,
                struct hs_error *err);
    void (*unload)(struct hs_model *model); /* NULL allowed; no slot is in flight */
    const struct hs_model_info *(*info)(const struct hs_model *model);

    /* Sets the size of the slot's next pictures, at most info->input_h x info->input_w. The slot is not in flight.
     * NULL, or never called, if the model's input size is fixed. */
    int (*resize)(struct hs_model *model, int slot, int h, int w, struct hs_error *err);

    /* Returns the slot's input memory, page-aligned. The address is the same until the model is unloaded. */
    uint8_t *(*input)(struct hs_model *model, int slot);

    /* Starts the network on the first `count` pictures of the slot's input, 1..batch. Returns at once. */
    int (*submit)(struct hs_model *model, int slot, int count, struct hs_error *err);

    /* Waits until the slot is done or the monotonic clock reaches deadline_ns. HS_ETIMEOUT if it still runs. */
    int (*wait)(struct hs_model *model, int slot, int64_t deadline_ns, struct hs_error *err);

    /* Returns the memory of output `index` of the submitted picture `picture` (both from 0). The slot is done. Valid
     * until the slot's next submit. */
    const void *(*output)(struct hs_model *model, int slot, int picture, int index);

    /* Returns descriptions of the outputs of a slot that is done, info->output_count of them; valid as long as the
     * outputs' memory. NULL: info->outputs describes the outputs for every input size. */
    const struct hs_tensor_desc *(*outputs)(const struct hs_model *model, int slot);

    /* Reports the state of the device. May query the device, which takes a while. Called by the thread that loads and
     * closes, also while slots are in flight. May be NULL: the device reports no health. */
    int (*health)(struct hs_device *device, struct hs_device_health *ret_health, struct hs_error *err);
};

#endif
