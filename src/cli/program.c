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
#include "cli/command_table.h"
#include "infer/runner.h"

enum { REPORT_MAX = 64 << 20 };

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

static int complain_unknown(const struct hs_invocation *call, const char *what, const char *word, const char *meant);

/* `word`: "--name", "--name=value" or "-n". */
static const struct hs_option *find_option(const struct hs_option *options, size_t count, const char *word)
{
    size_t len = strcspn(word, "=");
    for (size_t i = 0; i < count; i++) {
        if (word[1] == '-' && strlen(options[i].name) + 2 == len && memcmp(options[i].name, word + 2, len - 2) == 0)
            return &options[i];
        if (word[1] == options[i].letter && word[1] && !word[2])
            return &options[i];
    }
    return NULL;
}

static int report_range(const struct hs_invocation *call, const struct hs_option *option, const char *value)
{
    return hs_invocation_fail(call, HS_EXIT_USAGE, "--%s: must be a%s number between %g and %g, not '%s'", option->name,
                              option->kind == HS_OPTION_INT ? " whole" : "", option->min, option->max, value);
}

static int set_value(const struct hs_invocation *call, const struct hs_option *option, const char *value)
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
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "no memory");
    case HS_OPTION_INT:
        if (!hs_str_to_int64(value, &whole) || (double) whole < option->min || (double) whole > option->max)
            return report_range(call, option, value);
        *(int64_t *) option->target = whole;
        return HS_EXIT_OK;
    case HS_OPTION_NUMBER:
        if (!hs_str_to_double(value, &number) || !(number >= option->min && number <= option->max))
            return report_range(call, option, value);
        *(double *) option->target = number;
        return HS_EXIT_OK;
    case HS_OPTION_FLAG:
    default:
        *(bool *) option->target = true;
        return HS_EXIT_OK;
    }
}

static int complain_option(const struct hs_invocation *call, const struct hs_option *options, size_t count,
                           const char *word)
{
    char name[64], meant[72];
    const char *nearest = NULL;
    size_t len = strcspn(word, "="), dashes = strspn(word, "-");
    if (len > dashes && hs_str_copy_n(name, sizeof(name), word + dashes, len - dashes)) {
        size_t distance = hs_str_near(name);
        for (size_t i = 0; i < count; i++)
            if (options[i].help && hs_str_nearer(name, options[i].name, &distance))
                nearest = options[i].name;
    }
    if (nearest)
        hs_str_format(meant, sizeof(meant), "--%s", nearest);
    return complain_unknown(call, "option", word, nearest ? meant : NULL);
}

/* Reads the option argv[*at]; advances *at if the value is a separate word. */
static int parse_option(const struct hs_invocation *call, const struct hs_option *options, bool *given, size_t count,
                        int argc, char **argv, int *at)
{
    const struct hs_option *option = find_option(options, count, argv[*at]);
    const char *equals = strchr(argv[*at], '=');
    if (!option)
        return complain_option(call, options, count, argv[*at]);
    bool flag = option->kind == HS_OPTION_FLAG;
    if (flag && equals)
        return hs_invocation_fail(call, HS_EXIT_USAGE, "--%s takes no value", option->name);
    if (!flag && !equals && *at + 1 >= argc)
        return hs_invocation_fail(call, HS_EXIT_USAGE, "--%s needs a value (%s)", option->name, option->value);
    const char *value = flag ? NULL : equals ? equals + 1 : argv[++*at];
    if (value && !value[0])
        return hs_invocation_fail(call, HS_EXIT_USAGE, "--%s: the value is empty (%s)", option->name, option->value);
    given[option - options] = true;
    return set_value(call, option, value);
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* Reads call->argv[1..]. *ret_help: --help was given, and the arguments after it were not checked. */
static int parse_options(struct hs_invocation *call, const struct hs_option *options, bool *given, size_t count,
                         bool *ret_help)
{
    bool only_words = false;
    char **argv = call->argv;
    for (int i = 1; i < call->argc; i++) {
        int code = HS_EXIT_OK;
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
        } else if (!only_words && is_help(argv[i])) {
            *ret_help = true;
            return HS_EXIT_OK;
        } else if (!only_words && argv[i][0] == '-' && argv[i][1] != '\0') {
            code = parse_option(call, options, given, count, call->argc, argv, &i);
        } else if (!hs_text_list_add(&call->operands, argv[i])) {
            code = hs_invocation_fail(call, HS_EXIT_FAILURE, "no memory");
        }
        if (code != HS_EXIT_OK)
            return code;
    }
    return HS_EXIT_OK;
}

/* ---- Tables ---- */

static int run_help(struct hs_invocation *call);
static int run_version(struct hs_invocation *call);

static const struct hs_example help_examples[] = {
    { "help models", "Show the actions and options of a command" },
    { "help models pull", "Show those of one action" },
};
static const struct hs_command help_command = {
    .name = "help",
    .arguments = "[COMMAND [ACTION]]",
    .summary = "Show help for a command",
    .run = run_help,
    HS_EXAMPLES(help_examples),
};
static const struct hs_command version_command = {
    .name = "version",
    .arguments = "",
    .summary = "Print the version",
    .run = run_version,
};
static const struct hs_command *const own_commands[] = { &hs_command_completion, &help_command, &version_command };

const struct hs_command *hs_program_command(const struct hs_program *program, size_t index)
{
    if (index < program->command_count)
        return program->commands[index];
    index -= program->command_count;
    return index < HS_ARRAY_LEN(own_commands) ? own_commands[index] : NULL;
}

const struct hs_command *hs_program_find(const struct hs_program *program, const char *name)
{
    const struct hs_command *command;
    for (size_t i = 0; (command = hs_program_command(program, i)); i++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}

void hs_common_options(struct hs_invocation *call, struct hs_option ret_options[HS_COMMON_OPTIONS])
{
    static bool help; /* never set: parse_options handles --help */
    const struct hs_option options[HS_COMMON_OPTIONS] = {
        HS_TEXT("models", &call->models_dir, "DIR",
                "folder of model files (default: model.dir, HS_MODELS_DIR or the usual folders)"),
        HS_TEXT("config", &call->config_path, "FILE", "configuration file, JSON or YAML"),
        HS_TEXT("device", &call->device, "auto|cpu|hailo|sim",
                "device that runs the model (default: inference.device); sim:SCRIPT is a scripted one"),
        { .name = "set",
          .kind = HS_OPTION_LIST,
          .target = &call->sets,
          .value = "KEY=VALUE",
          .help = "change a setting for this run, such as logging.level=DEBUG; may be repeated" },
        { .name = "quiet", .letter = 'q', .target = &call->quiet, .help = "print only results and errors" },
        { .name = "verbose", .letter = 'v', .target = &call->verbose, .help = "log all details" },
        HS_FLAG("no-color", &call->no_color, "print without colours, as with NO_COLOR=1"),
        { .name = "help", .letter = 'h', .target = &help, .help = "show help and exit" },
    };
    memcpy(ret_options, options, sizeof(options));
}

void hs_command_read_options(const struct hs_program *program, const struct hs_command *command,
                             hs_options_reader reader, void *arg)
{
    char *argv[] = { (char *) (uintptr_t) command->name, NULL };
    struct hs_invocation call = {
        .program = program, .command = command, .argc = 1, .argv = argv, .reader = reader, .reader_arg = arg
    };
    command->run(&call);
}

bool hs_option_is_shown(const struct hs_option *option, const char *action)
{
    size_t len = action ? strlen(action) : 0;
    if (!option->help || !option->actions || !action)
        return option->help;
    for (const char *at = option->actions; (at = strstr(at, action)); at += len)
        if ((at == option->actions || at[-1] == ' ') && (at[len] == ' ' || !at[len]))
            return true;
    return false;
}

void hs_option_actions(const struct hs_option *option, char *dst, size_t size)
{
    const char *from = option->actions;
    for (; *from && size > 2; from++) {
        if (*from == ' ') {
            *dst++ = ',';
            size--;
        }
        *dst++ = *from;
        size--;
    }
    *dst = '\0';
}

bool hs_action_is_repeated(const struct hs_command *command, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (strcmp(command->actions[i].name, command->actions[index].name) == 0)
            return true;
    return false;
}

bool hs_command_has_arguments(const struct hs_command *command)
{
    for (size_t i = 0; i < command->action_count; i++)
        if (command->actions[i].arguments[0])
            return true;
    return command->arguments && command->arguments[0];
}

enum hs_value_kind hs_option_value_kind(const struct hs_option *option)
{
    const char *value = option->value;
    return !value                                                         ? HS_VALUE_NONE
           : strcmp(value, "DIR") == 0                                    ? HS_VALUE_DIR
           : strcmp(value, "FILE") == 0 || strcmp(value, "FILE|DIR") == 0 ? HS_VALUE_FILE
           : strchr(value, '|') && value[0] >= 'a' && value[0] <= 'z'     ? HS_VALUE_WORDS
                                                                          : HS_VALUE_TEXT;
}

void hs_each_word(const char *text, char separator, void (*visit)(const char *word, size_t len, void *arg), void *arg)
{
    const char separators[] = { separator, '\0' };
    for (text += strspn(text, separators); *text; text += strspn(text, separators)) {
        size_t len = strcspn(text, separators);
        visit(text, len, arg);
        text += len;
    }
}

/* ---- The words of an invocation ---- */

/* The requirements of a command's or action's arguments. */
struct form {
    const char *text;    /* "FILE --name NAME" */
    size_t least, most;  /* number of words */
    const char *missing; /* name of the first required word that is not given; NULL: none */
    size_t missing_len;
    const char *option; /* the first required option that is not given; NULL: none */
    size_t option_len;
    bool chosen; /* one of its options is given */
};

struct form_reader {
    struct form *form;
    const struct hs_option *options;
    const bool *given;
    size_t count, words;
    int depth;
    bool value; /* the next word is the value of an option */
};

static void read_form_word(const char *word, size_t len, void *arg)
{
    static const char repeated[] = "…";
    struct form_reader *reader = arg;
    struct form *form = reader->form;
    for (; len && *word == '['; word++, len--)
        reader->depth++;
    bool optional = reader->depth > 0, option = len > 2 && word[0] == '-' && word[1] == '-';
    for (; len && word[len - 1] == ']'; len--)
        reader->depth--;
    bool many = len > strlen(repeated) && memcmp(word + len - strlen(repeated), repeated, strlen(repeated)) == 0;
    bool value = reader->value;
    reader->value = option;
    if (value)
        return;
    if (option) {
        for (size_t i = 0; i < reader->count; i++) {
            if (strlen(reader->options[i].name) + 2 != len || memcmp(reader->options[i].name, word + 2, len - 2) != 0)
                continue;
            form->chosen |= reader->given[i];
            if (!reader->given[i] && !optional && !form->option) {
                form->option = word;
                form->option_len = len;
            }
        }
        return;
    }
    if (!optional && form->least == reader->words) {
        form->missing = word;
        form->missing_len = many ? len - strlen(repeated) : len;
    }
    form->least += !optional;
    form->most = many ? SIZE_MAX : form->most == SIZE_MAX ? SIZE_MAX : form->most + 1;
}

static struct form read_form(const char *arguments, const struct hs_option *options, const bool *given, size_t count,
                             size_t words)
{
    struct form form = { .text = arguments };
    struct form_reader reader = { .form = &form, .options = options, .given = given, .count = count, .words = words };
    hs_each_word(arguments, ' ', read_form_word, &reader);
    return form;
}

static bool fits(const struct form *form, size_t words)
{
    return words >= form->least && words <= form->most && !form->option;
}

/* Returns the form that the invocation uses: the first one of which an option is given, else the first that fits, else
 * the first. */
static struct form choose_form(const struct hs_invocation *call, const struct hs_option *options, const bool *given,
                               size_t count)
{
    const struct hs_command *command = call->command;
    struct form best = { .text = NULL };
    if (!call->action)
        return read_form(command->arguments, options, given, count, call->operands.count);
    for (size_t i = 0; i < command->action_count; i++) {
        if (strcmp(command->actions[i].name, call->action->name) != 0)
            continue;
        struct form form = read_form(command->actions[i].arguments, options, given, count, call->operands.count);
        if (!best.text || form.chosen || (!fits(&best, call->operands.count) && fits(&form, call->operands.count)))
            best = form;
        if (form.chosen)
            break;
    }
    return best;
}

/* Prints an error and the usage. `meant`: the suggestion, or NULL. */
static int complain_unknown(const struct hs_invocation *call, const char *what, const char *word, const char *meant)
{
    return hs_invocation_fail(call, HS_EXIT_USAGE, "unknown %s '%s'%s%s%s", what, word, meant ? ". Did you mean '" : "",
                              meant ? meant : "", meant ? "'?" : "");
}

/* Takes the action from the words. Returns an exit code; leaves call->action NULL if no word is given. */
static int choose_action(struct hs_invocation *call)
{
    const struct hs_command *command = call->command;
    const char *meant = NULL;
    if (call->operands.count == 0)
        return HS_EXIT_OK;
    const char *name = call->operands.items[0];
    size_t distance = hs_str_near(name);
    for (size_t i = 0; i < command->action_count && !call->action; i++) {
        if (strcmp(command->actions[i].name, name) == 0)
            call->action = &command->actions[i];
        if (hs_str_nearer(name, command->actions[i].name, &distance))
            meant = command->actions[i].name;
    }
    if (!call->action)
        return complain_unknown(call, "action", name, meant);
    size_t len = strlen(call->prefix);
    hs_str_format(call->prefix + len, sizeof(call->prefix) - len, " %s", call->action->name);
    call->operands.count--;
    memmove(call->operands.items, call->operands.items + 1, call->operands.count * sizeof(*call->operands.items));
    return HS_EXIT_OK;
}

static int report_no_action(const struct hs_invocation *call)
{
    const struct hs_command *command = call->command;
    char names[400] = "";
    for (size_t i = 0; i < command->action_count; i++) {
        size_t used = strlen(names);
        if (!hs_action_is_repeated(command, i))
            hs_str_format(names + used, sizeof(names) - used, "%s%s", used ? ", " : "", command->actions[i].name);
    }
    return hs_invocation_fail(call, HS_EXIT_USAGE, "the action is missing: %s", names);
}

static int check_words(const struct hs_invocation *call, const struct hs_option *options, const bool *given,
                       size_t count)
{
    const char *action = call->action ? call->action->name : NULL;
    char actions[200];
    for (size_t i = 0; action && i < count; i++)
        if (given[i] && options[i].help && !hs_option_is_shown(&options[i], action)) {
            hs_option_actions(&options[i], actions, sizeof(actions));
            return hs_invocation_fail(call, HS_EXIT_USAGE, "--%s is only for %s", options[i].name, actions);
        }
    if (call->command->action_count && !action)
        return report_no_action(call);
    const struct form form = choose_form(call, options, given, count);
    if (form.option)
        return hs_invocation_fail(call, HS_EXIT_USAGE, "%.*s is missing", (int) form.option_len, form.option);
    if (call->operands.count > form.most)
        return hs_invocation_fail(call, HS_EXIT_USAGE, "unexpected argument '%s'", call->operands.items[form.most]);
    if (form.missing)
        return hs_invocation_fail(call, HS_EXIT_USAGE, "%.*s is missing", (int) form.missing_len, form.missing);
    if (call->quiet && call->verbose)
        return hs_invocation_fail(call, HS_EXIT_USAGE, "--quiet and --verbose exclude each other");
    return HS_EXIT_OK;
}

/* ---- Invocations ---- */

/* See https://no-color.org. */
static bool has_color(const struct hs_invocation *call)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    return !call->no_color && !(no_color && no_color[0]) && term && strcmp(term, "dumb") != 0 && isatty(STDOUT_FILENO);
}

bool hs_invocation_read(struct hs_invocation *call, const struct hs_option *options, size_t count, int *ret_code)
{
    if (call->reader) {
        call->reader(call->reader_arg, options, count);
        *ret_code = HS_EXIT_OK;
        return false;
    }
    size_t total = count + HS_COMMON_OPTIONS;
    struct hs_option *all = calloc(total, sizeof(*all));
    bool *given = calloc(total, sizeof(*given)), help = false;
    if (all && given) {
        if (count)
            memcpy(all, options, count * sizeof(*all));
        hs_common_options(call, all + count);
        *ret_code = parse_options(call, all, given, total, &help);
        call->color = has_color(call);
        if (*ret_code == HS_EXIT_OK && call->command->action_count)
            *ret_code = choose_action(call);
        if (*ret_code == HS_EXIT_OK && !help)
            *ret_code = check_words(call, all, given, total);
        if (*ret_code == HS_EXIT_OK && help)
            hs_help_command(call, options, count);
    } else {
        *ret_code = hs_invocation_fail(call, HS_EXIT_FAILURE, "no memory");
    }
    free(given);
    free(all);
    return *ret_code == HS_EXIT_OK && !help;
}

static bool logs(const struct hs_invocation *call)
{
    return call->logs && hs_log_get_format() == HS_LOG_JSON;
}

int hs_invocation_usage(const struct hs_invocation *call)
{
    fputs("usage: ", stderr);
    hs_help_usage(call, stderr);
    fprintf(stderr, "; see '%s --help'\n", call->prefix);
    return HS_EXIT_USAGE;
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
    fprintf(stderr, "%s%s: %s\n", hs_log_journal_prefix(HS_LOG_ERROR), call->prefix, message);
    return code == HS_EXIT_USAGE ? hs_invocation_usage(call) : code;
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
        if (p->level == HS_PROBLEM_ERROR)
            fprintf(stderr, "%sError: %s\n", hs_log_journal_prefix(HS_LOG_ERROR), p->text);
        else if (p->level == HS_PROBLEM_WARNING)
            fprintf(stderr, "%sWarning: %s\n", hs_log_journal_prefix(HS_LOG_WARNING), p->text);
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
    if (!problems->errors || problems->errors != problems->usage_errors)
        return HS_EXIT_FAILURE;
    return logs(call) ? HS_EXIT_USAGE : hs_invocation_usage(call);
}

/* ---- The program ---- */

/* Reads the common options before the subcommand's name. Returns the index of the name, or -1 on a usage error. */
static int skip_common(struct hs_invocation *call, int argc, char **argv)
{
    struct hs_option common[HS_COMMON_OPTIONS];
    bool given[HS_COMMON_OPTIONS];
    int at = 1;
    hs_common_options(call, common);
    for (; at < argc && argv[at][0] == '-' && !is_help(argv[at]) && strcmp(argv[at], "--version") != 0 &&
           strcmp(argv[at], "-V") != 0;
         at++)
        if (parse_option(call, common, given, HS_COMMON_OPTIONS, argc, argv, &at) != HS_EXIT_OK)
            return -1;
    return at;
}

static int run_command(struct hs_invocation *call, const char *name, int argc, char **argv)
{
    const struct hs_program *program = call->program;
    call->command = hs_program_find(program, name);
    if (!call->command) {
        const struct hs_command *command;
        const char *meant = NULL;
        size_t distance = hs_str_near(name);
        for (size_t i = 0; (command = hs_program_command(program, i)); i++)
            if (hs_str_nearer(name, command->name, &distance))
                meant = command->name;
        return complain_unknown(call, "command", name, meant);
    }
    hs_str_format(call->prefix, sizeof(call->prefix), "%s %s", program->name, name);
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

static int run_help(struct hs_invocation *call)
{
    bool man = false;
    const struct hs_option options[] = { HS_FLAG("man", &man, NULL) };
    int code;
    if (!hs_invocation_read(call, options, HS_ARRAY_LEN(options), &code))
        return code;
    if (man) {
        hs_man_page(call->program);
        return HS_EXIT_OK;
    }
    if (call->operands.count == 0) {
        hs_help_program(call);
        return HS_EXIT_OK;
    }
    struct hs_invocation asked = { .program = call->program, .executable = call->executable };
    char *argv[4] = { NULL };
    int argc = 0;
    hs_str_copy(asked.prefix, sizeof(asked.prefix), call->program->name);
    for (size_t i = 0; i < call->operands.count; i++)
        argv[argc++] = (char *) (uintptr_t) call->operands.items[i];
    argv[argc++] = (char[]) { "--help" };
    asked.no_color = call->no_color;
    code = run_command(&asked, argv[0], argc, argv);
    hs_text_list_finish(&asked.operands);
    return code;
}

static int run_version(struct hs_invocation *call)
{
    int code;
    if (!hs_invocation_read(call, NULL, 0, &code))
        return code;
    printf("%s %s\n", call->program->name, call->program->version);
    return HS_EXIT_OK;
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
    bool server = argc > 0 && hs_str_ends(hs_path_base(argv[0]), "-server");
    struct hs_invocation call = { .program = program, .executable = argc > 0 ? argv[0] : program->name };
    hs_str_copy(call.prefix, sizeof(call.prefix), program->name);
    int at = server ? 0 : skip_common(&call, argc, argv), code;
    const char *name = server ? "serve" : at >= 0 && at < argc ? argv[at] : NULL;
    if (at < 0)
        code = HS_EXIT_USAGE;
    else if (!name)
        code = hs_invocation_fail(&call, HS_EXIT_USAGE, "the command is missing");
    else if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        code = run_command(&call, "version", 1, (char *[]) { (char[]) { "version" }, NULL });
    else if (is_help(name))
        code = run_command(&call, "help", 1, (char *[]) { (char[]) { "help" }, NULL });
    else
        code = run_command(&call, name, argc - at, argv + at);
    hs_text_list_finish(&call.operands);
    hs_text_list_finish(&call.sets);
    return code;
}
