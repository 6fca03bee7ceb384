/* Class names as Ultralytics writes them into a model: a Python dict {0: 'person', 1: "dog"} or list ['person', 'dog']
 * of plain strings. Read as data; nothing is evaluated. */
#ifndef HS_CONVERT_LABEL_LIST_H
#define HS_CONVERT_LABEL_LIST_H

#include <stddef.h>

#include "hs/status.h"

struct hs_label_list {
    size_t count;
    char **labels;
};

/* At most `max` labels. A dict's keys must be 0, 1, 2 … in order. HS_EMODEL for anything else. The caller finishes
 * *ret_list. Any thread. */
int hs_label_list_parse(const char *text, size_t max, struct hs_label_list *ret_list, struct hs_error *err);
void hs_label_list_finish(struct hs_label_list *list); /* a zeroed one is fine */

#endif
