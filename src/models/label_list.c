#include "models/label_list.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum { LABEL_SIZE_MAX = 1000 };

static void skip_space(const char **at)
{
    while (**at == ' ' || **at == '\t' || **at == '\n' || **at == '\r')
        (*at)++;
}

static bool skip_char(const char **at, char c)
{
    skip_space(at);
    if (**at != c)
        return false;
    (*at)++;
    return true;
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* repr() writes \\ \' \" \n \t \r and, for characters that do not print, \xNN. Others do not occur in names. */
static bool read_escape(const char **at, char *ret)
{
    char c = *(*at)++;
    if (c == 'x') {
        int high = hex_value((*at)[0]), low = high < 0 ? -1 : hex_value((*at)[1]);
        if (low < 0 || high * 16 + low >= 128)
            return false;
        *ret = (char) (high * 16 + low);
        *at += 2;
        return true;
    }
    *ret = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
    return c == 'n' || c == 't' || c == 'r' || c == '\\' || c == '\'' || c == '"';
}

/* A quoted string; NULL where there is none, or no memory. */
static char *read_string(const char **at)
{
    struct hs_buf buf;
    skip_space(at);
    char quote = **at;
    if (quote != '\'' && quote != '"')
        return NULL;
    (*at)++;
    hs_buf_init(&buf, LABEL_SIZE_MAX);
    bool fine = true;
    while (fine && **at && **at != quote) {
        char c = *(*at)++;
        if (c == '\\')
            fine = **at && read_escape(at, &c);
        fine = fine && c != '\0' && hs_buf_append(&buf, &c, 1) == 0;
    }
    fine = fine && **at == quote && hs_buf_append(&buf, "", 1) == 0;
    if (!fine) {
        hs_buf_finish(&buf);
        return NULL;
    }
    (*at)++;
    size_t len;
    return (char *) hs_buf_take(&buf, &len);
}

static bool read_key(const char **at, size_t expected)
{
    size_t value = 0, digits = 0;
    skip_space(at);
    while (**at >= '0' && **at <= '9' && digits++ < 9)
        value = value * 10 + (size_t) (*(*at)++ - '0');
    return digits > 0 && value == expected && skip_char(at, ':');
}

int hs_label_list_parse(const char *text, size_t max, struct hs_label_list *ret_list, struct hs_error *err)
{
    struct hs_label_list list = {.labels = calloc(max, sizeof(*list.labels))};
    if (!list.labels)
        return hs_error_set(err, HS_ENOMEM, "out of memory");
    const char *at = text;
    bool dict = skip_char(&at, '{'), fine = dict || skip_char(&at, '[');
    char close = dict ? '}' : ']';
    while (fine && !skip_char(&at, close)) {
        fine = list.count < max && (list.count == 0 || skip_char(&at, ',')) && (!dict || read_key(&at, list.count));
        char *label = fine ? read_string(&at) : NULL;
        fine = label != NULL;
        if (label)
            list.labels[list.count++] = label;
    }
    skip_space(&at);
    if (!fine || *at || list.count == 0) {
        hs_label_list_finish(&list);
        return hs_error_set(err, HS_EMODEL, "the class names in the model cannot be read");
    }
    *ret_list = list;
    return 0;
}

void hs_label_list_finish(struct hs_label_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->labels[i]);
    free(list->labels);
    *list = (struct hs_label_list){0};
}
