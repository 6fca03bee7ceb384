/* A setting is one row of a table: its name, type, bounds, default and help. Reading, checking, rendering, the names of
 * environment variables and the reference page all use this row. */
#ifndef HS_CONFIG_SETTING_H
#define HS_CONFIG_SETTING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "config/doc.h"

enum hs_setting_type {
    HS_SETTING_BOOL,    /* bool */
    HS_SETTING_INT,     /* int, min..max */
    HS_SETTING_DOUBLE,  /* double, min..max */
    HS_SETTING_TEXT,    /* char *, never NULL, owned by the settings; min..max bytes of UTF-8. With choices it must be
                           one of them, without case; the choice "sim:SCRIPT" means "sim:" and any further text */
    HS_SETTING_CHOICE,  /* int, index into choices, which are compared without case */
    HS_SETTING_SIZE,    /* int[2], [width, height] in min..max and multiples of `multiple`; also "WxH" or one number */
    HS_SETTING_SECONDS, /* double, min..max; a number, or a text with a unit: "250ms", "30s", "5m", "1h", "1d" */
    HS_SETTING_BYTES,   /* int64_t, min..max; a number of bytes, or a text with K, M, G or T (powers of 1024);
                           "infinity" is INT64_MAX and allowed if max is INFINITY */
    HS_SETTING_PERCENT, /* double, min..max; "80%" */
    HS_SETTING_LIST,    /* char *, never NULL, owned by the settings: items separated by one blank, min..max bytes in
                           total; read from a list of texts, or from one text with blanks or commas between items */
};

enum {
    HS_SETTING_UNLIMITED = 1, /* seconds: -1 is also allowed and means no limit */
    HS_SETTING_SECRET = 2,    /* shown as "***" in lists for people (show), never in messages */
    HS_SETTING_UNIT = 4,      /* only read and checked here; meant for a systemd unit */
    HS_SETTING_UNUSED = 16,   /* accepted but ignored, for files of an older program; `help` explains it */
    HS_SETTING_PATH = 32,     /* text: a path, or "sim:" and a path; a text with "://" or "credential:" is not a
                              path */
    HS_SETTING_RELOAD = 64,   /* a reload (SIGHUP) changes it; the others need a restart */
    HS_SETTING_AUTO = 8,      /* double: the word "auto" is also allowed and stored as -1, which is below min */
};

struct hs_setting {
    const char *name;   /* "server.port": section, point, key */
    const char *former; /* an earlier name, accepted with a warning; NULL: none */
    enum hs_setting_type type;
    unsigned flags;
    size_t offset; /* into the struct of the row's group */
    double min, max;
    int multiple;                                /* HS_SETTING_SIZE only */
    const char *(*item_error)(const char *item); /* of a HS_SETTING_LIST, optional for a nonempty HS_SETTING_TEXT:
                                                    returns the error of an item or the text; NULL: it is valid */
    const char *const *choices; /* of a HS_SETTING_CHOICE, optional for a HS_SETTING_TEXT; NULL-terminated */
    const char *default_val;    /* the default, as in a file; a text is without quotes */
    const char *unit;           /* for people, NULL: none */
    const char *variable;       /* additional environment variable, used if the regular one is not set; NULL: none */
    const char *help;           /* one sentence without a final full stop */
};

/* Rows of one struct. The settings struct of a service contains that struct at `offset`. */
struct hs_setting_group {
    const struct hs_setting *rows;
    size_t count;
    size_t offset;
};

/* A default of a program that replaces the row's default. */
struct hs_setting_default {
    const char *name, *default_val;
};

/* All settings of a program. Constant; borrowed until the process ends. */
struct hs_schema {
    const char *program; /* "hailo-pose": part of the names of files and of HAILO_POSE_… variables */
    const char *path;    /* the standard configuration file; NULL: …/<program>/<program>.json, see config/settings.h */
    const char *yaml_path; /* the file that is read if none at `path` is newer; NULL: none */
    size_t settings_size;  /* of the program's settings struct */
    const struct hs_setting_group *groups;
    size_t group_count;
    const struct hs_setting_default *defaults;
    size_t default_count;
    const char *const *required; /* sections and settings that `config render` requires; NULL-terminated */
};

enum { HS_VARIABLE_SIZE = 128 };

/* Rows are numbered across all groups, 0..count - 1. *ret_offset (may be NULL) is the offset in the settings struct.
 * hs_schema_row returns NULL for an index past the end. */
size_t hs_schema_count(const struct hs_schema *schema);
const struct hs_setting *hs_schema_row(const struct hs_schema *schema, size_t index, size_t *ret_offset);

/* Returns the index of a dotted name or of a former one, or -1. */
long hs_schema_find(const struct hs_schema *schema, const char *name);
bool hs_schema_has_section(const struct hs_schema *schema, const char *section);

/* Writes the known name that is most similar to an unknown one: a setting, or a section if the name has no point.
 * Returns false if none is similar. */
bool hs_schema_suggest(const struct hs_schema *schema, const char *name, char *dst, size_t size);

/* Returns the default as text: the program's own, else the row's. */
const char *hs_schema_default(const struct hs_schema *schema, const struct hs_setting *row);

/* Writes the environment variable of a setting, as HAILO_POSE_SERVER_PORT: program and name in capitals, with '_' for
 * all characters except letters and digits. */
void hs_schema_variable(const struct hs_schema *schema, const char *name, char ret_name[HS_VARIABLE_SIZE]);

/* Reads a value, checks it and stores it at dst (the field itself; frees the old value of a text). HS_EINVAL:
 * *ret_reason is the reason ("is too large") and dst is unchanged. HS_ENOMEM. */
int hs_setting_read(const struct hs_setting *row, const struct hs_node *node, void *dst, const char **ret_reason);

/* As hs_setting_read, for the text of a variable, an option or a default: a text needs no quotes. Only HS_SETTING_LIST
 * and a HS_SETTING_TEXT with min 0 accept an empty text. */
int hs_setting_read_text(const struct hs_setting *row, const char *text, void *dst, const char **ret_reason);

/* Appends a value in a form that is both JSON and YAML. */
int hs_setting_write(const struct hs_setting *row, const void *src, struct hs_buf *buf);

/* Appends the allowed values: "0 to 65535", "auto, cpu or hailo". */
int hs_setting_write_range(const struct hs_setting *row, struct hs_buf *buf);

#endif
