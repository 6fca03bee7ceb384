/* List of pose detections: people (or animals, hands, ...) with a box and keypoints. */
#ifndef HS_VISION_POSE_LIST_H
#define HS_VISION_POSE_LIST_H

#include <stddef.h>

#include "base/geometry.h"
#include "hs/status.h"

/* `conf` 0..1 is the model's confidence that the point is visible; 1 for models without it. */
struct hs_keypoint {
    float x, y, conf;
};

struct hs_pose {
    struct hs_rect box;
    float score;
    int class_id;
};

/* All numbers are finite. `keypoints` holds count * keypoint_count points; those of pose i begin at
 * index i * keypoint_count. A list keeps its memory for reuse. */
struct hs_pose_list {
    size_t count;
    int keypoint_count;
    struct hs_pose *poses;
    struct hs_keypoint *keypoints;
    size_t pose_capacity, keypoint_capacity;
};

void hs_pose_list_init(struct hs_pose_list *list);   /* allocates nothing */
void hs_pose_list_finish(struct hs_pose_list *list); /* frees; the list is then empty and may be used again */

/* Sets keypoint_count, clears the list and allocates room for `max` poses. Fails with HS_ENOMEM; the
 * list is then empty. */
int hs_pose_list_reserve(struct hs_pose_list *list, size_t max, int keypoint_count);

static inline struct hs_keypoint *hs_pose_list_keypoints(const struct hs_pose_list *list, size_t pose)
{
    return list->keypoints + pose * (size_t) list->keypoint_count;
}

/* Maps network input pixels to image pixels, clamped to the image. */
void hs_pose_list_map(struct hs_pose_list *list, const struct hs_transform *to_picture);

#endif
