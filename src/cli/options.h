/* Command lines: long options from a table, "--name value" or "--name=value", then positional arguments; "--" ends the
 * options. Exit codes of all programs here: 0, 1 failure, 2 usage. */
#ifndef HS_CLI_OPTIONS_H
#define HS_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HS_EXIT_OK = 0, HS_EXIT_FAILURE = 1, HS_EXIT_USAGE = 2 };

/* Texts of argv, in order; borrowed from it. `items` is freed by hs_text_list_finish. */
struct hs_text_list {
    const char **items;
    size_t count;
};

void hs_text_list_finish(struct hs_text_list *list);
bool hs_text_list_add(struct hs_text_list *list, const char *text); /* false: no memory */

enum hs_option_kind {
    HS_OPTION_FLAG,   /* bool */
    HS_OPTION_TEXT,   /* const char * */
    HS_OPTION_INT,    /* int64_t, min..max */
    HS_OPTION_NUMBER, /* double, min..max */
    HS_OPTION_LIST,   /* struct hs_text_list: may be repeated */
};

/* `target` is set if the option is given and left alone else, so it holds the default beforehand. */
struct hs_option {
    const char *name;  /* without the dashes */
    enum hs_option_kind kind;
    void *target;
    const char *value; /* what help calls the value; NULL for flags */
    const char *help;
    double min, max;   /* of INT and NUMBER */
};

/* Rows of a table of options. */
#define HS_FLAG(name_, target_, help_) \
    { .name = (name_), .kind = HS_OPTION_FLAG, .target = (target_), .help = (help_) }
#define HS_TEXT(name_, target_, value_, help_) \
    { .name = (name_), .kind = HS_OPTION_TEXT, .target = (target_), .value = (value_), .help = (help_) }
#define HS_INT(name_, target_, value_, min_, max_, help_) \
    { .name = (name_), .kind = HS_OPTION_INT, .target = (target_), .value = (value_), .min = (min_), .max = (max_), \
      .help = (help_) }
#define HS_NUMBER(name_, target_, value_, min_, max_, help_) \
    { .name = (name_), .kind = HS_OPTION_NUMBER, .target = (target_), .value = (value_), .min = (min_), \
      .max = (max_), .help = (help_) }

/* Reads the option argv[*at]; *at moves over its value if that is a word of its own. Complaints as below. */
int hs_option_parse(const char *who, const struct hs_option *options, size_t count, int argc, char **argv, int *at);

/* Reads argv[1..]. `positional` takes the words that are no options, at most `positional_max`. Complaints go to stderr
 * as "WHO: …". HS_EXIT_OK or HS_EXIT_USAGE; *ret_help: --help was given, nothing else was checked. */
int hs_options_parse(const char *who, const struct hs_option *options, size_t count, int argc, char **argv,
                     struct hs_text_list *positional, size_t positional_max, bool *ret_help);

/* A line an option, for --help. */
void hs_options_print(const struct hs_option *options, size_t count);

#endif
