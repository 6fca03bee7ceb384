/* Aligns a face: computes the similarity (rotation, uniform scale, translation; never a reflection)
 * that maps five landmarks as closely as possible to the template of ArcFace networks. Pure functions,
 * any thread. */
#ifndef HS_VISION_ALIGN_H
#define HS_VISION_ALIGN_H

#include "hs/status.h"
#include "vision/face_list.h"

enum { HS_ALIGN_SIZE = 112 }; /* side of the aligned image, in pixels */

/* The template of insightface's face_align.py (arcface_dst), in pixels of the aligned image. Integer
 * coordinates are pixel centres. */
extern const struct hs_point hs_align_template[HS_FACE_LANDMARKS];

/* Matrices are 2 x 3, row by row: x' = m[0] x + m[1] y + m[2], y' = m[3] x + m[4] y + m[5]. */
struct hs_alignment {
    double matrix[6];  /* original image to aligned image */
    double inverse[6]; /* aligned image to original image */
    double scale;      /* aligned pixels per original pixel: below 1 if the face shrinks */
    double angle_deg;  /* rotation of the face in the image, -180..180, clockwise for the viewer */
    double rms_error;  /* root mean square distance of mapped landmarks to the template, aligned pixels */
};

/* Computes the least squares solution in closed form. With centred points, p in the image and q in the
 * template:
 *   a = sum(p . q) / sum(|p|^2), b = sum(p x q) / sum(|p|^2), M = [a -b; b a]
 * (Umeyama 1991 without the reflection). Fails with HS_EINVAL if a landmark is not finite, if all
 * landmarks coincide (within a hundredth of a pixel), or if no similarity maps them close to the
 * template (less than a hundredth of the template's spread is explained). */
int hs_align_face(const struct hs_point landmarks[HS_FACE_LANDMARKS], struct hs_alignment *ret_alignment,
                  struct hs_error *err);

#endif
