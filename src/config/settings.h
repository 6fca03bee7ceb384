/* The effective settings of a program: defaults, then the file, then the environment, then --set; the origin of each
 * value; and all problems found, not only the first one. */
#ifndef HS_CONFIG_SETTINGS_H
#define HS_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "config/doc.h"
#include "config/setting.h"

/* ---- Problems ---- */

/* NOTE: worth a line in a server's log (no configuration file). WARNING: most likely a mistake, yet the program runs
 * (an unknown key). ERROR: it must not run like this. */
enum hs_problem_level { HS_PROBLEM_NOTE, HS_PROBLEM_WARNING, HS_PROBLEM_ERROR };

/* Text is one line that starts with its place ("pose.yaml:3: …"); `line` is 1-based, 0 if there is none. */
struct hs_problem {
    enum hs_problem_level level;
    int line;
    char *text;
};

enum { HS_PROBLEMS_MAX = 100 };

/* In the order found. The first HS_PROBLEMS_MAX are kept, `dropped` counts the rest; errors and warnings count all.
 * Zero-initialised is empty. Not thread-safe. */
struct hs_problems {
    struct hs_problem *items;
    size_t count, dropped, errors, warnings;
    size_t usage_errors; /* those of the errors that the command line made */
    bool no_memory;      /* something is missing here, or a value was not set */
};

void hs_problems_finish(struct hs_problems *problems);

void hs_problems_add(struct hs_problems *problems, enum hs_problem_level level, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- Settings ---- */

struct hs_settings;

/* Every setting at its default. `schema` is borrowed for good. HS_EINTERNAL: a default in the tables breaks its own
 * row's bounds. Caller frees with hs_settings_destroy. One thread at a time while it is filled; any thread reads. */
int hs_settings_create(const struct hs_schema *schema, struct hs_settings **ret_settings, struct hs_error *err);
void hs_settings_destroy(struct hs_settings *settings); /* NULL allowed */

/* The program's settings struct (schema->settings_size bytes); texts in it live as long as the settings. */
const void *hs_settings_values(const struct hs_settings *settings);

const struct hs_schema *hs_settings_schema(const struct hs_settings *settings);

/* The origin of a value: "default", "pose.yaml:3", "HAILO_POSE_SERVER_PORT", "--set". */
const char *hs_settings_origin(const struct hs_settings *settings, size_t index);

/* The functions below change what they can read and add a problem for each value that they cannot, which leaves that
 * setting as it was. */

/* Takes the document and keeps it for its unknown keys, which are warnings. null and empty sections mean the default.
 * `name` is what messages call it. Once for each settings object. */
void hs_settings_apply_doc(struct hs_settings *settings, struct hs_doc *doc, const char *name,
                           struct hs_problems *problems);

/* `environment` as `environ`: NULL-terminated "NAME=value". An empty variable counts as not set; one that starts with
 * the program's prefix and belongs to no setting is a warning. */
void hs_settings_apply_environment(struct hs_settings *settings, const char *const *environment,
                                   struct hs_problems *problems);

/* A setting given by an option. `assignment` is the whole "name=value" of --set if name is NULL, else the value.
 * `option` is what messages and `config show` call it: "--set", "--port". */
struct hs_config_override {
    const char *option, *name, *assignment;
};

/* An unknown name is an error here. An empty value is the empty text, or for other types the default. */
void hs_settings_apply_override(struct hs_settings *settings, const struct hs_config_override *override,
                                struct hs_problems *problems);

/* Makes every path absolute that is relative to the current folder, before that changes. HS_EINVAL: a path becomes too
 * long, or the current folder is gone. HS_ENOMEM. */
int hs_settings_make_paths_absolute(struct hs_settings *settings, struct hs_error *err);

/* Only read during the call. */
struct hs_config_request {
    const struct hs_schema *schema;
    const char *path;                           /* the --config option; NULL: the default file, which may be missing */
    const char *const *environment;             /* as `environ` */
    const struct hs_config_override *overrides; /* the last one of a name wins */
    size_t override_count;
};

/* The standard file: the schema's own path, else "${XDG_CONFIG_HOME:-/etc/xdg}/<program>/<program>.json"; or the
 * schema's yaml_path if only that is there. False if it does not fit. */
bool hs_config_default_path(const struct hs_schema *schema, const char *const *environment, char *dst, size_t size);

/* Defaults < file < environment < overrides. HS_EINVAL: there are errors among the problems, all that could be found;
 * *ret_settings is untouched then. A missing default file is a note, a missing `path` an error. Opens nothing but the
 * file. Caller frees with hs_settings_destroy. */
int hs_config_load(const struct hs_config_request *request, struct hs_settings **ret_settings,
                   struct hs_problems *problems, struct hs_error *err);

/* ---- Writing ---- */

/* The effective values as JSON with an indent of two; what the document held beside known settings is kept. */
int hs_settings_write_json(const struct hs_settings *settings, struct hs_buf *buf);

/* One line a setting: name, value, origin. Secrets are hidden. */
int hs_settings_write_list(const struct hs_settings *settings, struct hs_buf *buf);

#endif
