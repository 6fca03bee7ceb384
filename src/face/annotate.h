/* The picture with faces, their landmarks and names drawn on it. */
#ifndef HS_FACE_ANNOTATE_H
#define HS_FACE_ANNOTATE_H

#include <jansson.h>

#include "base/buf.h"
#include "face/pipeline.h"
#include "image/image.h"

/* Draws result->faces on a copy of `image` (the whole picture at full size) and appends it encoded as `format`,
 * HS_IMAGE_JPEG or HS_IMAGE_PNG. `answer` is what hs_face_answer_recognize made of the result: names stand at the
 * faces; NULL: the detector's scores do. */
int hs_face_annotate(const struct hs_face_result *result, const struct hs_image *image, const json_t *answer,
                     enum hs_image_format format, struct hs_buf *out, struct hs_error *err);

#endif
