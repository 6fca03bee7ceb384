/* The JSON of an answer: contract keys first, in the order clients know, then what was added. */
#ifndef HS_POSE_RESPONSE_JSON_H
#define HS_POSE_RESPONSE_JSON_H

#include <jansson.h>

#include "pose/app.h"

/* {"poses", "count", "inference_time_ms", "image_size", "model", "device", "timings_ms"}, and "warnings" if the picture
 * is damaged. An edge of a skeleton is listed if both its ends are at least as confident as keypoint_threshold. NULL
 * without memory. The caller owns the reference. */
json_t *hs_pose_response_json(const struct hs_pose_app *app, const struct hs_pose_result *result,
                              float keypoint_threshold);

#endif
