#include "vision/pose_list.h"

#include <stdlib.h>

#include "base/mem.h"

void hs_pose_list_init(struct hs_pose_list *list)
{
    *list = (struct hs_pose_list) { 0 };
}

void hs_pose_list_finish(struct hs_pose_list *list)
{
    free(list->poses);
    free(list->keypoints);
    hs_pose_list_init(list);
}

int hs_pose_list_reserve(struct hs_pose_list *list, size_t max, int keypoint_count)
{
    size_t points, pose_bytes, keypoint_bytes;
    list->count = 0;
    list->keypoint_count = keypoint_count;
    if (!hs_size_mul(max, sizeof(struct hs_pose), &pose_bytes) || !hs_size_mul(max, (size_t) keypoint_count, &points) ||
        !hs_size_mul(points, sizeof(struct hs_keypoint), &keypoint_bytes))
        return HS_ENOMEM;
    if (max > list->pose_capacity) {
        struct hs_pose *poses = malloc(pose_bytes);
        if (!poses)
            return HS_ENOMEM;
        free(list->poses);
        list->poses = poses;
        list->pose_capacity = max;
    }
    if (points > list->keypoint_capacity) {
        struct hs_keypoint *keypoints = malloc(keypoint_bytes);
        if (!keypoints)
            return HS_ENOMEM;
        free(list->keypoints);
        list->keypoints = keypoints;
        list->keypoint_capacity = points;
    }
    return 0;
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
