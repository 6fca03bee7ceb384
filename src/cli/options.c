#include "cli/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

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

static const struct hs_option *find(const struct hs_option *options, size_t count, const char *name, size_t len)
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

int hs_option_parse(const char *who, const struct hs_option *options, size_t count, int argc, char **argv, int *at)
{
    const char *name = argv[*at] + 2, *equals = strchr(name, '=');
    size_t len = equals ? (size_t) (equals - name) : strlen(name);
    const struct hs_option *option = argv[*at][1] == '-' ? find(options, count, name, len) : NULL;
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
    return set_value(who, option, value);
}

int hs_options_parse(const char *who, const struct hs_option *options, size_t count, int argc, char **argv,
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
            code = hs_option_parse(who, options, count, argc, argv, &i);
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

void hs_options_print(const struct hs_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char left[64];
        hs_str_format(left, sizeof(left), "--%s%s%s", options[i].name, options[i].value ? " " : "",
                      options[i].value ? options[i].value : "");
        printf("  %-26s %s\n", left, options[i].help);
    }
}
