/* Runs the face detector on a decoded picture or a part of it. Faces are in pixels of the original
 * picture, by descending score, at most HS_FACE_MAX_FACES. Errors as for hs_runner_acquire and
 * hs_runner_run; HS_EMODEL for outputs that are not a face detector's; HS_ENOMEM. Any thread. */
#ifndef HS_FACE_DETECT_H
#define HS_FACE_DETECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "image/image.h"
#include "service/model_runner.h"
#include "vision/face_list.h"

/* Everything is borrowed during the calls. */
struct hs_face_detector {
    const struct hs_model_runner *runner;
    float score_threshold, iou_threshold;
    enum hs_priority priority;
    int64_t deadline_ns;
    struct hs_cancel *cancel; /* may be NULL */
};

/* Detects in the whole picture, scaled to the network's input. SCRFD misses faces that fill a
 * picture, so if it finds none, it runs again at half the size. `large`: also runs again if it
 * found faces, with an input of half the sides, and adds only faces whose longer side is at least
 * half of the picture's. Faces of the first pass stay unchanged. */
int hs_face_detect_whole(const struct hs_face_detector *detector, const struct hs_image *image, bool large,
                         struct hs_face_list *list, struct hs_error *err);

/* Returns the scale, 0..1 of the original size, for a second pass over tiny faces: about twice what
 * fits the network's input, and never an enlargement. 0: the first pass has (nearly) the same
 * resolution. */
double hs_face_tile_scale(const struct hs_face_detector *detector, int orig_width, int orig_height);

/* Runs a second pass at that scale, in up to four tiles that fit the network's input and overlap by
 * more than a tiny face, and adds new faces to the list. Ignores larger faces, which the first pass
 * finds, and faces at an inner edge of a tile, which the neighbouring tile contains. Does nothing
 * if the scale is 0. */
int hs_face_detect_tiles(const struct hs_face_detector *detector, const struct hs_image *image,
                         struct hs_face_list *list, struct hs_error *err);

/* Returns the part of the picture to search for a face in `box`, in pixels of the original picture:
 * a square around the middle of the box, clipped to the picture. The box takes a third of it, or
 * less if the network would otherwise see an enlargement of more than 2. The box must overlap the
 * picture. */
struct hs_rect hs_face_detect_part(const struct hs_face_detector *detector, const struct hs_image *image,
                                   const struct hs_rect *box);

/* Returns the scale, 0..1 of the original size, at which the part fills the network's input. */
double hs_face_part_scale(const struct hs_face_detector *detector, const struct hs_rect *part);

/* Detects in the part only. The faces found replace those of the list in that part. */
int hs_face_detect_inside(const struct hs_face_detector *detector, const struct hs_image *image,
                          const struct hs_rect *part, struct hs_face_list *list, struct hs_error *err);

#endif
