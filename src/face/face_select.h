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

/* Returns the face with the highest score among the usable ones. A face that fills the picture (its
 * longer side is at least half of the picture's) comes first: it is the subject, even if a small
 * sharp face has a higher score. NULL: no face is usable. */
const struct hs_face_found *hs_face_find_best(const struct hs_face_result *result,
                                              bool (*is_usable)(const struct hs_face_found *face));

/* hs_face_find_best among the faces with an embedding. */
const struct hs_face_found *hs_face_best(const struct hs_face_result *result);

#endif
