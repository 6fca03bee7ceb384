#include "config/load.h"

#include <limits.h>
#include <string.h>

#include "base/str.h"

bool hs_config_default_path(const struct hs_schema *schema, const char *const *environment, char *dst, size_t size)
{
    static const char name[] = "XDG_CONFIG_HOME=";
    const char *home = "/etc/xdg";
    if (schema->path)
        return hs_str_copy(dst, size, schema->path);
    for (; *environment; environment++) {
        if (hs_str_starts(*environment, name) && (*environment)[sizeof(name) - 1])
            home = *environment + sizeof(name) - 1;
    }
    return hs_str_format(dst, size, "%s/%s/%s.json", home, schema->program, schema->program);
}

/* Applies the file, or adds a problem. */
static void load_file(const struct hs_config_request *request, struct hs_settings *settings,
                      struct hs_problems *problems)
{
    char standard[PATH_MAX];
    const char *path = request->path ? request->path : standard;
    struct hs_error err;
    struct hs_doc *doc;
    if (!request->path && !hs_config_default_path(request->schema, request->environment, standard, sizeof(standard))) {
        hs_problems_add(problems, HS_PROBLEM_ERROR, 0, "XDG_CONFIG_HOME is too long");
        return;
    }
    int r = hs_doc_load(path, &doc, &err);
    if (r == 0)
        hs_settings_apply_doc(settings, doc, path, problems);
    else if (r == HS_ENOMEM)
        problems->no_memory = true;
    else if (r == HS_ENOTFOUND && !request->path)
        hs_problems_add(problems, HS_PROBLEM_NOTE, 0, "%s: no such file, all settings at their defaults", path);
    else
        hs_problems_add(problems, HS_PROBLEM_ERROR, err.line, "%s", err.message);
}

int hs_config_load(const struct hs_config_request *request, struct hs_settings **ret_settings,
                   struct hs_problems *problems, struct hs_error *err)
{
    struct hs_settings *settings;
    int r = hs_settings_create(request->schema, &settings, err);
    if (r < 0)
        return r;
    load_file(request, settings, problems);
    hs_settings_apply_environment(settings, request->environment, problems);
    size_t before = problems->errors;
    for (size_t i = 0; i < request->override_count; i++) {
        const struct hs_config_override *o = &request->overrides[i];
        if (o->name)
            hs_settings_apply_value(settings, o->name, o->assignment, o->option, problems);
        else
            hs_settings_apply_assignment(settings, o->assignment, o->option, problems);
    }
    problems->usage_errors += problems->errors - before;
    if (problems->no_memory)
        r = hs_error_set(err, HS_ENOMEM, "out of memory");
    else if (problems->errors)
        r = hs_error_set(err, HS_EINVAL, "the configuration has %zu error%s", problems->errors,
                         problems->errors == 1 ? "" : "s");
    if (r < 0)
        hs_settings_destroy(settings);
    else
        *ret_settings = settings;
    return r;
}
