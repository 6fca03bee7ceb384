/* Faces that a detector found. */
#ifndef HS_VISION_FACE_LIST_H
#define HS_VISION_FACE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/geometry.h"
#include "hs/status.h"

/* Left and right as seen in the picture: the image-left eye is the person's right one. */
enum hs_face_landmark {
    HS_FACE_LEFT_EYE,
    HS_FACE_RIGHT_EYE,
    HS_FACE_NOSE,
    HS_FACE_LEFT_MOUTH,
    HS_FACE_RIGHT_MOUTH,
    HS_FACE_LANDMARKS
};

/* Every number is finite. Without landmarks their points are zero. */
struct hs_face {
    struct hs_rect box;
    float score; /* 0..1 */
    bool has_landmarks;
    struct hs_point landmarks[HS_FACE_LANDMARKS];
};

/* The memory is kept for the next use of the same list. */
struct hs_face_list {
    size_t count;
    struct hs_face *faces;
    size_t capacity;
};

void hs_face_list_init(struct hs_face_list *list);   /* allocates nothing */
void hs_face_list_finish(struct hs_face_list *list); /* frees; the list is empty and usable afterwards */

/* Makes room for `max` faces and empties the list. HS_ENOMEM: the list is empty. */
int hs_face_list_reserve(struct hs_face_list *list, size_t max);

/* From pixels of the network's input to pixels of the picture. Boxes are clamped to it. Landmarks are not, because
 * alignment wants to know where they are: those of a face at the border may lie outside, by a picture's size at
 * most. */
void hs_face_list_map(struct hs_face_list *list, const struct hs_transform *to_picture);

/* From pixels of a part of a picture to pixels of the whole: boxes and landmarks times the scale, plus the shift. */
void hs_face_list_move(struct hs_face_list *list, float scale_x, float scale_y, float shift_x, float shift_y);

/* Adds those faces of `more` that are new: whose box shares less than half of the smaller area with every box in the
 * list, those added before included. Keeps the best `max`, by descending score. HS_ENOMEM: the list is as it was. */
int hs_face_list_add(struct hs_face_list *list, const struct hs_face_list *more, size_t max);

/* Two faces whose landmarks are on average less than this apart, in longer sides of the larger box, are one. Of a small
 * face in the middle of a large one they are about .2 apart. */
#define HS_FACE_SAME_LANDMARKS 0.1f

/* The same if `more` comes from another scale and a face may lie in the box of another one: a face is not new if its
 * IoU with one in the list is above iou_threshold, or its landmarks coincide with that one's. */
int hs_face_list_merge(struct hs_face_list *list, const struct hs_face_list *more, float iou_threshold, size_t max);

#endif
