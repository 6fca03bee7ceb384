#include "service/app.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "service/response.h"

enum { OWN = 1, EXTRA_MAX = 4 }; /* overrides of settings */

bool hs_app_serves(const struct hs_app *app, const struct hs_pack *pack)
{
    for (size_t i = 0; i < app->model_count; i++)
        if (app->models[i].task == pack->task)
            return true;
    return false;
}

const char *hs_app_pull_backend(const struct hs_inference_settings *inference)
{
    return strcmp(hs_model_runner_backend_name(inference->device), "hailo") == 0 ? "hailo" : "openvino";
}

int hs_app_open_store(const struct hs_app *app, const struct hs_model_settings *model, struct hs_store **ret_store,
                      struct hs_error *err)
{
    const struct hs_store_options options = {
        .service = app->program.name,
        .models_dir = hs_null_if_empty(model->dir),
        .packs_dir = hs_null_if_empty(model->packs_dir),
    };
    return hs_store_open(&options, ret_store, err);
}

const char *hs_app_pack(const struct hs_settings *config, const struct hs_app_model *model)
{
    const struct hs_schema *schema = hs_settings_schema(config);
    size_t offset = 0;
    hs_schema_row(schema, (size_t) hs_schema_find(schema, model->setting), &offset);
    return *(char *const *) (const void *) ((const char *) hs_settings_values(config) + offset);
}

/* ---- state ---- */

int hs_app_core_add_model(struct hs_app_core *core, const char *pack, struct hs_error *err)
{
    const struct hs_common_settings *s = core->common;
    const struct hs_app_model *model = &core->app->models[core->cache_count];
    const struct hs_model_options options = {
        .store = core->store,
        .task = model->task,
        .model = pack ? pack : hs_app_pack(core->config, model),
        .settings = s,
        .refused = core->refused,
        .input = { model->free_size ? s->inference.input_size[1] : 0,
                   model->free_size ? s->inference.input_size[0] : 0 },
        .border = model->border,
        .half_size = model->half_size,
        .prepare = core->prepare,
        .batch = model->batch,
    };
    int r = hs_model_cache_create(&options, s->model.max_memory, &core->caches[core->cache_count], err);
    core->cache_count += r == 0;
    return r;
}

struct hs_image_limits hs_app_core_image_limits(const struct hs_app_core *core)
{
    const struct hs_image_settings *image = &core->common->image;
    return (struct hs_image_limits) {
        .max_bytes = (size_t) core->common->server.max_body_mb << 20,
        .max_pixels = (int64_t) (image->max_megapixels * 1e6),
        .max_side = image->max_side,
        .max_memory = (size_t) image->max_memory,
        .budget = &core->budgets->pictures,
    };
}

void hs_app_core_start_loading(const struct hs_app_core *core)
{
    for (size_t i = 0; i < core->cache_count; i++)
        hs_model_pool_preload(hs_app_core_pool(core, i));
}

void hs_app_core_names(const struct hs_app_core *core, char *dst, size_t size)
{
    dst[0] = '\0';
    for (size_t i = 0, len = 0; i < core->cache_count; i++, len = strlen(dst))
        hs_str_format(dst + len, size - len, "%s%s", i ? " and " : "",
                      hs_model_pool_first(hs_app_core_pool(core, i))->model);
}

int hs_app_create(const struct hs_app *app, struct hs_settings *config, unsigned flags, char refused[HS_REFUSED_SIZE],
                  void **ret_state, struct hs_error *err)
{
    struct hs_app_core *core = calloc(1, app->state_size);
    struct hs_app_budgets *budgets = calloc(1, sizeof(*budgets));
    if (!core || !budgets) {
        free(core);
        free(budgets);
        hs_settings_destroy(config);
        return hs_error_set(err, HS_ENOMEM, "no memory for the models");
    }
    core->budgets = budgets;
    core->app = app;
    core->config = config;
    core->common = hs_app_common(config);
    hs_split_budget_init(&budgets->pictures, (size_t) core->common->image.max_memory_total);
    hs_budget_init(&budgets->responses, HS_RESPONSES_HELD_MAX);
    core->prepare = flags & HS_APP_PREPARE;
    core->started_ns = hs_clock_now_ns();
    core->created_s = hs_clock_wall_s();
    int r = hs_app_open_store(app, &core->common->model, &core->store, err);
    if (r == 0)
        r = app->init(core, err);
    if (r == 0 && flags & HS_APP_OPEN && app->open)
        r = app->open(core, err);
    if (r == 0) {
        *ret_state = core;
        return 0;
    }
    if (refused)
        hs_str_copy(refused, HS_REFUSED_SIZE, core->refused);
    hs_app_destroy(core);
    return r;
}

void hs_app_destroy(void *state)
{
    struct hs_app_core *core = state;
    if (!core)
        return;
    if (core->app->finish)
        core->app->finish(state);
    while (core->cache_count > 0)
        hs_model_cache_destroy(core->caches[--core->cache_count]);
    hs_store_close(core->store);
    hs_auth_destroy(core->auth);
    hs_settings_destroy(core->config);
    hs_split_budget_finish(&core->budgets->pictures);
    hs_budget_finish(&core->budgets->responses);
    free(core->budgets);
    free(core);
}

void *hs_app_revise(const void *state, struct hs_settings *settings)
{
    const struct hs_app *app = ((const struct hs_app_core *) state)->app;
    struct hs_app_core *core = malloc(app->state_size);
    if (!core) {
        hs_settings_destroy(settings);
        return NULL;
    }
    memcpy(core, state, app->state_size);
    core->config = settings;
    core->common = hs_app_common(settings);
    if (app->revise)
        app->revise(core);
    return core;
}

void hs_app_destroy_revision(void *state)
{
    struct hs_app_core *core = state;
    if (core)
        hs_settings_destroy(core->config);
    free(core);
}

/* ---- for commands ---- */

enum hs_log_level hs_app_log_level(const struct hs_invocation *call, const struct hs_logging_settings *logging)
{
    return call->quiet ? HS_LOG_ERROR : call->verbose ? HS_LOG_DEBUG : (enum hs_log_level) logging->level;
}

void hs_log_init(const struct hs_invocation *call, const struct hs_logging_settings *logging,
                 const struct hs_problems *problems)
{
    bool serving = strcmp(call->command->name, "serve") == 0;
    hs_log_setup(call->program->name, hs_app_log_level(call, logging), (enum hs_log_format) logging->format);
    /* HailoRT has no callback for log messages; it writes to files, stderr and syslog only. */
    if (logging->hailort == HS_HAILORT_LOG_JOURNAL)
        setenv("HAILO_PRINT_TO_SYSLOG", "1", 0);
    for (size_t i = 0; i < problems->count; i++) {
        if (problems->items[i].level != HS_PROBLEM_NOTE)
            continue;
        if (serving)
            hs_log_info("%s", problems->items[i].text);
        else
            hs_log_debug("%s", problems->items[i].text);
    }
}

int hs_app_load_settings(const struct hs_invocation *call, const struct hs_config_override *extra, size_t extra_count,
                         struct hs_settings **ret_settings)
{
    struct hs_problems problems = { 0 };
    int code = hs_load_settings(call, extra, extra_count, ret_settings, &problems);
    if (code == HS_EXIT_OK)
        hs_log_init(call, &hs_app_common(*ret_settings)->logging, &problems);
    hs_problems_finish(&problems);
    return code;
}

int hs_app_start(const struct hs_invocation *call, const struct hs_config_override *extra, size_t extra_count,
                 unsigned flags, void **ret_state)
{
    /* Models stay loaded until the command ends. */
    struct hs_config_override overrides[OWN + EXTRA_MAX] = {
        { "this command", "model.keep_alive", "-1" },
    };
    const struct hs_app *app = call->program->app;
    struct hs_settings *settings;
    struct hs_app_core *core;
    void *state;
    struct hs_error err;
    assert(extra_count <= EXTRA_MAX);
    for (size_t i = 0; i < extra_count; i++)
        overrides[OWN + i] = extra[i];
    int code = hs_app_load_settings(call, overrides, OWN + extra_count, &settings);
    if (code != HS_EXIT_OK)
        return code;
    if (flags & HS_APP_OPEN_EXISTING && app->exists && app->exists(hs_settings_values(settings)))
        flags |= HS_APP_OPEN;
    int r = hs_app_create(app, settings, flags, NULL, &state, &err);
    if (r < 0)
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
    core = state;
    if (flags & HS_APP_LOAD)
        hs_app_core_start_loading(core);
    for (size_t i = 0; r == 0 && flags & HS_APP_LOAD && i < core->cache_count; i++)
        r = hs_model_pool_wait_loaded(hs_app_core_pool(core, i), HS_NO_DEADLINE, &err);
    if (r < 0) {
        hs_app_destroy(state);
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
    }
    *ret_state = state;
    return HS_EXIT_OK;
}
