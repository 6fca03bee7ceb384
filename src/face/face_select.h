/* Default face selection when a request does not choose one. */
#ifndef HS_FACE_FACE_SELECT_H
#define HS_FACE_FACE_SELECT_H

#include <stdbool.h>

#include "face/pipeline.h"

enum hs_face_rule {
    HS_FACE_LARGEST, /* by the area of its box */
    HS_FACE_BEST,    /* by the detector's score */
    HS_FACE_MIDDLE,  /* the center is nearest to that of the picture, by |dx| + |dy| */
};

/* Parses "largest", "best" or "middle"; returns false for other words. */
bool hs_face_rule_read(const char *text, enum hs_face_rule *ret_rule);

/* Selects a face by the rule; of equal ones that with the higher score. NULL if the result has none. */
const struct hs_face_found *hs_face_select(const struct hs_face_result *result, enum hs_face_rule rule);

/* Returns true if the longer side of the face is at least half of the picture's. Such a face is the
 * subject of the picture, even if a small sharp face has a higher score. */
bool hs_face_fills(const struct hs_face *face, int width, int height);

/* Returns the face with the highest score among those with an embedding; faces that fill the
 * picture come first. NULL: no face has an embedding. */
const struct hs_face_found *hs_face_best(const struct hs_face_result *result);

#endif
