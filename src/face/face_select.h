/* Default face selection when a request does not choose one. */
#ifndef HS_FACE_FACE_SELECT_H
#define HS_FACE_FACE_SELECT_H

#include <stdbool.h>

#include "face/pipeline.h"

enum hs_face_rule {
    HS_FACE_LARGEST, /* by the area of its box */
    HS_FACE_BEST,    /* by the detector's score */
    HS_FACE_MIDDLE,  /* whose middle is nearest to that of the picture, by |dx| + |dy| */
};

/* "largest", "best", "middle"; false for other words. */
bool hs_face_rule_read(const char *text, enum hs_face_rule *ret_rule);

/* NULL if there are no faces; of equal ones the one with the higher score. */
const struct hs_face_found *hs_face_select(const struct hs_face_result *result, enum hs_face_rule rule);

/* True if the face's longer side is at least half of the picture's: then it is the picture's subject, though a sharp
 * small one may have the higher score. */
bool hs_face_fills(const struct hs_face *face, int width, int height);

/* Of the faces that have a vector the one with the highest score; but first those that fill the picture. NULL: none
 * has. */
const struct hs_face_found *hs_face_best(const struct hs_face_result *result);

#endif
