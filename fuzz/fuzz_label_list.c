/* Names of classes and keypoints in Python syntax: parsed class names that are written as a list and as a dict
 * read back as the same. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "convert/model_shape.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { LABELS_MAX = 40, LABEL_SIZE = 1000 };

static void write_label(struct hs_buf *out, const char *label)
{
    hs_buf_append_str(out, "'");
    for (const char *p = label; *p; p++)
        hs_buf_printf(out, *p == '\'' || *p == '\\' ? "\\%c" : (unsigned char) *p < 32 ? "\\x%02x" : "%c", *p);
    hs_buf_append_str(out, "'");
}

static void check_round_trip(const struct hs_label_list *list, bool dict)
{
    struct hs_buf text;
    struct hs_label_list again;
    hs_buf_init(&text, 1 << 20);
    hs_buf_append_str(&text, dict ? "{" : "[");
    for (size_t i = 0; i < list->count; i++) {
        if (dict)
            hs_buf_printf(&text, "%zu: ", i);
        write_label(&text, list->labels[i]);
        hs_buf_append_str(&text, i + 1 < list->count ? ", " : "");
    }
    hs_buf_append_str(&text, dict ? "}" : "]");
    if (hs_label_list_parse(hs_buf_str(&text), list->count, &again, NULL) < 0 || again.count != list->count)
        abort();
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->labels[i], again.labels[i]) != 0)
            abort();
    hs_label_list_finish(&again);
    /* A maximum of one name less is refused. */
    if (list->count > 1 && hs_label_list_parse(hs_buf_str(&text), list->count - 1, &again, NULL) == 0)
        abort();
    hs_buf_finish(&text);
}

/* The same names for two classes read back as keypoint names. */
static void check_keypoints(const char *text, const struct hs_label_list *list)
{
    struct hs_label_list names = { 0 };
    struct hs_buf twice;
    struct hs_error err;
    int r = hs_keypoint_names_parse(text, LABELS_MAX, &names, &err);
    if (r < 0 && (err.code != r || names.labels))
        abort();
    hs_label_list_finish(&names);
    if (!list->count)
        return;
    hs_buf_init(&twice, 1 << 20);
    hs_buf_printf(&twice, "{0: %s, 1: %s}", text, text);
    if (hs_keypoint_names_parse(hs_buf_str(&twice), LABELS_MAX, &names, NULL) < 0 || names.count != list->count)
        abort();
    hs_label_list_finish(&names);
    hs_buf_finish(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = hs_fuzz_text(data, len);
    struct hs_label_list list = { 0 };
    struct hs_error err;
    int r = text ? hs_label_list_parse(text, LABELS_MAX, &list, &err) : HS_ENOMEM;
    if (r == 0) {
        if (list.count < 1 || list.count > LABELS_MAX)
            abort();
        for (size_t i = 0; i < list.count; i++)
            if (strlen(list.labels[i]) >= LABEL_SIZE)
                abort();
        check_round_trip(&list, false);
        check_round_trip(&list, true);
    } else if (text && (err.code != r || list.labels)) {
        abort();
    }
    if (text)
        check_keypoints(text, &list);
    hs_label_list_finish(&list);
    free(text);
    return 0;
}
