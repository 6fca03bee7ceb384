/* A model on one device, put together from the settings: the backend, the pack and its file, and a runner over both. */
#ifndef HS_SERVICE_MODEL_RUNNER_H
#define HS_SERVICE_MODEL_RUNNER_H

#include <stdbool.h>

#include "config/common.h"
#include "image/letterbox.h"
#include "infer/runner.h"
#include "models/store.h"

enum { HS_REFUSED_SIZE = 256, HS_RUNTIME_SIZE = 32 };

/* All pointers are borrowed for the life of what is made from them. */
struct hs_model_options {
    const struct hs_store *store;
    enum hs_task task;
    const char *model; /* a pack's name, or "auto" */
    const struct hs_common_settings *settings;
    const char *device;         /* instead of inference.device; NULL: that */
    const char *device_id;      /* instead of inference.device_id; NULL: that; "": any */
    struct hs_input_size input; /* largest input of a network with free sides; 0x0: the pack's */
    int border;                 /* pixels of the input, as in struct hs_letterbox_rule */
    bool prepare;               /* for all input sizes, when it is loaded */
    bool halved;                /* for hs_model_runner_half_size too */
    char *refused; /* HS_REFUSED_SIZE bytes for the name of the model's file if it is the reason of a failure; NULL */
    int batch;     /* most pictures of one run on a processor */
};

/* Refers to itself: it must not move. */
struct hs_model_runner {
    struct hs_model_choice choice; /* pack and file; may point to `pack` and `file` below */
    const char *model;             /* as the configuration writes it; the pack's own name for "auto" */
    const char *device;            /* as answers write it: "cpu", "hailo", "sim" */
    const struct hs_backend *backend;
    char *path; /* of the verified model file; NULL if simulated */
    struct hs_pack pack;
    struct hs_pack_file file;
    struct hs_input_size input; /* the largest input */
    bool free_size;             /* the input of a picture follows `rule`; else it is `input` */
    struct hs_letterbox_rule rule;
    struct hs_runner *runner;
};

/* Chooses the backend, finds and verifies the model's file and creates the runner; loads nothing yet. Messages name the
 * model and the remedy. The caller frees with hs_model_runner_finish. */
int hs_model_runner_init(struct hs_model_runner *runner, const struct hs_model_options *options, struct hs_error *err);
void hs_model_runner_finish(struct hs_model_runner *runner); /* a zeroed one is fine */

/* The input size for a picture: depends on the picture's size, the model and the settings alone. */
struct hs_input_size hs_model_runner_input_size(const struct hs_model_runner *runner, int orig_w, int orig_h);

/* A square input of half the sides, rounded up to the network's stride, for a look at a whole picture that costs a
 * quarter. If the input is not free, the only one. */
struct hs_input_size hs_model_runner_half_size(const struct hs_model_runner *runner);

static inline bool hs_model_runner_is_simulated(const struct hs_model_runner *runner)
{
    return runner->backend->traits & HS_BACKEND_SIMULATED;
}

static inline bool hs_model_runner_is_processor(const struct hs_model_runner *runner)
{
    return runner->backend->traits & HS_BACKEND_PROCESSOR;
}

/* The backend that the setting inference.device names, as packs write it: "auto" is "hailo" if such a device is
 * present, else "openvino". */
const char *hs_model_runner_backend_name(const char *device);

/* The version of that backend's runtime, by which the store chooses among files (hs_pack_find_file), written to dst.
 * NULL: unknown, or its files are the same for every version. */
const char *hs_model_runner_runtime(const char *backend, char dst[HS_RUNTIME_SIZE]);

/* The device that the options name, as inference.device. */
const char *hs_model_runner_device(const struct hs_model_options *options);

/* The folder of compiled models: inference.cache_dir, else one in the store. False: the path is too long. */
bool hs_model_runner_cache_dir(const struct hs_inference_settings *settings, const struct hs_store *store, char *dst,
                               size_t size);

/* The path in "sim:PATH"; NULL for any other device. */
const char *hs_model_runner_script(const char *device);

/* NULL for an empty text: settings have no NULL. */
static inline const char *hs_given(const char *text)
{
    return text[0] ? text : NULL;
}

#endif
