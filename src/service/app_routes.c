#include "service/app_routes.h"

#include <string.h>

#include "base/json_writer.h"
#include "base/str.h"
#include "http/admission.h"
#include "http/failure.h"
#include "http/param.h"
#include "service/keys.h"
#include "service/request_options.h"
#include "service/response_warnings.h"

/* ---- readiness and health ---- */

static void reply_ready(struct hs_http_request *req, const char *reason, const char *detail)
{
    char text[HS_ERROR_MESSAGE_SIZE];
    hs_error_public(detail, text);
    if (reason)
        hs_http_reply_json(
            req, 503, json_pack("{s:b, s:s, s:s*}", "ready", 0, "reason", reason, "detail", text[0] ? text : NULL));
    else
        hs_http_reply_json(req, 200, json_pack("{s:b}", "ready", 1));
}

const char *hs_app_not_ready(const struct hs_app_core *core, char ret_detail[HS_ERROR_MESSAGE_SIZE])
{
    ret_detail[0] = '\0';
    for (size_t i = 0; i < core->cache_count; i++) {
        struct hs_model_pool_status status;
        const char *detail;
        hs_model_pool_get_status(hs_app_core_pool(core, i), &status);
        const char *reason = hs_model_pool_not_ready(&status, &detail);
        if (reason) {
            hs_str_copy(ret_detail, HS_ERROR_MESSAGE_SIZE, detail);
            return reason;
        }
    }
    return core->app->not_ready ? core->app->not_ready(core, ret_detail) : NULL;
}

void hs_app_get_ready(struct hs_http_request *req)
{
    char detail[HS_ERROR_MESSAGE_SIZE];
    const char *reason = hs_app_not_ready(hs_http_context(req), detail);
    reply_ready(req, reason, detail);
}

static json_t *public_json(const char *message)
{
    char text[HS_ERROR_MESSAGE_SIZE];
    hs_error_public(message, text);
    return json_string(text);
}

static json_t *device_json(const struct hs_runner_status *status)
{
    const struct hs_device_health *health = &status->health;
    json_t *device = json_pack("{s:s, s:s, s:b, s:s*}", "name", status->device, "runtime", status->version, "ok",
                               (int) health->ok, "firmware", hs_null_if_empty(health->firmware));
    if (health->has_temperature)
        json_object_set_new(device, "temperature_c", json_real(hs_json_rounded((double) health->temperature_c, 1)));
    if (health->note[0])
        json_object_set_new(device, "note", public_json(health->note));
    return device;
}

/* Returns NULL if no device reports its health. */
static json_t *devices_json(const struct hs_model_pool *pool)
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

json_t *hs_app_add_devices(json_t *response, const struct hs_app_core *core)
{
    const char *device = NULL, *no_fallback = NULL;
    json_t *detail = NULL;
    bool degraded = false;
    for (size_t i = 0; i < core->cache_count; i++) {
        struct hs_model_pool_status status;
        hs_model_pool_get_status(hs_app_core_pool(core, i), &status);
        const char *device_error = hs_model_pool_device_error(&status);
        if (!device || (status.degraded && !degraded))
            device = status.device;
        degraded |= status.degraded;
        no_fallback = no_fallback ? no_fallback : status.no_fallback;
        detail = detail || !device_error ? detail : public_json(device_error);
    }
    json_object_update_new(response,
                           json_pack("{s:s, s:b, s:o*, s:o*, s:o*}", "device", device, "degraded", (int) degraded,
                                     "detail", detail, "no_fallback", no_fallback ? public_json(no_fallback) : NULL,
                                     "devices", devices_json(hs_app_core_pool(core, 0))));
    return response;
}

void hs_app_reply_health(struct hs_http_request *req, json_t *health)
{
    const struct hs_app_core *core = hs_http_context(req);
    char text[HS_ERROR_MESSAGE_SIZE];
    if (!hs_http_is_known(req)) {
        hs_http_reply_json(req, 200, json_pack("{s:O}", "status", json_object_get(health, "status")));
        json_decref(health);
        return;
    }
    health = hs_app_add_devices(health, core);
    if (hs_keys_exposure(core, hs_http_exposed_address_of(req), text) && hs_http_check_admin(req, NULL) == 0)
        health = hs_response_warn(health, hs_warning_json("no_api_keys", NULL, "%s", text));
    hs_http_reply_json(req, 200, health);
}

/* ---- models ---- */

static const struct hs_model_runner *configured(const struct hs_app_core *core, size_t index)
{
    return hs_model_pool_first(hs_app_core_pool(core, index));
}

static json_t *model_json(const struct hs_app_core *core, size_t index, const char *id, const char *state)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:s}", "id", id, "object", "model", "created",
                     (json_int_t) core->created_s, "owned_by", "hailo", "task", core->app->models[index].name, "state",
                     state);
}

static void append_others(json_t *data, const struct hs_app_core *core, size_t index, bool all)
{
    for (size_t i = 0; i < hs_store_count(core->store); i++) {
        const struct hs_pack *pack = hs_store_pack(core->store, i);
        if (pack->task != core->app->models[index].task ||
            strcmp(pack->name, configured(core, index)->choice.pack->name) == 0)
            continue;
        const char *state = hs_app_is_pulling(pack) ? "pulling" : hs_model_cache_state(core->caches[index], pack);
        if (all || strcmp(state, "absent") != 0)
            json_array_append_new(data, model_json(core, index, pack->name, state));
    }
}

void hs_app_get_models(struct hs_http_request *req)
{
    const struct hs_app_core *core = hs_http_context(req);
    struct hs_error err;
    bool all;
    if (hs_query_bool(req, &hs_field_all_models, false, &all, &err) < 0) {
        hs_http_reply_failure(req, HS_EINVAL, hs_field_all_models.name, &err);
        return;
    }
    json_t *data = json_array();
    for (size_t i = 0; i < core->cache_count; i++) {
        const struct hs_pack *pack = hs_store_find(core->store, configured(core, i)->choice.pack->name);
        json_array_append_new(
            data, model_json(core, i, configured(core, i)->model, hs_model_cache_state(core->caches[i], pack)));
    }
    for (size_t i = 0; i < core->cache_count; i++)
        append_others(data, core, i, all);
    json_t *response = json_pack("{s:o, s:s}", "data", data, "object", "list");
    hs_http_reply_json(req, 200, hs_request_add_warnings(req, response));
}

/* Returns the pack that the path names, and the cache for its task. Returns NULL after replying 404. */
static const struct hs_pack *find(struct hs_http_request *req, struct hs_model_cache **ret_cache)
{
    const struct hs_app_core *core = hs_http_context(req);
    const char *id = hs_http_param(req, 0);
    const struct hs_pack *pack = hs_store_find(core->store, id);
    for (size_t i = 0; i < core->cache_count; i++) {
        if (strcmp(id, configured(core, i)->model) == 0)
            pack = hs_store_find(core->store, configured(core, i)->choice.pack->name);
        if (pack && pack->task == core->app->models[i].task) {
            *ret_cache = core->caches[i];
            return pack;
        }
    }
    hs_http_reply_error(req, HS_ENOTFOUND, NULL, "There is no model with that name; GET /v1/models lists them");
    return NULL;
}

void hs_app_post_load(struct hs_http_request *req)
{
    struct hs_model_cache *cache;
    struct hs_model_pool *pool = NULL;
    struct hs_model_pool_status status;
    struct hs_error err;
    const struct hs_pack *pack = find(req, &cache);
    if (!pack)
        return;
    int r = hs_model_cache_ref(cache, pack->name, hs_http_deadline_ns(req), &pool, &err);
    if (r == 0) {
        /* As a request does, else the keep-alive time of an earlier request would unload the model again. */
        const struct hs_app_core *core = hs_http_context(req);
        hs_model_pool_set_keep_alive(pool, core->common->model.keep_alive);
        hs_model_pool_preload(pool);
        r = hs_model_pool_wait_loaded(pool, hs_http_deadline_ns(req), &err);
    }
    if (r == 0) {
        hs_model_pool_get_status(pool, &status);
        json_t *response = json_pack("{s:s, s:s, s:s}", "id", pack->name, "state", hs_runner_state_name(status.state),
                                     "device", status.device);
        hs_http_reply_json(req, 200, hs_request_add_warnings(req, response));
    } else {
        hs_http_reply_failure(req, r, NULL, &err);
    }
    hs_model_cache_unref(cache, pool);
}

void hs_app_post_unload(struct hs_http_request *req)
{
    struct hs_model_cache *cache;
    const struct hs_pack *pack = find(req, &cache);
    if (!pack)
        return;
    bool was_loaded = hs_model_cache_unload(cache, pack);
    json_t *response = json_pack("{s:s, s:s, s:b}", "id", pack->name, "state", hs_model_cache_state(cache, pack),
                                 "was_loaded", (int) was_loaded);
    hs_http_reply_json(req, 200, hs_request_add_warnings(req, response));
}
