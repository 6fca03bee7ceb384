#include "service/models_api.h"

#include <string.h>

/* A place in the list for one model. */
static json_t *model_json(const char *id, const char *task, int64_t created_s, const char *state)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:s}", "id", id, "object", "model", "created", (json_int_t) created_s,
                     "owned_by", "hailo", "task", task, "state", state);
}

void hs_models_api_list(struct hs_http_request *req, const struct hs_store *store, struct hs_fleets *fleets,
                        const struct hs_models_api_task *task, int64_t created_s)
{
    const struct hs_network *configured = hs_fleet_first(hs_fleets_default(fleets));
    const char *name = configured->choice.pack->name;
    json_t *data = json_array();
    json_array_append_new(data, model_json(configured->model, task->name, created_s,
                                           hs_fleets_state(fleets, hs_store_find(store, name))));
    for (size_t i = 0; i < hs_store_count(store); i++) {
        const struct hs_pack *pack = hs_store_pack(store, i);
        if (pack->task != task->task || strcmp(pack->name, name) == 0)
            continue;
        const char *state = hs_fleets_state(fleets, pack);
        if (strcmp(state, "absent") != 0)
            json_array_append_new(data, model_json(pack->name, task->name, created_s, state));
    }
    hs_http_reply_json(req, 200, json_pack("{s:o, s:s}", "data", data, "object", "list"));
}

bool hs_models_api_take(struct hs_http_request *req, struct hs_fleets *fleets, struct hs_fleet **ret_fleet)
{
    struct hs_error err;
    int r = hs_fleets_take(fleets, hs_http_param(req, 0), ret_fleet, &err);
    if (r < 0)
        hs_http_reply_error(req, r, NULL, "%s", err.message);
    return r == 0;
}

void hs_models_api_load(struct hs_http_request *req, struct hs_fleets *fleets, struct hs_fleet *fleet, int h, int w)
{
    struct hs_error err;
    struct hs_fleet_status status;
    const char *name = hs_fleet_first(fleet)->choice.pack->name;
    hs_fleet_start_loading(fleet, h, w);
    int r = hs_fleet_wait_loaded(fleet, hs_http_deadline_ns(req), &err);
    hs_fleet_get_status(fleet, &status);
    if (r < 0)
        hs_http_reply_error(req, r, NULL, "%s", err.message);
    else
        hs_http_reply_json(req, 200, json_pack("{s:s, s:s, s:s}", "id", name, "state",
                                               hs_engine_state_name(status.state), "device", status.device));
    hs_fleets_give_back(fleets, fleet);
}

void hs_models_api_unload(struct hs_http_request *req, const struct hs_store *store, struct hs_fleets *fleets,
                          const struct hs_models_api_task *task)
{
    const char *id = hs_http_param(req, 0);
    const struct hs_network *configured = hs_fleet_first(hs_fleets_default(fleets));
    const struct hs_pack *pack = hs_store_find(store, strcmp(id, configured->model) == 0 ? configured->choice.pack->name
                                                                                        : id);
    if (!pack || pack->task != task->task) {
        hs_http_reply_error(req, HS_ENOTFOUND, NULL, "There is no model of that name");
        return;
    }
    bool was_loaded = hs_fleets_unload(fleets, pack);
    hs_http_reply_json(req, 200, json_pack("{s:s, s:s, s:b}", "id", pack->name, "state",
                                           hs_fleets_state(fleets, pack), "was_loaded", (int) was_loaded));
}
