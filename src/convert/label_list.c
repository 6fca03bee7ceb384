#include "convert/label_list.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

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

/* Reads the rest of an escape: repr() writes \\ \' \" \n \t \r and, for characters that do not print, \xNN, \uNNNN and
 * \UNNNNNNNN. */
static bool read_escape(const char **at, struct hs_buf *out)
{
    static const char kinds[] = "ntr\\'\"", plain[] = "\n\t\r\\'\"";
    char c = *(*at)++;
    const char *kind = c ? strchr(kinds, c) : NULL;
    if (kind)
        return hs_buf_append(out, &plain[kind - kinds], 1) == 0;
    int digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    uint32_t value = 0;
    for (int i = 0; i < digits; i++) {
        int digit = hs_str_hex_digit(**at);
        if (digit < 0)
            return false;
        value = value << 4 | (uint32_t) digit;
        (*at)++;
    }
    if (digits == 0 || value == 0 || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return false;
    static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    uint8_t bytes[4];
    size_t len = value < 0x80 ? 1 : value < 0x800 ? 2 : value < 0x10000 ? 3 : 4;
    for (size_t i = len; i-- > 1; value >>= 6)
        bytes[i] = (uint8_t) (0x80 | (value & 0x3f));
    bytes[0] = (uint8_t) (first[len] | value);
    return hs_buf_append(out, bytes, len) == 0;
}

/* A quoted string; NULL if there is none, or no memory. */
static char *read_string(const char **at)
{
    struct hs_buf buf;
    size_t len;
    skip_space(at);
    char quote = **at;
    if (quote != '\'' && quote != '"')
        return NULL;
    (*at)++;
    hs_buf_init(&buf, LABEL_SIZE_MAX);
    bool fine = true;
    while (fine && **at && **at != quote) {
        char c = *(*at)++;
        fine = c == '\\' ? **at && read_escape(at, &buf) : hs_buf_append(&buf, &c, 1) == 0;
    }
    fine = skip_char(at, quote) && hs_buf_append(&buf, "", 1) == 0 && fine;
    char *text = fine ? (char *) hs_buf_take(&buf, &len) : NULL;
    hs_buf_finish(&buf);
    return text;
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
