/* The effective settings of a program: defaults, then the file, then the environment, then --set; and the origin of
 * each value. */
#ifndef HS_CONFIG_SETTINGS_H
#define HS_CONFIG_SETTINGS_H

#include "base/buf.h"
#include "config/doc.h"
#include "config/problems.h"
#include "config/setting.h"

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
 * setting as it was. They return 0 also then, and HS_ENOMEM. */

/* Takes the document (also on failure) and keeps it for its unknown keys. null and empty sections mean the default.
 * Unknown keys are warnings. `name` is what messages call it. Once for each settings object. */
int hs_settings_apply_doc(struct hs_settings *settings, struct hs_doc *doc, const char *name,
                          struct hs_problems *problems);

/* `environment` as `environ`: NULL-terminated "NAME=value". An empty variable counts as not set; one that starts with
 * the program's prefix and belongs to no setting is a warning. */
int hs_settings_apply_environment(struct hs_settings *settings, const char *const *environment,
                                  struct hs_problems *problems);

/* "server.port=8080"; an unknown name is an error here. An empty value is the empty text, or for other types the
 * default. `origin` is the option that it came from. */
int hs_settings_apply_assignment(struct hs_settings *settings, const char *assignment, const char *origin,
                                 struct hs_problems *problems);
int hs_settings_apply_value(struct hs_settings *settings, const char *name, const char *value, const char *origin,
                            struct hs_problems *problems);

/* The effective values as JSON with an indent of two; what the document held beside known settings is kept. */
int hs_settings_write_json(const struct hs_settings *settings, struct hs_buf *buf);

/* One line a setting: name, value, origin. Secrets are hidden. */
int hs_settings_write_list(const struct hs_settings *settings, struct hs_buf *buf);

#endif
