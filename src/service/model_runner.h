/* A model on one device, built from the settings: the backend, the pack and its file, and a runner for them. */
#ifndef HS_SERVICE_MODEL_RUNNER_H
#define HS_SERVICE_MODEL_RUNNER_H

#include <stdbool.h>

#include "config/common.h"
#include "image/letterbox.h"
#include "infer/runner.h"
#include "models/store.h"

enum { HS_REFUSED_SIZE = 256, HS_RUNTIME_SIZE = 32 };

/* All pointers are borrowed for the lifetime of the objects made from these options. */
struct hs_model_options {
    const struct hs_store *store;
    enum hs_task task;
    const char *model; /* a pack's name, or "auto" */
    const struct hs_common_settings *settings;
    const char *device;         /* overrides inference.device unless NULL */
    const char *device_id;      /* overrides inference.device_id unless NULL; "": any */
    struct hs_input_size input; /* largest input of a network with free input size; 0x0: the pack's */
    int border;                 /* border in input pixels, as in struct hs_letterbox_rule */
    bool prepare;               /* prepares all input sizes on load */
    bool half_size;             /* prepares hs_model_runner_half_size too */
    char *refused; /* HS_REFUSED_SIZE bytes for the name of the model file if it causes a failure; may be NULL */
    int batch;     /* most pictures per run on a processor */
};

/* Holds pointers into itself: must not move. */
struct hs_model_runner {
    struct hs_model_choice choice; /* pack and file; may point to `pack` and `file` below */
    const char *model;             /* name as configured; the pack's own name for "auto" */
    const char *device;            /* name in answers: "cpu", "hailo", "sim" */
    const struct hs_backend *backend;
    char *path; /* verified model file; NULL if simulated */
    struct hs_pack pack;
    struct hs_pack_file file;
    struct hs_input_size input; /* largest input */
    bool free_size;             /* the input size of a picture follows `rule`; else it is `input` */
    struct hs_letterbox_rule rule;
    struct hs_runner *runner;
};

/* Chooses the backend, finds and verifies the model file and creates the runner. Loads nothing.
 * Messages name the model and the remedy. Caller frees with hs_model_runner_finish. */
int hs_model_runner_init(struct hs_model_runner *runner, const struct hs_model_options *options, struct hs_error *err);
void hs_model_runner_finish(struct hs_model_runner *runner); /* a zeroed runner is allowed */

/* Returns the input size for a picture. Depends only on the picture's size, the model and the settings. */
struct hs_input_size hs_model_runner_input_size(const struct hs_model_runner *runner, int orig_w, int orig_h);

/* Returns a square input with sides of half the length, rounded up to the network's stride: a pass
 * over the whole picture at a quarter of the cost. If the input size is fixed, returns that. */
struct hs_input_size hs_model_runner_half_size(const struct hs_model_runner *runner);

static inline bool hs_model_runner_is_simulated(const struct hs_model_runner *runner)
{
    return runner->backend->traits & HS_BACKEND_SIMULATED;
}

static inline bool hs_model_runner_is_processor(const struct hs_model_runner *runner)
{
    return runner->backend->traits & HS_BACKEND_PROCESSOR;
}

/* Returns the backend for a value of inference.device, as packs name it. "auto" is "hailo" if such
 * a device is present, else "openvino". */
const char *hs_model_runner_backend_name(const char *device);

/* Writes the version of the backend's runtime to dst and returns dst; the store uses it to choose
 * among files (hs_pack_find_file). Returns NULL if it is unknown or if the files are the same for
 * every version. */
const char *hs_model_runner_runtime(const char *backend, char dst[HS_RUNTIME_SIZE]);

/* Returns the device that the options select, in the form of inference.device. */
const char *hs_model_runner_device(const struct hs_model_options *options);

/* Writes the folder of compiled models: inference.cache_dir, or else one in the store. Returns
 * false if the path is too long. */
bool hs_model_runner_cache_dir(const struct hs_inference_settings *settings, const struct hs_store *store, char *dst,
                               size_t size);

/* Returns the path in "sim:PATH"; NULL for any other device. */
const char *hs_model_runner_script(const char *device);

/* Returns NULL for an empty text, because settings cannot be NULL. */
static inline const char *hs_null_if_empty(const char *text)
{
    return text[0] ? text : NULL;
}

#endif
