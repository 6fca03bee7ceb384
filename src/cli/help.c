/* Help texts, generated from the tables of commands. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "base/terminal.h"
#include "cli/command_table.h"

enum { LINE_WIDTH = 80, LEFT_MAX = 30, LEFT_SIZE = 160, SHOWN_EXAMPLES = 3 };

/* Parts of examples that only a clone needs. */
static const char *const of_clone[] = { " --models .deps/models", " --set database.db_file=.deps/gallery/faces.db",
                                        ".deps/samples/" };

static size_t columns(const char *text, size_t len)
{
    return (size_t) hs_terminal_width(text, len);
}

/* Prints the words of the text from column `left` on, in lines of at most LINE_WIDTH characters. */
static void print_wrapped(const char *text, size_t left)
{
    size_t at = left;
    for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
        size_t len = strcspn(text, " "), width = columns(text, len);
        bool first = at == left;
        if (!first && at + 1 + width > LINE_WIDTH) {
            printf("\n%*s", (int) left, "");
            at = left;
            first = true;
        }
        printf("%s%.*s", first ? "" : " ", (int) len, text);
        at += width + !first;
        text += len;
    }
    putchar('\n');
}

static void print_row(const char *left, size_t width, const char *text)
{
    size_t used = columns(left, strlen(left));
    printf("  %s", left);
    if (used > width)
        printf("\n%*s", (int) width + 4, "");
    else
        printf("%*s", (int) (width - used) + 2, "");
    print_wrapped(text, width + 4);
}

static void print_heading(const struct hs_invocation *call, const char *heading)
{
    printf("\n%s%s%s\n", call->color ? HS_TERMINAL_BOLD : "", heading, call->color ? HS_TERMINAL_NORMAL : "");
}

/* ---- Options ---- */

static void option_left(const struct hs_option *option, char ret_text[LEFT_SIZE])
{
    char letter[8] = "";
    if (option->letter)
        hs_str_format(letter, sizeof(letter), "-%c, ", option->letter);
    hs_str_format(ret_text, LEFT_SIZE, "%s--%s%s%s", letter, option->name, option->value ? " " : "",
                  option->value ? option->value : "");
}

static size_t widest_option(const struct hs_option *options, size_t count, const char *action, size_t width)
{
    char left[LEFT_SIZE];
    for (size_t i = 0; i < count; i++) {
        option_left(&options[i], left);
        size_t used = columns(left, strlen(left));
        if (hs_option_is_shown(&options[i], action) && used > width && used <= LEFT_MAX)
            width = used;
    }
    return width;
}

/* Without an action, an option of some actions begins with their names. */
static void print_options(const struct hs_option *options, size_t count, const char *action, size_t width)
{
    for (size_t i = 0; i < count; i++) {
        char left[LEFT_SIZE], text[400], only[200] = "";
        if (!hs_option_is_shown(&options[i], action))
            continue;
        option_left(&options[i], left);
        if (!action && options[i].actions)
            hs_option_actions(&options[i], only, sizeof(only));
        hs_str_format(text, sizeof(text), "%s%s%s", only, only[0] ? ": " : "", options[i].help);
        print_row(left, width, text);
    }
}

/* ---- Examples ---- */

void hs_print_example(const char *program, const struct hs_example *example, bool in_clone)
{
    printf("%s ", program);
    for (const char *at = example->line; *at; at++) {
        size_t len = 0;
        for (size_t i = 0; !in_clone && i < HS_ARRAY_LEN(of_clone); i++)
            if (hs_str_starts(at, of_clone[i]))
                len = strlen(of_clone[i]);
        if (len)
            at += len - 1;
        else
            putchar(*at);
    }
    putchar('\n');
}

static void print_examples(const struct hs_invocation *call, const struct hs_example *examples, size_t count,
                           bool *headed)
{
    char source[PATH_MAX];
    bool in_clone = hs_path_of_program(source, sizeof(source), "source") && hs_file_exists(source);
    for (size_t i = 0; i < count; i++) {
        if (!*headed)
            print_heading(call, "Examples:");
        *headed = true;
        printf("  # %s\n  ", examples[i].text);
        hs_print_example(in_clone ? call->executable : call->program->name, &examples[i], in_clone);
    }
}

/* Returns true if the example is of that action: its line begins with "command action". */
static bool is_of_action(const struct hs_example *example, const struct hs_command *command, const char *action)
{
    char start[LEFT_SIZE];
    hs_str_format(start, sizeof(start), "%s %s", command->name, action);
    size_t len = strlen(start);
    return hs_str_starts(example->line, start) && (!example->line[len] || example->line[len] == ' ');
}

/* ---- Usage ---- */

static void print_form(const struct hs_invocation *call, const char *arguments, FILE *file)
{
    fprintf(file, "%s%s%s", call->prefix, arguments[0] ? " " : "", arguments);
}

void hs_help_usage(const struct hs_invocation *call, FILE *file)
{
    const struct hs_command *command = call->command;
    bool first = true;
    if (!command)
        print_form(call, "COMMAND [ARGUMENT…] [OPTION…]", file);
    else if (!call->action)
        print_form(call, command->action_count ? "ACTION [ARGUMENT…] [OPTION…]" : command->arguments, file);
    for (size_t i = 0; call->action && i < command->action_count; i++) {
        if (strcmp(command->actions[i].name, call->action->name) != 0)
            continue;
        fputs(first ? "" : "\n       ", file);
        print_form(call, command->actions[i].arguments, file);
        first = false;
    }
}

static void print_usage(const struct hs_invocation *call)
{
    fputs("\nusage: ", stdout);
    hs_help_usage(call, stdout);
    puts(call->command && (call->action || !call->command->action_count) ? " [OPTION…]" : "");
}

/* ---- The program and its commands ---- */

void hs_help_program(struct hs_invocation *call)
{
    const struct hs_program *program = call->program;
    const struct hs_command *command, *asked = call->command;
    struct hs_option common[HS_COMMON_OPTIONS];
    bool headed = false;
    size_t shown = 0;
    hs_common_options(call, common);
    call->command = NULL;
    hs_str_copy(call->prefix, sizeof(call->prefix), program->name);
    puts(program->summary);
    print_usage(call);
    print_heading(call, "Commands:");
    for (size_t i = 0; (command = hs_program_command(program, i)); i++)
        print_row(command->name, 15, command->summary);
    print_heading(call, "Options of every command:");
    print_options(common, HS_COMMON_OPTIONS, NULL, widest_option(common, HS_COMMON_OPTIONS, NULL, 0));
    print_row("-V, --version", widest_option(common, HS_COMMON_OPTIONS, NULL, 0), "print the version and exit");
    for (size_t i = 0; i < program->command_count && shown < SHOWN_EXAMPLES; i++) {
        size_t count = program->commands[i]->example_count > 0;
        print_examples(call, program->commands[i]->examples, count, &headed);
        shown += count;
    }
    printf("\nRun '%s help COMMAND' for the arguments, options and examples of a command.\n", program->name);
    call->command = asked;
}

static void print_actions(const struct hs_invocation *call)
{
    const struct hs_command *command = call->command;
    char left[LEFT_SIZE];
    size_t width = 0;
    if (!command->action_count || call->action)
        return;
    print_heading(call, "Actions:");
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < command->action_count; i++) {
            const struct hs_action *action = &command->actions[i];
            hs_str_format(left, sizeof(left), "%s%s%s", action->name, action->arguments[0] ? " " : "",
                          action->arguments);
            size_t used = columns(left, strlen(left));
            if (pass == 1)
                print_row(left, width, action->summary);
            else if (used > width && used <= LEFT_MAX)
                width = used;
        }
    }
}

void hs_help_command(struct hs_invocation *call, const struct hs_option *options, size_t count)
{
    const struct hs_command *command = call->command;
    const char *action = call->action ? call->action->name : NULL;
    struct hs_option common[HS_COMMON_OPTIONS];
    size_t shown = 0;
    bool headed = false;
    hs_common_options(call, common);
    size_t width = widest_option(common, HS_COMMON_OPTIONS, NULL, widest_option(options, count, action, 0));
    if (!action)
        puts(command->summary);
    for (size_t i = 0; action && i < command->action_count; i++)
        if (strcmp(command->actions[i].name, action) == 0)
            printf("%s\n", command->actions[i].summary);
    print_usage(call);
    print_actions(call);
    for (size_t i = 0; i < count; i++)
        shown += hs_option_is_shown(&options[i], action);
    if (shown) {
        print_heading(call, "Options:");
        print_options(options, count, action, width);
    }
    print_heading(call, "Options of every command:");
    print_options(common, HS_COMMON_OPTIONS, NULL, width);
    for (size_t i = 0; i < command->example_count; i++)
        if (!action || is_of_action(&command->examples[i], command, action))
            print_examples(call, &command->examples[i], 1, &headed);
}
