/* A setting is one row of a table: its name, type, bounds, default and help. Reading, checking, rendering, the names of
 * environment variables and the reference page all come from the row. */
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
    HS_SETTING_TEXT,    /* char *, never NULL, owned by the settings; min..max bytes of UTF-8. With choices it is one of
                           them; "sim:SCRIPT" among them stands for "sim:" and anything more. Letters' case as below */
    HS_SETTING_CHOICE,  /* int, index into choices; letters' case does not matter */
    HS_SETTING_SIZE,    /* int[2], [width, height] in min..max and multiples of `multiple`; also "WxH" or one number */
    HS_SETTING_SECONDS, /* double, min..max; a number, or a text with a unit: "250ms", "30s", "5m", "1h", "1d" */
    HS_SETTING_BYTES,   /* int64_t, min..max; a number of bytes, or a text with K, M, G or T (powers of 1024);
                           "infinity" is INT64_MAX and allowed if max is INFINITY */
    HS_SETTING_PERCENT, /* double, min..max; "80%" */
    HS_SETTING_LIST,    /* char *, never NULL, owned by the settings: items with one blank between them, min..max bytes
                           in all; a list of texts, or one text with blanks or commas between its items */
};

enum {
    HS_SETTING_FOREVER = 1, /* seconds: -1 is allowed too and means without end */
    HS_SETTING_SECRET = 2,  /* rendered as "***" by help for people (show), never in messages */
    HS_SETTING_UNIT = 4,    /* read and checked here, for a systemd unit to obey */
    HS_SETTING_UNUSED = 16, /* accepted, because files of an older program have it; its help says what does that now */
    HS_SETTING_PATH = 32,   /* text: a file or folder, or "sim:" and a file; an address with "://" is none */
    HS_SETTING_AUTO = 8,    /* double: the word "auto" is allowed too and is stored as -1, which lies below min */
};

struct hs_setting {
    const char *name; /* "server.port": section, point, key */
    enum hs_setting_type type;
    unsigned flags;
    size_t offset; /* into the struct of the row's group */
    double min, max;
    int multiple;                               /* HS_SETTING_SIZE only */
    const char *(*complaint)(const char *item); /* HS_SETTING_LIST only: what is wrong with an item, NULL: nothing */
    const char *const *choices; /* HS_SETTING_CHOICE, or a HS_SETTING_TEXT that has some; NULL ends it */
    const char *fallback;       /* the default, written as in a file; for a text without quotes */
    const char *unit;           /* for people, NULL: none */
    const char *variable;       /* one more environment variable, of less weight than the regular one; NULL: none */
    const char *help;           /* one sentence without a final full stop */
};

/* Rows that go together, at home in one struct which a service's settings hold at `offset`. */
struct hs_setting_group {
    const struct hs_setting *rows;
    size_t count;
    size_t offset;
};

/* A default of this program that differs from the row's own. */
struct hs_setting_default {
    const char *name, *fallback;
};

/* All settings of a program. Constant and borrowed for good. */
struct hs_schema {
    const char *program; /* "hailo-pose": names the files, and HAILO_POSE_… variables */
    const char *path;    /* the standard configuration file; NULL: …/<program>/<program>.json, see config/settings.h */
    const char *yaml_path; /* the file that is read if there is none at `path`; NULL: none */
    size_t settings_size;  /* of the program's settings struct */
    const struct hs_setting_group *groups;
    size_t group_count;
    const struct hs_setting_default *defaults;
    size_t default_count;
    const char *const *required; /* sections and settings that `config render` asks for; NULL ends it */
};

enum { HS_VARIABLE_SIZE = 128 };

/* Rows are numbered through all groups, 0..count - 1. ret_offset (may be NULL) gets the place in the settings struct;
 * NULL for an index past the end. */
size_t hs_schema_count(const struct hs_schema *schema);
const struct hs_setting *hs_schema_row(const struct hs_schema *schema, size_t index, size_t *ret_offset);

/* The index of a dotted name, or -1. */
long hs_schema_find(const struct hs_schema *schema, const char *name);
bool hs_schema_has_section(const struct hs_schema *schema, const char *section);

/* Writes the known name that an unknown one most likely meant: of a setting, or for a name without a point of a
 * section. False if none is near. */
bool hs_schema_suggest(const struct hs_schema *schema, const char *name, char *dst, size_t size);

/* The default as text, the program's own or the row's. */
const char *hs_schema_fallback(const struct hs_schema *schema, const struct hs_setting *row);

/* HAILO_POSE_SERVER_PORT: program and name in capitals, all but letters and digits turned into '_'. */
void hs_schema_variable(const struct hs_schema *schema, const char *name, char ret_name[HS_VARIABLE_SIZE]);

/* Reads a value, checks it and stores it at dst (the field itself; a text's old value is freed). HS_EINVAL:
 * *ret_reason says what is wrong ("is too large"), dst is as before. HS_ENOMEM. */
int hs_setting_read(const struct hs_setting *row, const struct hs_node *node, void *dst, const char **ret_reason);

/* The same from the text of a variable, an option or a default: a text needs no quotes. An empty text is fine for a
 * HS_SETTING_TEXT alone. */
int hs_setting_read_text(const struct hs_setting *row, const char *text, void *dst, const char **ret_reason);

/* Appends a value in a form that is both JSON and YAML. */
int hs_setting_write(const struct hs_setting *row, const void *src, struct hs_buf *buf);

/* Appends what is allowed: "0 to 65535", "auto, cpu or hailo". */
int hs_setting_write_range(const struct hs_setting *row, struct hs_buf *buf);

#endif
