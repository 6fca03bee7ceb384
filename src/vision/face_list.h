/* List of detected faces. */
#ifndef HS_VISION_FACE_LIST_H
#define HS_VISION_FACE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/geometry.h"
#include "hs/status.h"

/* Left and right as seen in the image: the left eye is the person's right eye. */
enum hs_face_landmark {
    HS_FACE_LEFT_EYE,
    HS_FACE_RIGHT_EYE,
    HS_FACE_NOSE,
    HS_FACE_LEFT_MOUTH,
    HS_FACE_RIGHT_MOUTH,
    HS_FACE_LANDMARKS
};

/* All numbers are finite. Faces without landmarks have zeros there. */
struct hs_face {
    struct hs_rect box;
    float score; /* 0..1 */
    bool has_landmarks;
    struct hs_point landmarks[HS_FACE_LANDMARKS];
};

/* A list keeps its memory for reuse. */
struct hs_face_list {
    size_t count;
    struct hs_face *faces;
    size_t capacity;
};

void hs_face_list_init(struct hs_face_list *list);   /* allocates nothing */
void hs_face_list_finish(struct hs_face_list *list); /* frees; the list is then empty and may be used again */

/* Clears the list and allocates room for `max` faces. Fails with HS_ENOMEM; the list is then empty. */
int hs_face_list_reserve(struct hs_face_list *list, size_t max);

/* Maps network input pixels to image pixels. Clamps boxes to the image. Does not clamp landmarks to it,
 * because alignment needs their true positions: those of a face at the border may lie outside, by at
 * most the size of the image. */
void hs_face_list_map(struct hs_face_list *list, const struct hs_transform *to_picture);

/* Maps pixels of a part to pixels of the whole image: multiplies boxes and landmarks by the scale and
 * adds the shift. */
void hs_face_list_move(struct hs_face_list *list, float scale_x, float scale_y, float shift_x, float shift_y);

/* Adds the faces of `more` that are new: whose overlap with each box in the list, including those just
 * added, is less than half of the smaller box. Keeps the best `max` faces, by descending score. Fails
 * with HS_ENOMEM; the list is then unchanged. */
int hs_face_list_add(struct hs_face_list *list, const struct hs_face_list *more, size_t max);

/* Two faces are the same if their landmarks are on average less than this apart, in longer sides of the
 * larger box. For a small face in the middle of a large one the distance is about .2. */
#define HS_FACE_SAME_LANDMARKS 0.1f

/* Same, for faces of another scale, where a face may lie inside the box of another. A face is not new
 * if its IoU with a face in the list is above iou_threshold, or if its landmarks coincide with that
 * face's. */
int hs_face_list_merge(struct hs_face_list *list, const struct hs_face_list *more, float iou_threshold, size_t max);

#endif
