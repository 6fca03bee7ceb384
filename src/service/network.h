/* From settings to a network that can be asked: which backend, which pack and file, and an engine over both. */
#ifndef HS_SERVICE_NETWORK_H
#define HS_SERVICE_NETWORK_H

#include <stdbool.h>

#include "config/common.h"
#include "infer/engine.h"
#include "models/store.h"

enum { HS_REFUSED_SIZE = 256 };

struct hs_network_options {
    const struct hs_store *store; /* borrowed, as all of this is, for the network's life */
    enum hs_task task;
    const char *model;                             /* a pack's name, or "auto" */
    const struct hs_inference_settings *inference; /* precision, threads, bounds; and the device, where that is not */
    const char *device;                            /* said here: as inference.device. NULL */
    const char *device_id;                         /* NULL: inference.device_id; "": any */
    const struct hs_device_settings *policy;       /* what to do with a device that fails, and batches */
    const struct hs_performance_settings *performance;
    char *refused; /* NULL, or room of HS_REFUSED_SIZE: gets the model's file, where it is that which cannot be used */
    int batch; /* most pictures of one request at a time, on a processor */
    double keep_alive_s; /* as in struct hs_engine_options */
};

struct hs_network {
    struct hs_model_choice choice; /* where simulated: `stand_in` and its file; Hailo: `stand_in` */
    const char *model;  /* as the configuration writes it; the pack's own name for "auto" */
    const char *device; /* what answers call it: "cpu", "hailo", "sim" */
    char *path;         /* of the verified model file; NULL where simulated */
    bool simulated;     /* the scripted device runs instead of a network */
    /* Where simulated: the chosen pack and file, but with outputs and vectors as the scripted device has them. */
    struct hs_pack stand_in;
    struct hs_pack_file stand_in_file;
    struct hs_engine *engine;
};

/* Chooses the backend, finds and verifies the model's file and makes the engine, which loads nothing yet. Messages name
 * the model and what would mend it. *network must not move: it refers to itself. The caller frees with
 * hs_network_finish. */
int hs_network_init(struct hs_network *network, const struct hs_network_options *options, struct hs_error *err);
void hs_network_finish(struct hs_network *network); /* a zeroed one is fine */

/* The backend that the setting inference.device means on this machine, by the name that packs use: "auto" is "hailo"
 * where such a device is present, else "openvino". */
const char *hs_network_backend_name(const char *device);

/* The version of the runtime of that backend, by which the store chooses among files (hs_pack_find_file), written to
 * dst; NULL: its files are not told apart, or it is not known. */
enum { HS_RUNTIME_SIZE = 32 };
const char *hs_network_runtime(const char *backend, char dst[HS_RUNTIME_SIZE]);

/* The device that the options mean, as inference.device. */
const char *hs_network_device(const struct hs_network_options *options);

/* The path in "sim:PATH"; NULL for any other device. */
const char *hs_network_script(const char *device);

/* NULL for an empty text: settings know no NULL. */
static inline const char *hs_given(const char *text)
{
    return text[0] ? text : NULL;
}

#endif
