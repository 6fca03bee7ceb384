#include "cli/program.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

enum { COMMON = 4, REPORT_MAX = 64 << 20 };

static void common_options(struct hs_invocation *call, struct hs_option ret[COMMON])
{
    const struct hs_option options[COMMON] = {
        HS_TEXT("models", &call->models_dir, "DIR",
                "folder of model files (else HS_MODELS_DIR, else the usual places)"),
        HS_TEXT("config", &call->config_path, "FILE", "configuration, JSON or YAML"),
        HS_TEXT("device", &call->device, "NAME", "auto, cpu, hailo, sim or sim:SCRIPT; wins over inference.device"),
        { .name = "set", .kind = HS_OPTION_LIST, .target = &call->sets, .value = "KEY=VALUE",
          .help = "a setting that wins over the file and the environment; may be repeated" },
    };
    memcpy(ret, options, sizeof(options));
}

static void print_program_help(const struct hs_program *program)
{
    printf("%s - %s\n\nusage: %s COMMAND [OPTION]... [ARGUMENT]...\n\ncommands:\n", program->name, program->summary,
           program->name);
    for (size_t i = 0; i < program->command_count; i++)
        printf("  %-15s %s\n", program->commands[i].name, program->commands[i].summary);
    printf("  %-15s %s\n  %-15s %s\n\n", "version", "print the version", "help",
           "print this, or the help of a command");
    struct hs_invocation none = { .program = program };
    struct hs_option common[COMMON];
    common_options(&none, common);
    puts("options of every command:");
    hs_options_print(common, COMMON);
    printf("\n'%s COMMAND --help' says more.\n", program->name);
}

static void print_command_help(const struct hs_invocation *call, const struct hs_option *options, size_t count)
{
    printf("%s - %s\n\nusage: %s [OPTION]... %s\n\noptions:\n", call->who, call->command->summary, call->who,
           call->command->arguments);
    hs_options_print(options, count);
}

bool hs_invocation_parse(struct hs_invocation *call, const struct hs_option *options, size_t count, size_t words_max,
                         int *ret_code)
{
    struct hs_option *all = calloc(count + COMMON, sizeof(*all));
    if (!all) {
        *ret_code = hs_invocation_fail(call, HS_EXIT_FAILURE, "no memory");
        return false;
    }
    if (count)
        memcpy(all, options, count * sizeof(*all));
    common_options(call, all + count);
    bool help;
    *ret_code = hs_options_parse(call->who, all, count + COMMON, call->argc, call->argv, &call->words, words_max,
                                 &help);
    if (help)
        print_command_help(call, all, count + COMMON);
    free(all);
    return *ret_code == HS_EXIT_OK && !help;
}

int hs_invocation_fail(const struct hs_invocation *call, int code, const char *format, ...)
{
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    fprintf(stderr, "%s: %s\n", call->who, message);
    return code;
}

int hs_print_json(json_t *report, enum hs_json_style style, struct hs_error *err)
{
    struct hs_buf out;
    hs_buf_init(&out, REPORT_MAX);
    int r = report ? hs_json_write(report, style, &out) : HS_ENOMEM;
    json_decref(report);
    if (r == 0)
        printf("%.*s%s", (int) out.len, (const char *) out.data, style == HS_JSON_SPACED ? "\n" : "");
    hs_buf_finish(&out);
    return r < 0 ? hs_error_set(err, r, "no memory for the report") : 0;
}

static const struct hs_command *find(const struct hs_program *program, const char *name)
{
    for (size_t i = 0; i < program->command_count; i++) {
        if (strcmp(program->commands[i].name, name) == 0)
            return &program->commands[i];
    }
    return NULL;
}

/* Reads the options before the subcommand's name: only those of every command. Returns the index of the name, or -1. */
static int skip_common(struct hs_invocation *call, int argc, char **argv)
{
    struct hs_option common[COMMON];
    int at = 1;
    common_options(call, common);
    for (; at < argc && argv[at][0] == '-' && strcmp(argv[at], "--help") != 0 && strcmp(argv[at], "-h") != 0 &&
           strcmp(argv[at], "--version") != 0; at++)
        if (hs_option_parse(call->who, common, COMMON, argc, argv, &at) != HS_EXIT_OK)
            return -1;
    return at;
}

static int run_command(struct hs_invocation *call, const char *name, int argc, char **argv)
{
    const struct hs_program *program = call->program;
    call->command = find(program, name);
    if (!call->command) {
        fprintf(stderr, "%s: unknown command '%s'; try '%s help'\n", program->name, name, program->name);
        return HS_EXIT_USAGE;
    }
    hs_str_format(call->who, sizeof(call->who), "%s %s", program->name, name);
    call->argc = argc;
    call->argv = argv;
    int code = call->command->run(call);
    /* A command succeeds only if its output has arrived. */
    if (code == HS_EXIT_OK && (fflush(stdout) != 0 || ferror(stdout)))
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "the output could not be written");
    return code;
}

/* By default the C library makes up to eight heaps a processor for its threads, and each keeps memory that was freed in
 * it. Models come and go in pieces of megabytes; with one heap for all the program stays a tenth smaller. Called before
 * any thread starts. */
static void share_one_heap(void)
{
#ifdef M_ARENA_MAX
    mallopt(M_ARENA_MAX, 1);
#endif
}

int hs_program_main(const struct hs_program *program, int argc, char **argv)
{
    share_one_heap();
    struct hs_invocation call = { .program = program };
    hs_str_copy(call.who, sizeof(call.who), program->name);
    bool server = argc > 0 && hs_str_ends(hs_path_base(argv[0]), "-server");
    int at = server ? 0 : skip_common(&call, argc, argv), code;
    const char *name = at >= 0 && at < argc ? argv[at] : NULL;
    if (server) {
        code = run_command(&call, "serve", argc, argv);
    } else if (at < 0) {
        code = HS_EXIT_USAGE;
    } else if (!name) {
        fprintf(stderr, "usage: %s COMMAND [OPTION]... [ARGUMENT]...; try '%s help'\n", program->name, program->name);
        code = HS_EXIT_USAGE;
    } else if (strcmp(name, "version") == 0 || strcmp(name, "--version") == 0) {
        printf("%s %s\n", program->name, program->version);
        code = HS_EXIT_OK;
    } else if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 ||
               (strcmp(name, "help") == 0 && at + 1 >= argc)) {
        print_program_help(program);
        code = HS_EXIT_OK;
    } else if (strcmp(name, "help") == 0) {
        char *help[] = { argv[at + 1], (char[]) { "--help" }, NULL };
        code = run_command(&call, argv[at + 1], 2, help);
    } else {
        code = run_command(&call, name, argc - at, argv + at);
    }
    hs_text_list_finish(&call.words);
    hs_text_list_finish(&call.sets);
    return code;
}
