/* A program of subcommands. Each names its own options; --models, --config, --device and --set hold for all of them,
 * before or after the subcommand's name. */
#ifndef HS_CLI_PROGRAM_H
#define HS_CLI_PROGRAM_H

#include <jansson.h>
#include <stddef.h>

#include "base/json_writer.h"
#include "cli/options.h"

struct hs_app;
struct hs_invocation;
struct hs_schema;

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
    const struct hs_app *app;       /* for the commands of service/app.h; NULL: it has none of them */
    const struct hs_command *commands;
    size_t command_count;
};

/* One call of one subcommand. argv[0] is the subcommand's name. */
struct hs_invocation {
    const struct hs_program *program;
    const struct hs_command *command;
    int argc;
    char **argv;
    char who[64]; /* "hailo-pose detect": begins complaints */
    const char *models_dir;  /* --models; NULL: not given */
    const char *config_path; /* --config; NULL: not given */
    const char *device;      /* --device; NULL: not given */
    struct hs_text_list sets; /* --set key=value, in order */
    struct hs_text_list words; /* arguments of the subcommand that are not options */
};

/* Finds and runs the subcommand; gives the exit code. `help` and `--help`, `version` and `--version` are handled here.
 * A program called by a name that ends with "-server" runs `serve`. */
int hs_program_main(const struct hs_program *program, int argc, char **argv);

/* Reads a subcommand's arguments: its own options, those for all, and at most `words_max` words. Returns true to go on;
 * false: done, with *ret_code (help was printed, or the usage was wrong). */
bool hs_invocation_parse(struct hs_invocation *call, const struct hs_option *options, size_t count, size_t words_max,
                         int *ret_code);

/* Prints a report or an answer on standard output and a line feed after it. Takes the reference; NULL means that there
 * was no memory for it. */
int hs_print_json(json_t *report, enum hs_json_style style, struct hs_error *err);

/* Prints "hailo-pose detect: …" on stderr and gives `code`, so that `return hs_invocation_fail(…)` reads well. */
int hs_invocation_fail(const struct hs_invocation *call, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
