#include "vision/nms.h"

#include <stdbool.h>
#include <stdlib.h>

/* A total order: no two candidates have the same id, so any sorting algorithm gives the same sequence. */
static int compare(const void *left, const void *right)
{
    const struct hs_nms_candidate *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

static bool is_suppressed(const struct hs_nms_candidate *kept, size_t kept_count, const struct hs_nms_candidate *item,
                          float iou_threshold)
{
    for (size_t i = 0; i < kept_count; i++)
        if (kept[i].class_id == item->class_id && hs_rect_iou(&kept[i].box, &item->box) > iou_threshold)
            return true;
    return false;
}

size_t hs_nms_run(struct hs_nms_candidate *items, size_t count, float iou_threshold, size_t max_out)
{
    if (count > 1)
        qsort(items, count, sizeof(*items), compare);
    /* A later, weaker candidate never changes what is kept: stopping at max_out equals cutting at the end. */
    size_t kept = 0;
    for (size_t i = 0; i < count && kept < max_out; i++)
        if (!is_suppressed(items, kept, &items[i], iou_threshold))
            items[kept++] = items[i];
    return kept;
}
