#include "service/models_api.h"

#include <string.h>

#include "service/pull.h"

static const struct hs_network *configured(const struct hs_models_api_part *part)
{
    return hs_fleet_first(hs_fleets_default(part->fleets));
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
        const char *state = hs_pull_is_running(pack) ? "pulling" : hs_fleets_state(part->fleets, pack);
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
            data, model_json(api, part, configured(part)->model, hs_fleets_state(part->fleets, pack)));
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

static void reply_state(struct hs_http_request *req, const struct hs_pack *pack, struct hs_fleet *fleet)
{
    struct hs_fleet_status status;
    hs_fleet_get_status(fleet, &status);
    hs_http_reply_json(req, 200, json_pack("{s:s, s:s, s:s}", "id", pack->name, "state",
                                           hs_engine_state_name(status.state), "device", status.device));
}

void hs_models_api_load(struct hs_http_request *req, const struct hs_models_api *api)
{
    const struct hs_models_api_part *part;
    const struct hs_pack *pack;
    struct hs_fleet *fleet;
    struct hs_error err;
    if (!find(req, api, &pack, &part))
        return;
    int r = hs_fleets_take(part->fleets, pack->name, &fleet, &err);
    if (r < 0) {
        hs_http_reply_error(req, r, NULL, "%s", err.message);
        return;
    }
    bool own = part->h == 0 || pack->input.stride == 0;
    hs_fleet_start_loading(fleet, own ? pack->input.height : part->h, own ? pack->input.width : part->w);
    r = hs_fleet_wait_loaded(fleet, hs_http_deadline_ns(req), &err);
    if (r < 0)
        hs_http_reply_error(req, r, NULL, "%s", err.message);
    else
        reply_state(req, pack, fleet);
    hs_fleets_give_back(part->fleets, fleet);
}

void hs_models_api_unload(struct hs_http_request *req, const struct hs_models_api *api)
{
    const struct hs_models_api_part *part;
    const struct hs_pack *pack;
    if (!find(req, api, &pack, &part))
        return;
    bool was_loaded = hs_fleets_unload(part->fleets, pack);
    hs_http_reply_json(req, 200, json_pack("{s:s, s:s, s:b}", "id", pack->name, "state",
                                           hs_fleets_state(part->fleets, pack), "was_loaded", (int) was_loaded));
}
