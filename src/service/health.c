#include "service/health.h"

#include <math.h>

static json_t *device_json(const struct hs_runner_status *status)
{
    const struct hs_device_health *health = &status->health;
    json_t *device = json_pack("{s:s, s:s, s:b}", "name", status->device, "runtime", status->version, "ok",
                               (int) health->ok);
    if (health->firmware[0])
        json_object_set_new(device, "firmware", json_string(health->firmware));
    if (health->has_temperature)
        json_object_set_new(device, "temperature_c", json_real(round((double) health->temperature_c * 10) / 10));
    if (health->note[0])
        json_object_set_new(device, "note", json_string(health->note));
    return device;
}

static json_t *devices_json(struct hs_model_pool *pool)
{
    json_t *devices = NULL;
    for (int i = 0; i < pool->count; i++) {
        struct hs_runner_status status;
        hs_runner_get_status(pool->runners[i].runner, &status);
        if (!status.has_health)
            continue;
        devices = devices ? devices : json_array();
        json_array_append_new(devices, device_json(&status));
    }
    return devices;
}

static void set(json_t *answer, const char *key, json_t *value)
{
    if (value)
        json_object_set_new(answer, key, value);
}

void hs_health_add_devices(json_t *answer, struct hs_model_pool *const *cache, size_t count)
{
    const char *device = NULL, *no_fallback = NULL;
    json_t *detail = NULL;
    bool degraded = false;
    for (size_t i = 0; i < count; i++) {
        struct hs_model_pool_status status;
        hs_model_pool_get_status(cache[i], &status);
        const char *complaint = hs_model_pool_complaint(&status);
        if (!device || (status.degraded && !degraded))
            device = status.device;
        degraded |= status.degraded;
        no_fallback = no_fallback ? no_fallback : status.no_fallback;
        detail = detail || !complaint ? detail : json_string(complaint);
    }
    set(answer, "device", json_string(device));
    set(answer, "degraded", json_boolean(degraded));
    set(answer, "detail", detail);
    set(answer, "no_fallback", no_fallback ? json_string(no_fallback) : NULL);
    set(answer, "devices", devices_json(cache[0]));
}
