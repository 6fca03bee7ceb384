/* Where an aligned face lies in its picture: the similarity (rotation, one scale, shift; never a reflection) that
 * brings five landmarks closest to the template that ArcFace networks were trained with. Pure functions, any thread. */
#ifndef HS_VISION_ALIGN_H
#define HS_VISION_ALIGN_H

#include "hs/status.h"
#include "vision/face_list.h"

enum { HS_ALIGN_SIZE = 112 }; /* sides of the aligned picture, pixels */

/* The template of insightface's face_align.py (arcface_dst), in pixels of the aligned picture: whole numbers are the
 * middles of pixels. */
extern const struct hs_point hs_align_template[HS_FACE_LANDMARKS];

/* Matrices are 2 x 3, row by row: x' = m[0] x + m[1] y + m[2], y' = m[3] x + m[4] y + m[5]. */
struct hs_alignment {
    double matrix[6];  /* picture to aligned picture */
    double inverse[6]; /* aligned picture to picture */
    double scale;      /* aligned pixels for one picture pixel: below 1 if the face shrinks */
    double angle_deg;  /* how far the face is turned in the picture, -180..180, clockwise as one sees it */
    double rms_error;  /* how far the mapped landmarks lie from the template, aligned pixels, root of the mean square */
};

/* The least squares solution in closed form: with the points centred, p of the picture and q of the template,
 * a = sum(p . q) / sum(|p|^2), b = sum(p x q) / sum(|p|^2), M = [a -b; b a] (Umeyama 1991 without the reflection).
 * HS_EINVAL: a landmark is not finite, all lie in one spot (within a hundredth of a pixel), or no turn and scale
 * brings them anywhere near a face (less than a hundredth of the template's spread is explained). */
int hs_align_face(const struct hs_point landmarks[HS_FACE_LANDMARKS], struct hs_alignment *ret_alignment,
                  struct hs_error *err);

#endif
