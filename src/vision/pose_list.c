#include "vision/pose_list.h"

#include <stdlib.h>

#include "base/mem.h"

void hs_pose_list_init(struct hs_pose_list *list)
{
    *list = (struct hs_pose_list) {0};
}

void hs_pose_list_finish(struct hs_pose_list *list)
{
    free(list->poses);
    free(list->keypoints);
    hs_pose_list_init(list);
}

/* The content does not outlive a reservation, so it is not copied as realloc would. */
static int grow(void **memory, size_t *capacity, size_t wanted, size_t item_size)
{
    size_t bytes;
    if (wanted <= *capacity)
        return 0;
    if (!hs_size_mul(wanted, item_size, &bytes))
        return HS_ENOMEM;
    void *fresh = malloc(bytes);
    if (!fresh)
        return HS_ENOMEM;
    free(*memory);
    *memory = fresh;
    *capacity = wanted;
    return 0;
}

int hs_pose_list_reserve(struct hs_pose_list *list, size_t max, int keypoint_count)
{
    size_t points;
    void *poses = list->poses, *keypoints = list->keypoints;
    list->count = 0;
    if (!hs_size_mul(max, (size_t) keypoint_count, &points))
        return HS_ENOMEM;
    int status = grow(&poses, &list->pose_capacity, max, sizeof(*list->poses));
    list->poses = poses;
    if (status == 0)
        status = grow(&keypoints, &list->keypoint_capacity, points, sizeof(*list->keypoints));
    list->keypoints = keypoints;
    list->keypoint_count = keypoint_count;
    return status;
}

void hs_pose_list_map(struct hs_pose_list *list, const struct hs_transform *to)
{
    for (size_t i = 0; i < list->count; i++)
        list->poses[i].box = hs_transform_rect(to, &list->poses[i].box);
    for (size_t i = 0; i < list->count * (size_t) list->keypoint_count; i++) {
        struct hs_keypoint *point = &list->keypoints[i];
        point->x = hs_transform_x(to, point->x);
        point->y = hs_transform_y(to, point->y);
    }
}
