#include "cli/program.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "infer/runner.h"

enum { COMMON = 4, REPORT_MAX = 64 << 20 };

/* ---- Options ---- */

void hs_text_list_finish(struct hs_text_list *list)
{
    free(list->items);
    *list = (struct hs_text_list) { 0 };
}

bool hs_text_list_add(struct hs_text_list *list, const char *text)
{
    const char **items = realloc(list->items, (list->count + 1) * sizeof(*items));
    if (!items)
        return false;
    items[list->count++] = text;
    list->items = items;
    return true;
}

static const struct hs_option *find_option(const struct hs_option *options, size_t count, const char *name, size_t len)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(options[i].name) == len && memcmp(options[i].name, name, len) == 0)
            return &options[i];
    }
    return NULL;
}

static int complain_range(const char *who, const struct hs_option *option, const char *value)
{
    fprintf(stderr, "%s: --%s: must be a%s number between %g and %g, not '%s'\n", who, option->name,
            option->kind == HS_OPTION_INT ? " whole" : "", option->min, option->max, value);
    return HS_EXIT_USAGE;
}

static int set_value(const char *who, const struct hs_option *option, const char *value)
{
    double number;
    int64_t whole;
    switch (option->kind) {
    case HS_OPTION_TEXT:
        *(const char **) option->target = value;
        return HS_EXIT_OK;
    case HS_OPTION_LIST:
        if (hs_text_list_add(option->target, value))
            return HS_EXIT_OK;
        fprintf(stderr, "%s: no memory\n", who);
        return HS_EXIT_FAILURE;
    case HS_OPTION_INT:
        if (!hs_str_to_int64(value, &whole) || (double) whole < option->min || (double) whole > option->max)
            return complain_range(who, option, value);
        *(int64_t *) option->target = whole;
        return HS_EXIT_OK;
    case HS_OPTION_NUMBER:
        if (!hs_str_to_double(value, &number) || !(number >= option->min && number <= option->max))
            return complain_range(who, option, value);
        *(double *) option->target = number;
        return HS_EXIT_OK;
    case HS_OPTION_FLAG:
    default:
        *(bool *) option->target = true;
        return HS_EXIT_OK;
    }
}

/* Reads the option argv[*at]; advances *at if the value is a separate word. */
static int parse_option(const char *who, const struct hs_option *options, size_t count, int argc, char **argv, int *at)
{
    const char *name = argv[*at] + 2, *equals = strchr(name, '=');
    size_t len = equals ? (size_t) (equals - name) : strlen(name);
    const struct hs_option *option = argv[*at][1] == '-' ? find_option(options, count, name, len) : NULL;
    if (!option) {
        fprintf(stderr, "%s: unknown option '%s'; try '%s --help'\n", who, argv[*at], who);
        return HS_EXIT_USAGE;
    }
    bool flag = option->kind == HS_OPTION_FLAG;
    if (flag && equals) {
        fprintf(stderr, "%s: --%s takes no value\n", who, option->name);
        return HS_EXIT_USAGE;
    }
    if (!flag && !equals && *at + 1 >= argc) {
        fprintf(stderr, "%s: --%s needs a value (%s)\n", who, option->name, option->value);
        return HS_EXIT_USAGE;
    }
    const char *value = flag ? NULL : equals ? equals + 1 : argv[++*at];
    if (value && !value[0]) {
        fprintf(stderr, "%s: --%s: the value is empty (%s)\n", who, option->name, option->value);
        return HS_EXIT_USAGE;
    }
    return set_value(who, option, value);
}

/* Reads argv[1..]. *ret_help: --help was given, and the arguments after it were not checked. */
static int parse_options(const char *who, const struct hs_option *options, size_t count, int argc, char **argv,
                         struct hs_text_list *positional, size_t positional_max, bool *ret_help)
{
    bool only_positional = false;
    *ret_help = false;
    for (int i = 1; i < argc; i++) {
        int code = HS_EXIT_OK;
        if (!only_positional && strcmp(argv[i], "--") == 0) {
            only_positional = true;
        } else if (!only_positional && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
            *ret_help = true;
            return HS_EXIT_OK;
        } else if (!only_positional && argv[i][0] == '-' && argv[i][1] != '\0') {
            code = parse_option(who, options, count, argc, argv, &i);
        } else if (positional->count >= positional_max) {
            fprintf(stderr, "%s: unexpected argument '%s'; try '%s --help'\n", who, argv[i], who);
            code = HS_EXIT_USAGE;
        } else if (!hs_text_list_add(positional, argv[i])) {
            fprintf(stderr, "%s: no memory\n", who);
            code = HS_EXIT_FAILURE;
        }
        if (code != HS_EXIT_OK)
            return code;
    }
    return HS_EXIT_OK;
}

static void print_options(const struct hs_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char left[64];
        hs_str_format(left, sizeof(left), "--%s%s%s", options[i].name, options[i].value ? " " : "",
                      options[i].value ? options[i].value : "");
        printf("  %-26s %s\n", left, options[i].help);
    }
}

/* ---- Invocations ---- */

static void common_options(struct hs_invocation *call, struct hs_option ret[COMMON])
{
    const struct hs_option options[COMMON] = {
        HS_TEXT("models", &call->models_dir, "DIR",
                "folder of model files (else HS_MODELS_DIR, else the usual places)"),
        HS_TEXT("config", &call->config_path, "FILE", "configuration, JSON or YAML"),
        HS_TEXT("device", &call->device, "NAME", "auto, cpu, hailo, sim or sim:SCRIPT; wins over inference.device"),
        { .name = "set",
          .kind = HS_OPTION_LIST,
          .target = &call->sets,
          .value = "KEY=VALUE",
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
    print_options(common, COMMON);
    printf("\n'%s COMMAND --help' says more.\n", program->name);
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
    *ret_code = parse_options(call->who, all, count + COMMON, call->argc, call->argv, &call->words, words_max, &help);
    if (help) {
        printf("%s - %s\n\nusage: %s [OPTION]... %s\n\noptions:\n", call->who, call->command->summary, call->who,
               call->command->arguments);
        print_options(all, count + COMMON);
    }
    free(all);
    return *ret_code == HS_EXIT_OK && !help;
}

static bool logs(const struct hs_invocation *call)
{
    return call->logs && hs_log_get_format() == HS_LOG_JSON;
}

int hs_invocation_fail(const struct hs_invocation *call, int code, const char *format, ...)
{
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    if (logs(call)) {
        hs_log_error("%s", message);
        return code;
    }
    fprintf(stderr, "%s: %s\n", call->who, message);
    return code;
}

int hs_invocation_usage_of(const struct hs_invocation *call, const char *arguments)
{
    fprintf(stderr, "usage: %s %s; see '%s --help'\n", call->who, arguments, call->who);
    return HS_EXIT_USAGE;
}

int hs_invocation_usage(const struct hs_invocation *call)
{
    return hs_invocation_usage_of(call, call->command->arguments);
}

int hs_print_json(json_t *report, enum hs_json_style style, struct hs_error *err)
{
    struct hs_buf out;
    hs_buf_init(&out, REPORT_MAX);
    int r = report ? hs_json_write(report, style, &out) : HS_ENOMEM;
    json_decref(report);
    if (r == 0)
        printf("%.*s", (int) out.len, (const char *) out.data);
    hs_buf_finish(&out);
    return r < 0 ? hs_error_set(err, r, "no memory for the report") : 0;
}

void hs_print_problems(const struct hs_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct hs_problem *p = &problems->items[i];
        if (p->level != HS_PROBLEM_NOTE)
            fprintf(stderr, "%s: %s\n", p->level == HS_PROBLEM_ERROR ? "Error" : "Warning", p->text);
    }
    if (problems->dropped)
        fprintf(stderr, "… and %zu more\n", problems->dropped);
}

static void log_problems(const struct hs_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct hs_problem *p = &problems->items[i];
        if (p->level != HS_PROBLEM_NOTE)
            hs_log(p->level == HS_PROBLEM_ERROR ? HS_LOG_ERROR : HS_LOG_WARNING, "%s", p->text);
    }
    if (problems->dropped)
        hs_log_error("%zu more problem%s of the configuration", problems->dropped, problems->dropped == 1 ? "" : "s");
}

int hs_load_settings(const struct hs_invocation *call, const struct hs_config_override *extra, size_t extra_count,
                     struct hs_settings **ret_settings, struct hs_problems *problems)
{
    struct hs_config_override *overrides = calloc(call->sets.count + extra_count + 2, sizeof(*overrides));
    if (!overrides)
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "no memory");
    size_t count = 0;
    for (size_t i = 0; i < call->sets.count; i++)
        overrides[count++] = (struct hs_config_override) { "--set", NULL, call->sets.items[i] };
    if (call->models_dir)
        overrides[count++] = (struct hs_config_override) { "--models", "model.dir", call->models_dir };
    if (call->device)
        overrides[count++] = (struct hs_config_override) { "--device", "inference.device", call->device };
    for (size_t i = 0; i < extra_count; i++) {
        if (extra[i].assignment)
            overrides[count++] = extra[i];
    }
    const struct hs_config_request request = {
        .schema = call->program->schema,
        .path = call->config_path,
        .environment = (const char *const *) environ,
        .overrides = overrides,
        .override_count = count,
        .peek = call->peek_settings,
    };
    struct hs_error err;
    int r = hs_config_load(&request, ret_settings, problems, &err);
    free(overrides);
    if (r < 0)
        hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
    (logs(call) ? log_problems : hs_print_problems)(problems);
    if (r == 0)
        return HS_EXIT_OK;
    return problems->errors && problems->errors == problems->usage_errors ? HS_EXIT_USAGE : HS_EXIT_FAILURE;
}

/* ---- The program ---- */

/* Reads the common options before the subcommand's name. Returns the index of the name, or -1 on a usage error. */
static int skip_common(struct hs_invocation *call, int argc, char **argv)
{
    struct hs_option common[COMMON];
    int at = 1;
    common_options(call, common);
    for (; at < argc && argv[at][0] == '-' && strcmp(argv[at], "--help") != 0 && strcmp(argv[at], "-h") != 0 &&
           strcmp(argv[at], "--version") != 0;
         at++)
        if (parse_option(call->who, common, COMMON, argc, argv, &at) != HS_EXIT_OK)
            return -1;
    return at;
}

static int run_command(struct hs_invocation *call, const char *name, int argc, char **argv)
{
    const struct hs_program *program = call->program;
    for (size_t i = 0; i < program->command_count; i++) {
        if (strcmp(program->commands[i].name, name) == 0)
            call->command = &program->commands[i];
    }
    if (!call->command) {
        fprintf(stderr, "%s: unknown command '%s'; try '%s help'\n", program->name, name, program->name);
        return HS_EXIT_USAGE;
    }
    hs_str_format(call->who, sizeof(call->who), "%s %s", program->name, name);
    call->argc = argc;
    call->argv = argv;
    int code = call->command->run(call);
    /* A command succeeds only if its output was written. */
    if (code == HS_EXIT_OK && (fflush(stdout) != 0 || ferror(stdout)))
        code = hs_invocation_fail(call, HS_EXIT_FAILURE, "the output could not be written");
    if (hs_runner_any_leaked()) {
        fflush(NULL);
        _exit(code);
    }
    return code;
}

/* Opens /dev/null for standard descriptors that are closed. Otherwise the next file opened would get such a descriptor
 * and receive the program's output. */
static void open_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            _exit(HS_EXIT_FAILURE);
}

int hs_program_main(const struct hs_program *program, int argc, char **argv)
{
    open_standard_files();
#ifdef M_ARENA_MAX
    /* By default the C library creates up to eight heaps per processor, and each keeps its freed memory. With a single
     * heap the program uses a tenth less memory, because models are allocated and freed in megabytes. */
    mallopt(M_ARENA_MAX, 1);
    /* Bodies, pictures and answers get their own mappings, so that freeing them returns the memory at once and leaves
     * no holes. By default the library raises this threshold to up to 32 MB as large blocks are freed. */
    mallopt(M_MMAP_THRESHOLD, 512 << 10);
    mallopt(M_TRIM_THRESHOLD, 8 << 20);
#endif
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
