#include "cli/load_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void hs_print_problems(const struct hs_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct hs_problem *p = &problems->items[i];
        if (p->level != HS_PROBLEM_NOTE)
            fprintf(stderr, "%s: %s\n", p->level == HS_PROBLEM_ERROR ? "Error" : "Warning", p->text);
    }
    if (problems->dropped)
        fprintf(stderr, "… and %zu more\n", problems->dropped);
}

int hs_load_settings(const struct hs_invocation *call, const struct hs_config_override *extra, size_t extra_count,
                     struct hs_settings **ret_settings, struct hs_problems *problems)
{
    struct hs_config_override *overrides = calloc(call->sets.count + extra_count + 2, sizeof(*overrides));
    if (!overrides)
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "no memory");
    size_t count = 0;
    for (size_t i = 0; i < call->sets.count; i++)
        overrides[count++] = (struct hs_config_override) { "--set", NULL, call->sets.items[i] };
    if (call->models_dir)
        overrides[count++] = (struct hs_config_override) { "--models", "model.dir", call->models_dir };
    if (call->device)
        overrides[count++] = (struct hs_config_override) { "--device", "inference.device", call->device };
    for (size_t i = 0; i < extra_count; i++) {
        if (extra[i].assignment)
            overrides[count++] = extra[i];
    }
    const struct hs_config_request request = {
        .schema = call->program->schema,
        .path = call->config_path,
        .environment = (const char *const *) environ,
        .overrides = overrides,
        .override_count = count,
    };
    struct hs_error err;
    int r = hs_config_load(&request, ret_settings, problems, &err);
    free(overrides);
    if (r < 0)
        hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
    hs_print_problems(problems);
    if (r == 0)
        return HS_EXIT_OK;
    return problems->errors && problems->errors == problems->usage_errors ? HS_EXIT_USAGE : HS_EXIT_FAILURE;
}
