/* A program of subcommands. Each subcommand defines its own options; --models, --config, --device and --set apply to
 * all of them, before or after the subcommand's name. Options are "--name value" or "--name=value"; "--" ends them.
 * Exit codes: 0 success, 1 failure, 2 usage error. */
#ifndef HS_CLI_PROGRAM_H
#define HS_CLI_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/json_writer.h"
#include "config/settings.h"

struct hs_app;
struct hs_invocation;

enum { HS_EXIT_OK = 0, HS_EXIT_FAILURE = 1, HS_EXIT_USAGE = 2 };

/* Texts of argv, in order; borrows them. hs_text_list_finish frees `items`. */
struct hs_text_list {
    const char **items;
    size_t count;
};

void hs_text_list_finish(struct hs_text_list *list);
bool hs_text_list_add(struct hs_text_list *list, const char *text); /* false: out of memory */

enum hs_option_kind {
    HS_OPTION_FLAG,   /* bool */
    HS_OPTION_TEXT,   /* const char * */
    HS_OPTION_INT,    /* int64_t, min..max */
    HS_OPTION_NUMBER, /* double, min..max */
    HS_OPTION_LIST,   /* struct hs_text_list; may be repeated */
};

/* `target` is set only if the option is given, so the caller stores the default there before. */
struct hs_option {
    const char *name; /* without the dashes */
    enum hs_option_kind kind;
    void *target;
    const char *value; /* name of the value in help; NULL for flags */
    const char *help;
    double min, max; /* of INT and NUMBER */
};

/* Initialisers for a table of options. */
#define HS_FLAG(name_, target_, help_) { .name = (name_), .kind = HS_OPTION_FLAG, .target = (target_), .help = (help_) }
#define HS_TEXT(name_, target_, value_, help_)                                                                         \
    { .name = (name_), .kind = HS_OPTION_TEXT, .target = (target_), .value = (value_), .help = (help_) }
#define HS_INT(name_, target_, value_, min_, max_, help_)                                                              \
    { .name = (name_),                                                                                                 \
      .kind = HS_OPTION_INT,                                                                                           \
      .target = (target_),                                                                                             \
      .value = (value_),                                                                                               \
      .min = (min_),                                                                                                   \
      .max = (max_),                                                                                                   \
      .help = (help_) }
#define HS_NUMBER(name_, target_, value_, min_, max_, help_)                                                           \
    { .name = (name_),                                                                                                 \
      .kind = HS_OPTION_NUMBER,                                                                                        \
      .target = (target_),                                                                                             \
      .value = (value_),                                                                                               \
      .min = (min_),                                                                                                   \
      .max = (max_),                                                                                                   \
      .help = (help_) }

struct hs_command {
    const char *name;
    const char *arguments; /* for help: "PICTURE…"; "" for none */
    const char *summary;   /* one line */
    int (*run)(struct hs_invocation *call);
};

struct hs_program {
    const char *name; /* "hailo-pose" */
    const char *summary;
    const char *version;
    const struct hs_schema *schema; /* of its settings */
    const struct hs_app *app;       /* for the commands of service/app.h; NULL: the program has none of them */
    const struct hs_command *commands;
    size_t command_count;
};

/* One call of one subcommand. argv[0] is the subcommand's name. */
struct hs_invocation {
    const struct hs_program *program;
    const struct hs_command *command;
    int argc;
    char **argv;
    char who[64];              /* "hailo-pose detect": prefix of error messages */
    const char *models_dir;    /* --models; NULL: not given */
    const char *config_path;   /* --config; NULL: not given */
    const char *device;        /* --device; NULL: not given */
    struct hs_text_list sets;  /* --set key=value, in order */
    struct hs_text_list words; /* arguments of the subcommand that are not options */

    /* Set by a command whose log may be JSON: errors are then lines of the log, too. */
    bool logs;
    void (*peek_settings)(const struct hs_settings *settings); /* see struct hs_config_request; NULL: none */
};

/* Finds and runs the subcommand; returns the exit code. Handles `help`, `--help`, `version` and `--version`. If the
 * name of the executable ends with "-server", runs `serve`. */
int hs_program_main(const struct hs_program *program, int argc, char **argv);

/* Reads a subcommand's arguments: its own options, the common options, and at most `words_max` words. Returns true to
 * continue; false if the subcommand must return *ret_code, because help or an error was printed. */
bool hs_invocation_parse(struct hs_invocation *call, const struct hs_option *options, size_t count, size_t words_max,
                         int *ret_code);

/* Prints a report or an answer and a line feed to standard output. Takes the reference. A NULL `report` means that its
 * creation ran out of memory: HS_ENOMEM. */
int hs_print_json(json_t *report, enum hs_json_style style, struct hs_error *err);

/* Prints "hailo-pose detect: …" to stderr, or logs it (call->logs). Returns `code`, so that
 * `return hs_invocation_fail(…)` reads well. */
int hs_invocation_fail(const struct hs_invocation *call, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Prints "usage: hailo-pose detect PICTURE...; see 'hailo-pose detect --help'" to stderr. Returns HS_EXIT_USAGE. */
int hs_invocation_usage(const struct hs_invocation *call);

/* As hs_invocation_usage, for one action: "usage: hailo-face db rename OLD NEW; see …" for "rename OLD NEW". */
int hs_invocation_usage_of(const struct hs_invocation *call, const char *arguments);

/* Loads the program's settings with --config, --models, --device, each --set, and the `extra` options (those without an
 * assignment count as not given). Prints errors and warnings to stderr, or logs them (call->logs). Returns HS_EXIT_OK,
 * HS_EXIT_FAILURE, or HS_EXIT_USAGE if all errors are in the command line; *ret_settings is untouched on failure. The
 * caller zeroes *problems before and calls hs_problems_finish after every call. Caller frees *ret_settings with
 * hs_settings_destroy. */
int hs_load_settings(const struct hs_invocation *call, const struct hs_config_override *extra, size_t extra_count,
                     struct hs_settings **ret_settings, struct hs_problems *problems);

/* Prints "Error: …" and "Warning: …" lines to stderr; skips notes. */
void hs_print_problems(const struct hs_problems *problems);

/* `backends list|build` and `config render|check|show|reference|example`, the same for every program. */
int hs_cmd_backends(struct hs_invocation *call);
int hs_cmd_config(struct hs_invocation *call);

#endif
