#include "service/request_options.h"

#include "base/str.h"
#include "http/admission.h"
#include "http/param.h"
#include "service/response_warnings.h"

const struct hs_field hs_field_model = {
    .name = "model",
    .type = HS_FIELD_TEXT,
    .help = "The model to use, a name from `/v1/models`; by default the configured one. Several stay loaded within "
            "`model.max_memory`; the least recently used one is unloaded first",
};
const struct hs_field hs_field_keep_alive = {
    .name = "keep_alive",
    .type = HS_FIELD_SECONDS,
    .flags = HS_FIELD_UNLIMITED,
    .max = 31536000,
    .setting = "model.keep_alive",
    .help = "How long the model stays loaded after this request: 0 unloads it at once, -1 never. Ignored with a "
            "warning if `server.admin` does not allow the client to set it",
};

int hs_request_options_read(struct hs_http_request *req, struct hs_request_options *ret_options, const char **ret_field,
                            struct hs_error *err)
{
    const struct hs_body *body = hs_http_body(req);
    *ret_options = (struct hs_request_options) { .has_keep_alive = hs_body_has(body, "keep_alive") &&
                                                                   hs_http_check_admin(req, NULL) == 0 };
    int r = hs_http_read_timeout(req, ret_field, err);
    if (r == 0) {
        *ret_field = hs_field_keep_alive.name;
        r = hs_field_seconds(body, &hs_field_keep_alive, -1, &ret_options->keep_alive_s, err);
    }
    if (r == 0) {
        *ret_field = hs_field_model.name;
        r = hs_field_string(body, &hs_field_model, NULL, &ret_options->model, err);
    }
    return r;
}

int hs_request_options_ref(struct hs_http_request *req, const struct hs_request_options *options,
                           const struct hs_app_core *core, size_t index, struct hs_model_pool **ret_pool,
                           struct hs_error *err)
{
    double keep_alive_s = options->has_keep_alive ? options->keep_alive_s : core->common->model.keep_alive;
    int r = hs_model_cache_ref(core->caches[index], options->model, hs_http_deadline_ns(req), ret_pool, err);
    if (r == 0)
        hs_model_pool_set_keep_alive(*ret_pool, keep_alive_s);
    return r;
}

json_t *hs_request_add_warnings(struct hs_http_request *req, json_t *response)
{
    const struct hs_body *body = hs_http_body(req);
    char names[2 * HS_BODY_UNUSED_MAX][HS_BODY_NAME_SIZE];
    struct hs_error err;
    if (body && hs_body_has(body, "keep_alive") && hs_http_check_admin(req, &err) < 0)
        response =
            hs_response_warn(response, hs_warning_json("ignored_field", "keep_alive", "ignored. %s", err.message));
    size_t count = body ? hs_body_unused(body, names) : 0;
    count += hs_http_query_unused(req, names + count);
    for (size_t i = 0; i < count; i++)
        response = hs_response_warn(response, hs_warning_json("unknown_field", names[i], "unknown field, ignored"));
    return response;
}
