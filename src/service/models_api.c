#include "service/models_api.h"

#include <string.h>

#include "service/pull.h"

static const struct hs_model_runner *configured(const struct hs_models_api_part *part)
{
    return hs_model_pool_first(hs_model_cache_default(part->cache));
}

/* ---- list ---- */

static json_t *model_json(const struct hs_models_api *api, const struct hs_models_api_part *part, const char *id,
                          const char *state)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:s}", "id", id, "object", "model", "created",
                     (json_int_t) api->created_s, "owned_by", "hailo", "task", part->name, "state", state);
}

static void append_others(json_t *data, const struct hs_models_api *api, const struct hs_models_api_part *part,
                          bool all)
{
    for (size_t i = 0; i < hs_store_count(api->store); i++) {
        const struct hs_pack *pack = hs_store_pack(api->store, i);
        if (pack->task != part->task || strcmp(pack->name, configured(part)->choice.pack->name) == 0)
            continue;
        const char *state = hs_pull_is_running(pack) ? "pulling" : hs_model_cache_state(part->cache, pack);
        if (all || strcmp(state, "absent") != 0)
            json_array_append_new(data, model_json(api, part, pack->name, state));
    }
}

void hs_models_api_list(struct hs_http_request *req, const struct hs_models_api *api)
{
    const char *wanted = hs_http_query(req, "all");
    bool all = wanted && strcmp(wanted, "true") == 0;
    json_t *data = json_array();
    for (size_t i = 0; i < api->part_count; i++) {
        const struct hs_models_api_part *part = &api->parts[i];
        const struct hs_pack *pack = hs_store_find(api->store, configured(part)->choice.pack->name);
        json_array_append_new(
            data, model_json(api, part, configured(part)->model, hs_model_cache_state(part->cache, pack)));
    }
    for (size_t i = 0; i < api->part_count; i++)
        append_others(data, api, &api->parts[i], all);
    hs_http_reply_json(req, 200, json_pack("{s:o, s:s}", "data", data, "object", "list"));
}

/* ---- load and unload ---- */

/* The pack that the path names, and what it is for; false: answered 404. */
static bool find(struct hs_http_request *req, const struct hs_models_api *api, const struct hs_pack **ret_pack,
                 const struct hs_models_api_part **ret_part)
{
    const char *id = hs_http_param(req, 0);
    const struct hs_pack *pack = hs_store_find(api->store, id);
    for (size_t i = 0; i < api->part_count; i++) {
        const struct hs_models_api_part *part = &api->parts[i];
        if (strcmp(id, configured(part)->model) == 0)
            pack = hs_store_find(api->store, configured(part)->choice.pack->name);
        if (pack && pack->task == part->task) {
            *ret_pack = pack;
            *ret_part = part;
            return true;
        }
    }
    hs_http_reply_error(req, HS_ENOTFOUND, NULL, "There is no model of that name here");
    return false;
}

static void reply_state(struct hs_http_request *req, const struct hs_pack *pack, struct hs_model_pool *pool)
{
    struct hs_model_pool_status status;
    hs_model_pool_get_status(pool, &status);
    hs_http_reply_json(req, 200, json_pack("{s:s, s:s, s:s}", "id", pack->name, "state",
                                           hs_runner_state_name(status.state), "device", status.device));
}

void hs_models_api_load(struct hs_http_request *req, const struct hs_models_api *api)
{
    const struct hs_models_api_part *part;
    const struct hs_pack *pack;
    struct hs_model_pool *pool;
    struct hs_error err;
    if (!find(req, api, &pack, &part))
        return;
    int r = hs_model_cache_ref(part->cache, pack->name, hs_http_deadline_ns(req), &pool, &err);
    if (r < 0) {
        hs_http_reply_error(req, r, NULL, "%s", err.message);
        return;
    }
    hs_model_pool_preload(pool);
    r = hs_model_pool_wait_loaded(pool, hs_http_deadline_ns(req), &err);
    if (r < 0)
        hs_http_reply_error(req, r, NULL, "%s", err.message);
    else
        reply_state(req, pack, pool);
    hs_model_cache_unref(part->cache, pool);
}

void hs_models_api_unload(struct hs_http_request *req, const struct hs_models_api *api)
{
    const struct hs_models_api_part *part;
    const struct hs_pack *pack;
    if (!find(req, api, &pack, &part))
        return;
    bool was_loaded = hs_model_cache_unload(part->cache, pack);
    hs_http_reply_json(req, 200, json_pack("{s:s, s:s, s:b}", "id", pack->name, "state",
                                           hs_model_cache_state(part->cache, pack), "was_loaded", (int) was_loaded));
}
