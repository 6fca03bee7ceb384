/* From a command line to effective settings: finds the file and merges the sources by precedence. */
#ifndef HS_CONFIG_LOAD_H
#define HS_CONFIG_LOAD_H

#include "config/settings.h"

/* A setting given by an option. `assignment` is the whole "name=value" of --set if name is NULL, else the value.
 * `option` is what messages and `config show` call it: "--set", "--port". */
struct hs_config_override {
    const char *option, *name, *assignment;
};

/* Only read during the call. */
struct hs_config_request {
    const struct hs_schema *schema;
    const char *path;         /* the --config option; NULL: the default file, which may be missing */
    const char *const *environment; /* as `environ` */
    const struct hs_config_override *overrides; /* the last one of a name wins */
    size_t override_count;
};

/* The schema's own path, else "${XDG_CONFIG_HOME:-/etc/xdg}/<program>/<program>.json"; false if it does not fit. */
bool hs_config_default_path(const struct hs_schema *schema, const char *const *environment, char *dst, size_t size);

/* Defaults < file < environment < overrides. HS_EINVAL: there are errors among the problems, all that could be found;
 * *ret_settings is untouched then. A missing default file is a note, a missing `path` an error. Opens nothing but the
 * file. Caller frees with hs_settings_destroy. */
int hs_config_load(const struct hs_config_request *request, struct hs_settings **ret_settings,
                   struct hs_problems *problems, struct hs_error *err);

#endif
