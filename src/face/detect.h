/* The detector asked about a decoded picture, or about a part of it. Faces come in pixels of the original picture, by
 * descending score, at most HS_FACE_MAX_FACES. Errors are those of hs_runner_acquire and hs_runner_run, HS_EMODEL for
 * outputs that are not a face detector's, HS_ENOMEM. Any number of threads. */
#ifndef HS_FACE_DETECT_H
#define HS_FACE_DETECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "image/image.h"
#include "service/model_runner.h"
#include "vision/face_list.h"

/* Borrowed for the calls. */
struct hs_face_detector {
    const struct hs_model_runner *runner;
    float score_threshold, iou_threshold;
    enum hs_priority priority;
    int64_t deadline_ns;
    struct hs_cancel *cancel; /* may be NULL */
};

/* The whole picture, fitted into the network's input. SCRFD does not find faces that fill a picture: if none is found,
 * it is shown once more at half the size. `large`: also if some are found, in an input of half the sides, from which
 * only faces are added whose longer side is at least half of the picture's. Faces of the first look stay as they
 * are. */
int hs_face_detect_whole(const struct hs_face_detector *detector, const struct hs_image *image, bool large,
                         struct hs_face_list *list, struct hs_error *err);

/* How much of the original picture's size, 0..1, a second look at tiny faces wants to see: about twice of what fits
 * the network's input, and never enlarged. 0: the first look shows (nearly) as much. */
double hs_face_tiny_scale(const struct hs_face_detector *detector, int orig_width, int orig_height);

/* Looks again at that scale, in up to four tiles that fit the network's input and overlap by more than a tiny face,
 * and adds to the list what is new. The first look finds larger faces, so a face that a tile's edge cuts is left to
 * the neighbour. Does nothing if the scale is 0. */
int hs_face_detect_tiny(const struct hs_face_detector *detector, const struct hs_image *image,
                        struct hs_face_list *list, struct hs_error *err);

/* The part to look at for a face said to be in this box, in pixels of the original picture: a square around the box's
 * middle, cut to the picture, in which the box takes a third, and less if the network would have to be shown an
 * enlargement of more than 2. The box overlaps the picture. */
struct hs_rect hs_face_detect_part(const struct hs_face_detector *detector, const struct hs_image *image,
                                   const struct hs_rect *box);

/* How much of the original's size shows that part at the network's resolution, 0..1. */
double hs_face_part_scale(const struct hs_face_detector *detector, const struct hs_rect *part);

/* Detects in the part alone. Its faces replace those of the list there. */
int hs_face_detect_inside(const struct hs_face_detector *detector, const struct hs_image *image,
                          const struct hs_rect *part, struct hs_face_list *list, struct hs_error *err);

#endif
