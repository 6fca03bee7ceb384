#include "service/network.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "infer/registry.h"

const char *hs_network_backend_name(int device)
{
    const struct hs_backend *hailo;
    struct hs_backend_probe probe = { 0 };
    if (device == HS_USE_SIM)
        return "sim";
    if (device == HS_USE_HAILO)
        return "hailo";
    if (device == HS_USE_AUTO && hs_registry_find("hailo", &hailo, NULL) == 0)
        hailo->probe(&probe);
    return probe.available ? "hailo" : "openvino";
}

/* The scripted device needs no file; it plays the processor's model. */
static int choose_model(struct hs_network *network, const struct hs_network_options *options,
                        const struct hs_backend *backend, struct hs_error *err)
{
    network->simulated = strcmp(backend->name, "sim") == 0;
    int r = hs_store_choose(options->store, options->task, options->model,
                            network->simulated ? "openvino" : backend->name, NULL, &network->choice, err);
    if (r < 0)
        return r;
    bool automatic = strcmp(options->model, "auto") == 0;
    network->model = automatic ? network->choice.pack->name : options->model;
    return network->simulated ? 0 : hs_store_verified_path(options->store, &network->choice, &network->path, err);
}

/* Compiled models are kept beside the model files unless a folder is named. One that cannot be written only costs
 * start-up time. */
static bool cache_folder(const struct hs_network *network, const struct hs_network_options *options, char *dst,
                         size_t size)
{
    struct hs_error err;
    const char *named = hs_given(options->inference->cache_dir);
    if (network->simulated ||
        !(named ? hs_str_copy(dst, size, named) : hs_path_join(dst, size, hs_store_dir(options->store), "compiled")))
        return false;
    if (hs_dir_make(dst, &err) == 0 && access(dst, W_OK) == 0)
        return true;
    hs_log_debug("compiled models are not kept: %s is not writable", dst);
    return false;
}

static int create_engine(struct hs_network *network, const struct hs_network_options *options,
                         const struct hs_backend *backend, struct hs_error *err)
{
    const struct hs_inference_settings *s = options->inference;
    char cache[PATH_MAX];
    const struct hs_engine_options engine = {
        .backend = backend,
        .cache_dir = cache_folder(network, options, cache, sizeof(cache)) ? cache : NULL,
        .device_id = hs_given(s->device_id),
        .script = hs_given(s->sim_script),
        .threads = s->threads,
        .slots = s->slots,
        .adaptive = strcmp(backend->name, "openvino") == 0,
        .batch = options->batch,
        .max_copies = s->max_shapes,
        .memory_max = s->max_memory,
        .queue_max = s->queue_max,
        .keep_alive_s = options->keep_alive_s,
    };
    struct hs_model_spec spec;
    hs_pack_spec(network->choice.pack, network->path ? network->path : "", &spec);
    spec.precision = (enum hs_precision) s->precision;
    return hs_engine_create(&engine, &spec, &network->engine, err);
}

int hs_network_init(struct hs_network *network, const struct hs_network_options *options, struct hs_error *err)
{
    const struct hs_backend *backend;
    *network = (struct hs_network){ 0 };
    int r = hs_registry_find(hs_network_backend_name(options->inference->device), &backend, err);
    if (r == 0)
        r = choose_model(network, options, backend, err);
    if (r == 0)
        r = create_engine(network, options, backend, err);
    if (r < 0) {
        hs_network_finish(network);
        return r;
    }
    network->device = strcmp(backend->name, "openvino") == 0 ? "cpu" : backend->name;
    return 0;
}

void hs_network_finish(struct hs_network *network)
{
    hs_engine_destroy(network->engine);
    free(network->path);
    *network = (struct hs_network){ 0 };
}
