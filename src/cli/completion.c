/* `completion`: scripts for shells, generated from the tables of commands. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/command_table.h"

/* The command and action whose options are printed. */
struct context {
    const struct hs_program *program;
    const struct hs_command *command; /* NULL: every command */
    const char *action;               /* NULL: any */
    void (*print)(const struct context *context, const struct hs_option *option);
    const char *quote; /* for a quote inside a quoted text: '\'' or \' */
};

static void print_options(void *arg, const struct hs_option *options, size_t count)
{
    const struct context *context = arg;
    for (size_t i = 0; i < count; i++)
        if (hs_option_is_shown(&options[i], context->action))
            context->print(context, &options[i]);
}

static void print_command_options(struct context *context)
{
    hs_command_read_options(context->program, context->command, print_options, context);
}

static void print_common_options(struct context *context)
{
    struct hs_invocation none = { .program = context->program };
    struct hs_option common[HS_COMMON_OPTIONS];
    hs_common_options(&none, common);
    print_options(context, common, HS_COMMON_OPTIONS);
}

static const char *command_name(const struct context *context)
{
    return context->command ? context->command->name : "*";
}

static void print_words(const char *words)
{
    for (; *words; words++)
        putchar(*words == '|' ? ' ' : *words);
}

/* Prints text for the inside of single quotes; `special` are characters that need a backslash. */
static void print_quoted(const struct context *context, const char *text, const char *special)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs(context->quote, stdout);
        else
            printf(strchr(special, *text) ? "\\%c" : "%c", *text);
    }
}

/* Prints "hailo_pose", for names of functions. */
static void print_symbol(const char *name)
{
    for (; *name; name++)
        putchar(*name == '-' ? '_' : *name);
}

static void print_command_names(const struct hs_program *program)
{
    const struct hs_command *command;
    for (size_t i = 0; (command = hs_program_command(program, i)); i++)
        printf("%s%s", i ? " " : "", command->name);
}

static void print_action_names(const struct hs_command *command)
{
    for (size_t i = 0; i < command->action_count; i++)
        if (!hs_action_is_repeated(command, i))
            printf("%s%s", i ? " " : "", command->actions[i].name);
}

/* ---- bash ---- */

static void bash_pattern(const struct context *context, const struct hs_option *option)
{
    if (option->value)
        printf("        %s:--%s) [[ ${COMP_WORDS[i + 1]} == = ]] || i=$((i + 1)); continue ;;\n", command_name(context),
               option->name);
}

static void bash_value(const struct context *context, const struct hs_option *option)
{
    if (!option->value)
        return;
    printf("    %s:--%s) ", command_name(context), option->name);
    switch (hs_option_value_kind(option)) {
    case HS_VALUE_DIR:
        fputs("kind=d", stdout);
        break;
    case HS_VALUE_FILE:
        fputs("kind=f", stdout);
        break;
    case HS_VALUE_WORDS:
        fputs("kind=W words='", stdout);
        print_words(option->value);
        putchar('\'');
        break;
    case HS_VALUE_NONE:
    case HS_VALUE_TEXT:
    default:
        fputs("return", stdout);
    }
    puts(" ;;");
}

static void bash_name(const struct context *context, const struct hs_option *option)
{
    (void) context;
    printf(" --%s", option->name);
    if (option->letter)
        printf(" -%c", option->letter);
}

/* Calls `print` for the options of every command and those of each command. */
static void print_all_options(struct context *context,
                              void (*print)(const struct context *context, const struct hs_option *option))
{
    const struct hs_command *command;
    context->print = print;
    context->command = NULL;
    context->action = NULL;
    print_common_options(context);
    for (size_t i = 0; (command = hs_program_command(context->program, i)); i++) {
        context->command = command;
        print_command_options(context);
    }
}

static void bash_command(struct context *context)
{
    const struct hs_command *command = context->command;
    context->print = bash_name;
    for (size_t i = 0; i < command->action_count; i++) {
        if (hs_action_is_repeated(command, i))
            continue;
        context->action = command->actions[i].name;
        printf("        %s:%s) kind=%s options+='", command->name, context->action,
               command->actions[i].arguments[0] ? "f" : "");
        print_command_options(context);
        puts("' ;;");
    }
    context->action = NULL;
    if (command->action_count) {
        printf("        help:%s) kind=W words='", command->name);
        print_action_names(command);
        printf("' ;;\n        %s:) kind=W words='", command->name);
        print_action_names(command);
    } else {
        printf("        %s:*) kind=%s words='", command->name, command->arguments[0] ? "f" : "");
    }
    fputs("' options+='", stdout);
    print_command_options(context);
    puts("' ;;");
}

static int run_bash(void *arg)
{
    const struct hs_program *program = ((struct hs_invocation *) arg)->program;
    struct context context = { .program = program };
    const struct hs_command *command;
    printf("# bash completion for %s, made by '%s completion bash'\n_", program->name, program->name);
    print_symbol(program->name);
    puts("() {\n"
         "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
         "    local command= action= kind= words= options= word i\n"
         "    COMPREPLY=()\n"
         "    # bash makes a word of the = in --name=value.\n"
         "    if [[ $cur == = ]]; then\n"
         "        cur=\n"
         "    elif [[ $prev == = ]]; then\n"
         "        prev=${COMP_WORDS[COMP_CWORD - 2]}\n"
         "    fi\n"
         "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "        word=${COMP_WORDS[i]}\n"
         "        case $command:$word in\n"
         "        *:=) i=$((i + 1)); continue ;;");
    print_all_options(&context, bash_pattern);
    puts("        *:-*) continue ;;\n"
         "        esac\n"
         "        if [[ -z $command ]]; then\n"
         "            command=$word\n"
         "        elif [[ -z $action ]]; then\n"
         "            action=$word\n"
         "        fi\n"
         "    done\n"
         "    case $command:$prev in");
    print_all_options(&context, bash_value);
    context.command = NULL;
    context.print = bash_name;
    fputs("    *)\n        options='", stdout);
    print_common_options(&context);
    fputs("'\n        case $command:$action in\n        :) kind=W words='", stdout);
    print_command_names(program);
    fputs("' options+=' --version -V' ;;\n        help:) kind=W words='", stdout);
    print_command_names(program);
    puts("' ;;");
    for (size_t i = 0; (command = hs_program_command(program, i)); i++) {
        context.command = command;
        if (strcmp(command->name, "help") != 0)
            bash_command(&context);
    }
    printf("        esac\n"
           "        if [[ $cur == -* ]]; then\n"
           "            kind=W words=$options\n"
           "        fi ;;\n"
           "    esac\n"
           "    case $kind in\n"
           "    W) mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\") ;;\n"
           "    d | f)\n"
           "        compopt -o filenames 2> /dev/null\n"
           "        mapfile -t COMPREPLY < <(compgen \"-$kind\" -- \"$cur\") ;;\n"
           "    esac\n"
           "}\n"
           "complete -F _");
    print_symbol(program->name);
    printf(" %s\n", program->name);
    return HS_EXIT_OK;
}

/* ---- zsh ---- */

static void zsh_option(const struct context *context, const struct hs_option *option)
{
    fputs("        ", stdout);
    if (option->letter)
        printf("'(-%c --%s)'{-%c,--%s}'", option->letter, option->name, option->letter, option->name);
    else
        printf("'%s--%s%s", option->kind == HS_OPTION_LIST ? "*" : "", option->name, option->value ? "=" : "");
    putchar('[');
    print_quoted(context, option->help, "[]\\");
    putchar(']');
    if (option->value) {
        putchar(':');
        print_quoted(context, option->value, ":\\");
        putchar(':');
        switch (hs_option_value_kind(option)) {
        case HS_VALUE_DIR:
            fputs("_files -/", stdout);
            break;
        case HS_VALUE_FILE:
            fputs("_files", stdout);
            break;
        case HS_VALUE_WORDS:
            putchar('(');
            print_words(option->value);
            putchar(')');
            break;
        case HS_VALUE_NONE:
        case HS_VALUE_TEXT:
        default:
            putchar(' ');
        }
    }
    puts("'");
}

static void zsh_described(const struct context *context, const char *name, const char *summary)
{
    printf("        '%s:", name);
    print_quoted(context, summary, ":\\");
    puts("'");
}

static void zsh_command(struct context *context)
{
    const struct hs_command *command = context->command;
    printf("    %s)\n        options=(\n", command->name);
    print_command_options(context);
    puts("        )");
    if (command->action_count) {
        puts("        names=(");
        for (size_t i = 0; i < command->action_count; i++)
            if (!hs_action_is_repeated(command, i))
                zsh_described(context, command->actions[i].name, command->actions[i].summary);
        puts("        )");
    }
    printf("        _arguments -C $common $options%s%s\n        [[ $state != name ]] || _describe action names\n"
           "        ;;\n",
           command->action_count ? " '1: :->name'" : "",
           hs_command_has_arguments(command) ? " '*:argument:_files'" : "");
}

static int run_zsh(void *arg)
{
    const struct hs_program *program = ((struct hs_invocation *) arg)->program;
    struct context context = { .program = program, .print = zsh_option, .quote = "'\\''" };
    const struct hs_command *command;
    printf("#compdef %s\n# zsh completion for %s, made by '%s completion zsh'\n_", program->name, program->name,
           program->name);
    print_symbol(program->name);
    puts("() {\n"
         "    local curcontext=$curcontext state line\n"
         "    local -a common options names\n"
         "    typeset -A opt_args\n"
         "    common=(");
    print_common_options(&context);
    puts("    )\n"
         "    names=(");
    for (size_t i = 0; (command = hs_program_command(program, i)); i++)
        zsh_described(&context, command->name, command->summary);
    puts("    )\n"
         "    _arguments -C $common '(-V --version)'{-V,--version}'[print the version and exit]' '1: :->name' "
         "'*:: :->rest'\n"
         "    [[ $state != name ]] || _describe command names\n"
         "    [[ $state == rest ]] || return\n"
         "    state=\n"
         "    case $words[1] in");
    for (size_t i = 0; (command = hs_program_command(program, i)); i++) {
        context.command = command;
        if (strcmp(command->name, "help") != 0)
            zsh_command(&context);
    }
    puts("    help)\n"
         "        _arguments -C $common '1: :->name'\n"
         "        [[ $state != name ]] || _describe command names\n"
         "        ;;\n"
         "    esac\n"
         "}");
    putchar('_');
    print_symbol(program->name);
    puts(" \"$@\"");
    return HS_EXIT_OK;
}

/* ---- fish ---- */

static void fish_action(const char *word, size_t len, void *arg)
{
    (void) arg;
    printf(" %.*s", (int) len, word);
}

static void fish_option(const struct context *context, const struct hs_option *option)
{
    printf("complete -c %s", context->program->name);
    if (context->command) {
        printf(" -n '__fish_seen_subcommand_from %s", context->command->name);
        if (option->actions) {
            fputs("; and __fish_seen_subcommand_from", stdout);
            hs_each_word(option->actions, ' ', fish_action, NULL);
        }
        putchar('\'');
    }
    if (option->letter)
        printf(" -s %c", option->letter);
    printf(" -l %s", option->name);
    switch (hs_option_value_kind(option)) {
    case HS_VALUE_DIR:
        fputs(" -x -a '(__fish_complete_directories)'", stdout);
        break;
    case HS_VALUE_FILE:
        fputs(" -r -F", stdout);
        break;
    case HS_VALUE_WORDS:
        fputs(" -x -a '", stdout);
        print_words(option->value);
        putchar('\'');
        break;
    case HS_VALUE_TEXT:
        fputs(" -x", stdout);
        break;
    case HS_VALUE_NONE:
    default:
        break;
    }
    fputs(" -d '", stdout);
    print_quoted(context, option->help, "\\");
    puts("'");
}

static void fish_command(struct context *context)
{
    const struct hs_command *command = context->command;
    const char *program = context->program->name;
    printf("complete -c %s -n __fish_use_subcommand -a %s -d '", program, command->name);
    print_quoted(context, command->summary, "\\");
    puts("'");
    for (size_t i = 0; i < command->action_count; i++) {
        if (hs_action_is_repeated(command, i))
            continue;
        printf("complete -c %s -n '__fish_seen_subcommand_from %s; and not __fish_seen_subcommand_from ", program,
               command->name);
        print_action_names(command);
        printf("' -a %s -d '", command->actions[i].name);
        print_quoted(context, command->actions[i].summary, "\\");
        puts("'");
    }
    if (hs_command_has_arguments(command) && strcmp(command->name, "help") != 0) {
        printf("complete -c %s -n '__fish_seen_subcommand_from %s", program, command->name);
        if (command->action_count)
            fputs("; and __fish_seen_subcommand_from", stdout);
        for (size_t i = 0; i < command->action_count; i++)
            if (!hs_action_is_repeated(command, i) && command->actions[i].arguments[0])
                printf(" %s", command->actions[i].name);
        puts("' -F");
    }
    print_command_options(context);
}

static int run_fish(void *arg)
{
    const struct hs_program *program = ((struct hs_invocation *) arg)->program;
    struct context context = { .program = program, .print = fish_option, .quote = "\\'" };
    const struct hs_command *command;
    printf("# fish completion for %s, made by '%s completion fish'\ncomplete -c %s -f\n", program->name, program->name,
           program->name);
    print_common_options(&context);
    printf("complete -c %s -n __fish_use_subcommand -s V -l version -d 'print the version and exit'\n", program->name);
    for (size_t i = 0; (command = hs_program_command(program, i)); i++) {
        context.command = command;
        fish_command(&context);
    }
    printf("complete -c %s -n '__fish_seen_subcommand_from help' -a '", program->name);
    print_command_names(program);
    puts("'");
    return HS_EXIT_OK;
}

/* ---- The command ---- */

static int run_completion(struct hs_invocation *call)
{
    int code;
    return hs_invocation_read(call, NULL, 0, &code) ? call->action->run(call) : code;
}

static const struct hs_action actions[] = {
    { "bash", "", "For bash; source it, or save it in ~/.local/share/bash-completion/completions", run_bash },
    { "zsh", "", "For zsh; save it as _PROGRAM in a folder of $fpath", run_zsh },
    { "fish", "", "For fish; save it in ~/.config/fish/completions", run_fish },
};
static const struct hs_example examples[] = {
    { "completion bash", "Print the script for bash" },
};

const struct hs_command hs_command_completion = {
    .name = "completion",
    .summary = "Print a script that completes commands and options in a shell",
    .run = run_completion,
    HS_ACTIONS(actions),
    HS_EXAMPLES(examples),
};
