/* The JSON of an answer: contract keys first, in the order clients know, then what was added. */
#ifndef HS_POSE_RESPONSE_JSON_H
#define HS_POSE_RESPONSE_JSON_H

#include <jansson.h>

#include "pose/app.h"

/* Appends {"poses", "count", "inference_time_ms", "image_size", "model", "device", "timings_ms"} in one line without
 * its end, and the members of the object `more` (NULL: none), in whose `warnings` is also a damage of the picture. An
 * edge of a skeleton is listed if both its ends are at least as confident as keypoint_threshold. HS_ETOOLARGE past the
 * buffer's maximum; HS_ENOMEM. */
int hs_pose_response_write(const struct hs_pose_app *app, const struct hs_pose_result *result, float keypoint_threshold,
                           const json_t *more, struct hs_buf *out);

#endif
