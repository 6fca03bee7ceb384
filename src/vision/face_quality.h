/* Measures face quality before enrolment or comparison, as plain numbers without a verdict. Pure
 * functions, any thread.
 *
 * `aligned` is HS_ALIGN_SIZE x HS_ALIGN_SIZE pixels RGB, tightly packed, warped with the matrix of
 * hs_align_face. Gray is (77 R + 150 G + 29 B) / 256. */
#ifndef HS_VISION_FACE_QUALITY_H
#define HS_VISION_FACE_QUALITY_H

#include <stdbool.h>
#include <stdint.h>

#include "vision/face_list.h"

/* Degrees, 0 for a face that looks straight at the camera; a rough estimate from five points. */
struct hs_face_pose {
    float yaw;   /* above 0: the nose points to the right of the image */
    float pitch; /* above 0: the nose points up */
    float roll;  /* above 0: the head is rotated clockwise for the viewer */
};

struct hs_face_exposure {
    float mean;    /* gray, 0..1 */
    float clipped; /* share of pixels with a gray of at most 4 or at least 251 of 255, 0..1; includes the black outside
                      of the image */
};

struct hs_face_quality {
    float size;      /* see hs_face_size */
    float sharpness; /* see hs_face_sharpness */
    struct hs_face_pose pose;
    struct hs_face_exposure exposure;
};

/* Returns the shorter side of the box in its own pixels (image pixels after hs_face_list_map). */
float hs_face_size(const struct hs_rect *box);

/* Returns the sharpness 0..1: v / (v + 100), where v is the variance of the Laplacian (kernel 0 1 0,
 * 1 -4 1, 0 1 0; Pech-Pacheco et al. 2000) over the gray levels 0..255 of the inner 110 x 110 pixels.
 * 100 is the usual limit between blurred and sharp, so the limit is 0.5 here. A face that was enlarged
 * to 112 pixels scores low. */
float hs_face_sharpness(const uint8_t *aligned);

/* Estimates the pose from landmarks in pixels of any image. With e and m the midpoints of eyes and
 * mouth, u the vector from the left eye to the right one, |u| its length, v = u rotated down by 90
 * degrees, both of length 1 below:
 *   roll  = atan2(u.y, u.x)
 *   yaw   = atan2((nose - (e + m) / 2) . u, 0.41 |u|)
 *   pitch = atan2(0.495 h - (nose - e) . v, 0.41 h), h = (m - e) . v
 * The tip of the nose lies in front of the plane of eyes and mouth by 0.41 of the distance between the
 * eyes, and by 0.41 h (six-point head model of OpenCV's examples, with the pupils at 0.7 of the outer
 * corners). 0.495 is the position of the nose in ArcFace's template. Angles beyond +-90 mean that the
 * points do not form a face. Returns false and writes nothing if a number is not finite or the eyes
 * coincide. */
bool hs_face_pose_estimate(const struct hs_point landmarks[HS_FACE_LANDMARKS], struct hs_face_pose *ret_pose);

struct hs_face_exposure hs_face_exposure_measure(const uint8_t *aligned);

/* Measures all values. Returns false and writes nothing if the face has no landmarks or
 * hs_face_pose_estimate fails. */
bool hs_face_quality_measure(const struct hs_face *face, const uint8_t *aligned, struct hs_face_quality *ret_quality);

#endif
