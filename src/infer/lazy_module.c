#include "infer/lazy_module.h"

#include <stdatomic.h>
#include <string.h>

#include "base/str.h"
#include "infer/registry.h"

static const char name[] = "hailo";

/* The module's table, once found; it stays open. */
static _Atomic(const struct hs_backend *) module;

/* Reports a missing module as a missing device. */
static int find(const struct hs_backend **ret_backend, struct hs_error *err)
{
    struct hs_error why;
    *ret_backend = atomic_load(&module);
    int r = *ret_backend ? 0 : hs_registry_find(name, ret_backend, &why);
    if (r < 0)
        return hs_error_set(err, r == HS_ENOTFOUND ? HS_ENODEVICE : r, "%s", why.message);
    atomic_store(&module, *ret_backend);
    return 0;
}

static void probe(const struct hs_device_options *options, struct hs_backend_probe *ret_probe)
{
    const struct hs_backend *backend;
    struct hs_error err = { 0 };
    if (find(&backend, &err) == 0) {
        backend->probe(options, ret_probe);
        return;
    }
    memset(ret_probe, 0, sizeof(*ret_probe));
    hs_str_copy(ret_probe->reason, sizeof(ret_probe->reason), err.message);
}

static int open_device(const struct hs_device_options *options, struct hs_device **ret_device, struct hs_error *err)
{
    const struct hs_backend *backend;
    int r = find(&backend, err);
    return r == 0 ? backend->open(options, ret_device, err) : r;
}

/* The rest is called with an open device, so the module is there. */

static void close_device(struct hs_device *device)
{
    if (device)
        atomic_load(&module)->close(device);
}

static int load(struct hs_device *device, const struct hs_model_spec *spec, struct hs_model **ret_model,
                struct hs_error *err)
{
    return atomic_load(&module)->load(device, spec, ret_model, err);
}

static void unload(struct hs_model *model)
{
    if (model)
        atomic_load(&module)->unload(model);
}

static const struct hs_model_info *info(const struct hs_model *model)
{
    return atomic_load(&module)->info(model);
}

static uint8_t *input(struct hs_model *model, int slot)
{
    return atomic_load(&module)->input(model, slot);
}

static int submit(struct hs_model *model, int slot, int count, struct hs_error *err)
{
    return atomic_load(&module)->submit(model, slot, count, err);
}

static int wait(struct hs_model *model, int slot, int64_t deadline_ns, struct hs_error *err)
{
    return atomic_load(&module)->wait(model, slot, deadline_ns, err);
}

static const void *output(struct hs_model *model, int slot, int picture, int index)
{
    return atomic_load(&module)->output(model, slot, picture, index);
}

static int health(struct hs_device *device, struct hs_device_health *ret_health, struct hs_error *err)
{
    const struct hs_backend *backend = atomic_load(&module);
    if (backend->health)
        return backend->health(device, ret_health, err);
    memset(ret_health, 0, sizeof(*ret_health));
    ret_health->ok = true;
    return 0;
}

const struct hs_backend hs_backend_hailo_lazy = {
    .abi = HS_BACKEND_ABI,
    .name = name,
    .device = name,
    .traits = HS_BACKEND_FIXED_SIZE,
    .default_slots = 4,
    .probe = probe,
    .open = open_device,
    .close = close_device,
    .load = load,
    .unload = unload,
    .info = info,
    .input = input,
    .submit = submit,
    .wait = wait,
    .output = output,
    .health = health,
};
