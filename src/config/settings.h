/* The effective settings of a program: defaults, then the file, then the environment, then --set. Keeps the origin of
 * each value and reports all problems, not only the first one. */
#ifndef HS_CONFIG_SETTINGS_H
#define HS_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "config/doc.h"
#include "config/setting.h"

/* ---- Problems ---- */

/* NOTE: information for a server's log (no configuration file). WARNING: a likely mistake; the program runs (an unknown
 * key). ERROR: the program must not run. */
enum hs_problem_level { HS_PROBLEM_NOTE, HS_PROBLEM_WARNING, HS_PROBLEM_ERROR };

/* `text` is one line that starts with the origin ("pose.yaml:3: …"); `line` is 1-based, 0 if there is none. */
struct hs_problem {
    enum hs_problem_level level;
    int line;
    char *text;
};

enum { HS_PROBLEMS_MAX = 100 };

/* Problems in the order found. The first HS_PROBLEMS_MAX are kept, `dropped` counts the rest; `errors` and `warnings`
 * count all. A zeroed struct is empty. Not thread-safe. */
struct hs_problems {
    struct hs_problem *items;
    size_t count, dropped, errors, warnings;
    size_t usage_errors; /* errors in the command line, included in `errors` */
    bool no_memory;      /* out of memory: a problem was not added, or a value was not set */
};

void hs_problems_finish(struct hs_problems *problems);

void hs_problems_add(struct hs_problems *problems, enum hs_problem_level level, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- Settings ---- */

struct hs_settings;

/* Creates settings with all values at their defaults. Borrows `schema` until the process ends. HS_EINTERNAL: a default
 * in the tables is outside its row's bounds. HS_ENOMEM. Caller frees with hs_settings_destroy. One thread at a time
 * changes settings; then any thread reads them. */
int hs_settings_create(const struct hs_schema *schema, struct hs_settings **ret_settings, struct hs_error *err);
void hs_settings_destroy(struct hs_settings *settings); /* NULL allowed */

/* Returns the program's settings struct (schema->settings_size bytes). The struct and its texts are borrowed from the
 * settings. */
const void *hs_settings_values(const struct hs_settings *settings);

const struct hs_schema *hs_settings_schema(const struct hs_settings *settings);

/* Returns the origin of a value: "default", "pose.yaml:3", "HAILO_POSE_SERVER_PORT", "--set". */
const char *hs_settings_origin(const struct hs_settings *settings, size_t index);

/* The functions below set all valid values. For each invalid value they add a problem and leave the setting
 * unchanged. */

/* Applies a document. Takes the document and keeps it for its unknown keys, which are warnings. null and empty sections
 * mean the default. `name` names the document in messages. Call it once per settings object. */
void hs_settings_apply_doc(struct hs_settings *settings, struct hs_doc *doc, const char *name,
                           struct hs_problems *problems);

/* Applies environment variables. `environment` is as `environ`: NULL-terminated "NAME=value". An empty variable counts
 * as not set. A variable that has the program's prefix but matches no setting is a warning. */
void hs_settings_apply_environment(struct hs_settings *settings, const char *const *environment,
                                   struct hs_problems *problems);

/* A setting from an option. `assignment` is the whole "name=value" of --set if `name` is NULL, else the value.
 * `option` is the origin in messages and in `config show`: "--set", "--port". */
struct hs_config_override {
    const char *option, *name, *assignment;
};

/* Applies an option. An unknown name is an error. An empty value means the empty text or list, or for other types the
 * default. */
void hs_settings_apply_override(struct hs_settings *settings, const struct hs_config_override *override,
                                struct hs_problems *problems);

/* Makes all relative paths absolute, relative to the absolute path `folder`. HS_EINVAL: a path becomes too long.
 * HS_ENOMEM. `folder` may be "" if the current folder was deleted: then a relative path is an error. */
int hs_settings_make_paths_absolute(struct hs_settings *settings, const char *folder, struct hs_error *err);

/* Prepares `next` to replace `current` in a running service: gives each setting without HS_SETTING_RELOAD its current
 * value. Appends the names of the settings that differ to ret_changed, and of those that keep their value although they
 * differ to ret_fixed, both separated by ", ". HS_ENOMEM. */
int hs_settings_keep_fixed(struct hs_settings *next, const struct hs_settings *current, struct hs_buf *ret_changed,
                           struct hs_buf *ret_fixed);

/* Arguments of hs_config_load, which only reads them during the call. */
struct hs_config_request {
    const struct hs_schema *schema;
    const char *path;                           /* the --config option; NULL: the default file, which may be missing */
    const char *const *environment;             /* as `environ` */
    const struct hs_config_override *overrides; /* the last one of a name wins */
    size_t override_count;
    void (*peek)(const struct hs_settings *settings); /* called with all that was read, errors or not. NULL: not */
};

/* Writes the path of the standard file: the schema's path, else
 * "${XDG_CONFIG_HOME:-/etc/xdg}/<program>/<program>.json"; or the schema's yaml_path if that file exists and the JSON,
 * which is rendered from it, is not newer. False if it does not fit. */
bool hs_config_default_path(const struct hs_schema *schema, const char *const *environment, char *dst, size_t size);

/* Loads settings; overrides replace the environment, which replaces the file, which replaces the defaults. HS_EINVAL:
 * *problems has errors (all that were found), and *ret_settings is untouched. HS_ENOMEM. A note names the file
 * that was read. A missing default file is a note, a missing `path` an error. Opens only the configuration file. Caller
 * frees with hs_settings_destroy. */
int hs_config_load(const struct hs_config_request *request, struct hs_settings **ret_settings,
                   struct hs_problems *problems, struct hs_error *err);

/* ---- Writing ---- */

/* Writes the effective values as JSON, indented by two spaces; includes the unknown keys of the document. */
int hs_settings_write_json(const struct hs_settings *settings, struct hs_buf *buf);

/* Writes one line per setting: name, value, origin. Hides secrets. */
int hs_settings_write_list(const struct hs_settings *settings, struct hs_buf *buf);

#endif
