/* The man page of a program, generated from the tables of commands. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/command_table.h"

enum { LINE_WIDTH = 72 };

/* Prints text for roff: hyphens stay ASCII, and a point at the start of a line is not a request. */
static void print_text(const char *text)
{
    for (const char *at = text; *at; at++) {
        if (strncmp(at, "…", strlen("…")) == 0) {
            fputs("...", stdout);
            at += strlen("…") - 1;
        } else if (*at == '-' || *at == '\\') {
            fputs(*at == '-' ? "\\-" : "\\e", stdout);
        } else if ((*at == '.' || *at == '\'') && at == text) {
            printf("\\&%c", *at);
        } else if (*at == '\'') {
            fputs("\\(aq", stdout);
        } else {
            putchar(*at);
        }
    }
}

static void print_bold(const char *text)
{
    fputs("\\fB", stdout);
    print_text(text);
    fputs("\\fR", stdout);
}

/* Prints the text with a capital and a full stop, in lines of about LINE_WIDTH characters. */
static void print_sentence(const char *text)
{
    char word[200];
    size_t used = 0;
    for (const char *at = text; *at; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        hs_str_copy_n(word, sizeof(word), at, len);
        if (at == text)
            word[0] = (char) toupper((unsigned char) word[0]);
        if (used)
            putchar(used + len < LINE_WIDTH ? ' ' : '\n');
        used = used + len < LINE_WIDTH ? used + len + 1 : len + 1;
        print_text(word);
        at += len;
    }
    puts(".");
}

static void print_arguments(const char *arguments)
{
    if (arguments[0]) {
        fputs(" \\fI", stdout);
        print_text(arguments);
        fputs("\\fR", stdout);
    }
    putchar('\n');
}

static void print_option(const struct hs_option *option)
{
    if (!option->help)
        return;
    puts(".TP");
    if (option->letter)
        printf("\\fB\\-%c\\fR, ", option->letter);
    fputs("\\fB\\-\\-", stdout);
    print_text(option->name);
    fputs("\\fR", stdout);
    print_arguments(option->value ? option->value : "");
    print_sentence(option->help);
    if (option->actions) {
        char actions[200];
        hs_option_actions(option, actions, sizeof(actions));
        fputs("Only for ", stdout);
        print_text(actions);
        puts(".");
    }
}

static void print_options(void *arg, const struct hs_option *options, size_t count)
{
    (void) arg;
    for (size_t i = 0; i < count; i++)
        print_option(&options[i]);
}

static void print_command(const struct hs_program *program, const struct hs_command *command)
{
    fputs(".SS \"", stdout);
    print_text(program->name);
    putchar(' ');
    print_text(command->name);
    puts("\"");
    print_bold(program->name);
    putchar(' ');
    print_bold(command->name);
    print_arguments(command->action_count ? "ACTION [ARGUMENT…]" : command->arguments);
    puts(".PP");
    print_sentence(command->summary);
    for (size_t i = 0; i < command->action_count; i++) {
        puts(".TP");
        print_bold(command->actions[i].name);
        print_arguments(command->actions[i].arguments);
        print_sentence(command->actions[i].summary);
    }
    hs_command_read_options(program, command, print_options, NULL);
    for (size_t i = 0; i < command->example_count; i++) {
        puts(i == 0 ? ".PP\nExamples:" : ".PP");
        print_sentence(command->examples[i].text);
        fputs(".PP\n.nf\n.RS\n", stdout);
        hs_print_example(program->name, &command->examples[i], false);
        puts(".RE\n.fi");
    }
}

void hs_man_page(const struct hs_program *program)
{
    struct hs_invocation none = { .program = program };
    struct hs_option common[HS_COMMON_OPTIONS];
    const struct hs_command *command;
    hs_common_options(&none, common);
    fputs(".TH \"", stdout);
    for (const char *at = program->name; *at; at++)
        putchar(toupper((unsigned char) *at));
    printf("\" 1 \"\" \"%s %s\" \"User Commands\"\n.SH NAME\n", program->name, program->version);
    print_text(program->name);
    fputs(" \\- ", stdout);
    print_text(program->summary);
    puts("\n.SH SYNOPSIS");
    print_bold(program->name);
    print_arguments("COMMAND [ARGUMENT…] [OPTION…]");
    puts(".SH COMMANDS");
    for (size_t i = 0; (command = hs_program_command(program, i)); i++)
        print_command(program, command);
    puts(".SH OPTIONS\nThese options apply to every command, before or after its name.");
    print_options(NULL, common, HS_COMMON_OPTIONS);
    puts(".TP\n\\fB\\-V\\fR, \\fB\\-\\-version\\fR\nPrint the version and exit.");
    puts(".SH \"EXIT STATUS\"\n.TP\n0\nSuccess.\n.TP\n1\nFailure.\n"
         ".TP\n2\nThe command line or a setting in it is wrong.");
    puts(".SH ENVIRONMENT\n.TP\nHS_MODELS_DIR\nFolder of model files.\n.TP\nNO_COLOR\nIf it is set and not empty, "
         "nothing is printed in colours.");
    printf(".PP\nEach setting has a variable too, which\n.B %s config reference\nlists.\n", program->name);
}
