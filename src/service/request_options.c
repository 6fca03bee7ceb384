#include "service/request_options.h"

#include "base/str.h"
#include "http/admission.h"
#include "http/param.h"

enum { KEEP_ALIVE_MAX_S = 31536000 };

int hs_request_options_read(struct hs_http_request *req, struct hs_request_options *ret_options, const char **ret_field,
                            struct hs_error *err)
{
    const struct hs_body *body = hs_http_body(req);
    *ret_options = (struct hs_request_options) { .has_keep_alive = hs_body_has(body, "keep_alive") &&
                                                                   hs_http_check_admin(req, NULL) == 0 };
    int r = hs_http_read_timeout(req, ret_field, err);
    if (r == 0)
        r = hs_param_seconds(body, *ret_field = "keep_alive", 0, KEEP_ALIVE_MAX_S, true, -1, &ret_options->keep_alive_s,
                             err);
    if (r == 0)
        r = hs_param_string(body, *ret_field = "model", NULL, &ret_options->model, err);
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

static void add_warning(json_t *answer, const char *text)
{
    json_t *warnings = json_object_get(answer, "warnings");
    if (!warnings && json_object_set_new(answer, "warnings", warnings = json_array()) < 0)
        return;
    json_array_append_new(warnings, json_string(text));
}

json_t *hs_request_add_warnings(struct hs_http_request *req, json_t *answer)
{
    const struct hs_body *body = hs_http_body(req);
    char names[HS_BODY_UNUSED_MAX][HS_BODY_NAME_SIZE], text[HS_ERROR_MESSAGE_SIZE + 32];
    struct hs_error err;
    if (!body || !answer)
        return answer;
    if (hs_body_has(body, "keep_alive") && hs_http_check_admin(req, &err) < 0) {
        hs_str_format(text, sizeof(text), "keep_alive: was ignored. %s", err.message);
        add_warning(answer, text);
    }
    size_t count = hs_body_unused(body, names);
    for (size_t i = 0; i < count; i++) {
        hs_str_format(text, sizeof(text), "%s: this field is not known here and was ignored", names[i]);
        add_warning(answer, text);
    }
    return answer;
}
