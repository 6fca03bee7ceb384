/* The tables of a program, as help, man page and completions read them; used inside src/cli only. */
#ifndef HS_CLI_COMMAND_TABLE_H
#define HS_CLI_COMMAND_TABLE_H

#include <stdio.h>

#include "cli/program.h"

enum { HS_COMMON_OPTIONS = 8 };

/* Commands of the program by index, followed by `completion`, `help` and `version`; NULL past the end. */
const struct hs_command *hs_program_command(const struct hs_program *program, size_t index);
const struct hs_command *hs_program_find(const struct hs_program *program, const char *name); /* NULL: none */

/* Writes the options of every command, with targets in `call`. */
void hs_common_options(struct hs_invocation *call, struct hs_option ret_options[HS_COMMON_OPTIONS]);

/* Passes a command's own options to `reader`. */
void hs_command_read_options(const struct hs_program *program, const struct hs_command *command,
                             hs_options_reader reader, void *arg);

/* Returns false for an option of other actions, or one that is not shown. `action` NULL: of any action. */
bool hs_option_is_shown(const struct hs_option *option, const char *action);

/* Writes the names of the option's actions: "add, import". */
void hs_option_actions(const struct hs_option *option, char *dst, size_t size);

/* Returns true if an earlier form has the same name, so that a list of names skips it. */
bool hs_action_is_repeated(const struct hs_command *command, size_t index);

/* Returns true if a shell completes words to paths: the command, or an action, has arguments. */
bool hs_command_has_arguments(const struct hs_command *command);

enum hs_value_kind {
    HS_VALUE_NONE, /* the option is a flag */
    HS_VALUE_TEXT,
    HS_VALUE_FILE,
    HS_VALUE_DIR,
    HS_VALUE_WORDS, /* "off|standard|strict" */
};
enum hs_value_kind hs_option_value_kind(const struct hs_option *option);

/* Calls `visit` for each word of a text like "a b" or "a|b"; the word is not terminated. */
void hs_each_word(const char *text, char separator, void (*visit)(const char *word, size_t len, void *arg), void *arg);

/* Prints an example without the sample folders of a clone. */
void hs_print_example(const char *program, const struct hs_example *example, bool in_clone);

/* Print the help of the program, or of the command and action of `call`. */
void hs_help_program(struct hs_invocation *call);
void hs_help_command(struct hs_invocation *call, const struct hs_option *options, size_t count);

/* Prints the first line of the usage of the command and action of `call`, or of the program. */
void hs_help_usage(const struct hs_invocation *call, FILE *file);

/* Prints a man page in section 1. */
void hs_man_page(const struct hs_program *program);

extern const struct hs_command hs_command_completion;

#endif
