#include "pose/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

/* What the options say, as overrides of settings. */
static size_t collect(const struct hs_invocation *call, const struct hs_config_override *extra, size_t extra_count,
                      struct hs_config_override *ret)
{
    size_t count = 0;
    for (size_t i = 0; i < call->sets.count; i++)
        ret[count++] = (struct hs_config_override) { "--set", NULL, call->sets.items[i] };
    if (call->models_dir)
        ret[count++] = (struct hs_config_override) { "--models", "model.dir", call->models_dir };
    for (size_t i = 0; i < extra_count; i++) {
        if (extra[i].assignment)
            ret[count++] = extra[i];
    }
    return count;
}

/* Notes are for a server's log; a command's output stays free of them. */
static void print_problems(const struct hs_problems *problems)
{
    static const char *const words[] = { "note", "warning", "error" };
    for (size_t i = 0; i < problems->count; i++) {
        const struct hs_problem *p = &problems->items[i];
        if (p->level != HS_PROBLEM_NOTE)
            fprintf(stderr, "%s: %s\n", p->text, words[p->level]);
        else
            hs_log_debug("%s", p->text);
    }
    if (problems->dropped)
        fprintf(stderr, "and %zu more\n", problems->dropped);
}

int hs_pose_load_settings(const struct hs_invocation *call, const struct hs_config_override *extra, size_t extra_count,
                          struct hs_settings **ret_settings)
{
    struct hs_config_override *overrides = calloc(call->sets.count + extra_count + 1, sizeof(*overrides));
    if (!overrides)
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "no memory");
    const struct hs_config_request request = {
        .schema = &hs_pose_schema,
        .path = call->config_path,
        .environment = environ,
        .overrides = overrides,
        .override_count = collect(call, extra, extra_count, overrides),
    };
    struct hs_problems problems = { 0 };
    struct hs_error err;
    int code = HS_EXIT_OK;
    int r = hs_config_load(&request, ret_settings, &problems, &err);
    print_problems(&problems);
    if (r < 0) {
        code = problems.errors ? HS_EXIT_FAILURE : hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
    } else {
        const struct hs_pose_settings *s = hs_settings_values(*ret_settings);
        hs_log_setup(call->program->name, (enum hs_log_level) s->logging.level, (enum hs_log_format) s->logging.format);
    }
    hs_problems_finish(&problems);
    free(overrides);
    return code;
}

int hs_pose_start_app(const struct hs_invocation *call, struct hs_pose_app *ret_app)
{
    struct hs_settings *settings;
    struct hs_error err;
    int code = hs_pose_load_settings(call, NULL, 0, &settings);
    if (code != HS_EXIT_OK)
        return code;
    if (hs_pose_app_init(ret_app, settings, &err) < 0)
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
    if (hs_pose_app_load(ret_app, &err) == 0)
        return HS_EXIT_OK;
    hs_pose_app_finish(ret_app);
    return hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
}
