/* A program of subcommands. Each subcommand defines its own options; --models, --config, --device, --set, --quiet,
 * --verbose and --no-color apply to all of them, before or after the subcommand's name. Options are "--name value" or
 * "--name=value"; "--" ends them. Help, man page and shell completions are generated from the tables below.
 * Exit codes: 0 success, 1 failure, 2 usage error. */
#ifndef HS_CLI_PROGRAM_H
#define HS_CLI_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/json_writer.h"
#include "base/mem.h"
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

/* ---- Tables ---- */

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
    char letter;      /* 'q' for "-q", only of flags; 0: none */
    enum hs_option_kind kind;
    void *target;
    /* Name of the value in help, or the usual values "off|strict"; NULL for flags. Shells complete FILE and DIR to
     * paths. */
    const char *value;
    const char *help;    /* NULL: the option is not shown */
    const char *actions; /* the actions that have the option, "add import"; NULL: all */
    double min, max;     /* of INT and NUMBER */
};

/* Initialisers for a table of options; the _OF forms are for options of some actions only. */
#define HS_FLAG_OF(actions_, name_, target_, help_)                                                                    \
    { .name = (name_), .kind = HS_OPTION_FLAG, .target = (target_), .help = (help_), .actions = (actions_) }
#define HS_TEXT_OF(actions_, name_, target_, value_, help_)                                                            \
    { .name = (name_),                                                                                                 \
      .kind = HS_OPTION_TEXT,                                                                                          \
      .target = (target_),                                                                                             \
      .value = (value_),                                                                                               \
      .help = (help_),                                                                                                 \
      .actions = (actions_) }
#define HS_INT_OF(actions_, name_, target_, value_, min_, max_, help_)                                                 \
    { .name = (name_),                                                                                                 \
      .kind = HS_OPTION_INT,                                                                                           \
      .target = (target_),                                                                                             \
      .value = (value_),                                                                                               \
      .min = (min_),                                                                                                   \
      .max = (max_),                                                                                                   \
      .help = (help_),                                                                                                 \
      .actions = (actions_) }
#define HS_NUMBER_OF(actions_, name_, target_, value_, min_, max_, help_)                                              \
    { .name = (name_),                                                                                                 \
      .kind = HS_OPTION_NUMBER,                                                                                        \
      .target = (target_),                                                                                             \
      .value = (value_),                                                                                               \
      .min = (min_),                                                                                                   \
      .max = (max_),                                                                                                   \
      .help = (help_),                                                                                                 \
      .actions = (actions_) }
#define HS_FLAG(name, target, help) HS_FLAG_OF(NULL, name, target, help)
#define HS_TEXT(name, target, value, help) HS_TEXT_OF(NULL, name, target, value, help)
#define HS_INT(name, target, value, min, max, help) HS_INT_OF(NULL, name, target, value, min, max, help)
#define HS_NUMBER(name, target, value, min, max, help) HS_NUMBER_OF(NULL, name, target, value, min, max, help)

/* One form of a command: "rename OLD NEW". Several forms may have the same name. */
struct hs_action {
    const char *name;
    const char *arguments; /* as in struct hs_command */
    const char *summary;   /* "Rename a person" */
    int (*run)(void *arg); /* called by the command with its own state; returns the exit code */
};

/* An example in help. It works in a clone after `make demo`: pictures are those of .deps/samples, models those of
 * .deps/models, and the gallery is .deps/gallery/faces.db. An installed program prints it without these folders. */
struct hs_example {
    const char *line; /* without the program's name */
    const char *text; /* "Find the people in a picture" */
};

struct hs_command {
    const char *name;
    /* Names of the arguments and the required options: "OLD NEW", "[PICTURE…]", "FILE --name NAME". Brackets: optional;
     * "…": one or more. With actions: NULL. */
    const char *arguments;
    const char *summary; /* "Find people in pictures" */
    int (*run)(struct hs_invocation *call);
    const struct hs_action *actions;
    size_t action_count;
    const struct hs_example *examples;
    size_t example_count;
};

/* Initialisers for struct hs_command. */
#define HS_ACTIONS(table) .actions = (table), .action_count = HS_ARRAY_LEN(table)
#define HS_EXAMPLES(table) .examples = (table), .example_count = HS_ARRAY_LEN(table)

struct hs_program {
    const char *name; /* "hailo-pose" */
    const char *summary;
    const char *version;
    const struct hs_schema *schema; /* of its settings */
    const struct hs_app *app;       /* for the commands of service/app.h; NULL: the program has none of them */
    const struct hs_command *const *commands;
    size_t command_count;
};

/* ---- Invocations ---- */

/* Receives the options of a command, which are valid during the call. */
typedef void (*hs_options_reader)(void *arg, const struct hs_option *options, size_t count);

/* One call of one subcommand. argv[0] is the subcommand's name. */
struct hs_invocation {
    const struct hs_program *program;
    const struct hs_command *command;
    const struct hs_action *action; /* the chosen action; NULL: the command has none */
    int argc;
    char **argv;
    const char *executable;       /* argv[0] of the program */
    char prefix[64];              /* "hailo-pose detect": used in error messages */
    const char *models_dir;       /* --models; NULL: not given */
    const char *config_path;      /* --config; NULL: not given */
    const char *device;           /* --device; NULL: not given */
    struct hs_text_list sets;     /* --set key=value, in order */
    struct hs_text_list operands; /* arguments of the subcommand or action that are not options */

    /* Valid after hs_invocation_read; `quiet` and `verbose` are never both set. */
    bool quiet;    /* --quiet: print only results, warnings about them and errors: no progress, notes or summaries */
    bool verbose;  /* --verbose: the log has all details */
    bool color;    /* colours may be printed: standard output is a terminal, without --no-color and NO_COLOR */
    bool no_color; /* --no-color; commands use `color` */

    /* If set, hs_invocation_read only passes the command's options to it. */
    hs_options_reader reader;
    void *reader_arg;

    /* Set by a command whose log may be JSON: errors are then lines of the log, too. */
    bool logs;
    void (*peek_settings)(const struct hs_settings *settings); /* see struct hs_config_request; NULL: none */
};

/* Finds and runs the subcommand; returns the exit code. Adds `completion`, `help` and `version`. If the name of the
 * executable ends with "-server", runs `serve`. */
int hs_program_main(const struct hs_program *program, int argc, char **argv);

/* Reads a subcommand's arguments: its action, its own options, the common options, and the words that its table
 * allows. Returns true to continue; false if the subcommand must return *ret_code, because help or an error was
 * printed. A command calls it before it reads or prints anything. */
bool hs_invocation_read(struct hs_invocation *call, const struct hs_option *options, size_t count, int *ret_code);

/* Prints a report or an answer and a line feed to standard output. Takes the reference. A NULL `report` means that its
 * creation ran out of memory: HS_ENOMEM. */
int hs_print_json(json_t *report, enum hs_json_style style, struct hs_error *err);

/* Prints "hailo-pose detect: …" to stderr, followed by the usage if `code` is HS_EXIT_USAGE; or logs the message
 * (call->logs). Returns `code`, so that
 * `return hs_invocation_fail(…)` reads well. */
int hs_invocation_fail(const struct hs_invocation *call, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Prints "usage: hailo-pose detect PICTURE…; see 'hailo-pose detect --help'" to stderr. Returns HS_EXIT_USAGE. */
int hs_invocation_usage(const struct hs_invocation *call);

/* Loads the program's settings with --config, --models, --device, each --set, and the `extra` options (those without an
 * assignment count as not given). Prints errors and warnings to stderr, or logs them (call->logs). Returns HS_EXIT_OK,
 * HS_EXIT_FAILURE, or, after the usage, HS_EXIT_USAGE if all errors are in the command line; *ret_settings is untouched
 * on failure. The caller zeroes *problems before and calls hs_problems_finish after every call. Caller frees
 * *ret_settings with hs_settings_destroy. */
int hs_load_settings(const struct hs_invocation *call, const struct hs_config_override *extra, size_t extra_count,
                     struct hs_settings **ret_settings, struct hs_problems *problems);

/* Prints "Error: …" and "Warning: …" lines to stderr; skips notes. */
void hs_print_problems(const struct hs_problems *problems);

/* The same for every program. */
extern const struct hs_command hs_command_backends, hs_command_config;

#endif
