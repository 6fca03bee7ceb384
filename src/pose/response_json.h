/* The JSON of an answer: first the members of the original API in their original order, then later additions. */
#ifndef HS_POSE_RESPONSE_JSON_H
#define HS_POSE_RESPONSE_JSON_H

#include <jansson.h>

#include "pose/app.h"

/* Appends {"poses", "count", "inference_time_ms", "image_size", "model", "device", "timings_ms"} as
 * one line with a line feed. Adds the members of `more` (an object or NULL), and a damaged
 * picture to its `warnings`. A skeleton edge is listed if the confidence of both ends is at least
 * keypoint_threshold. HS_ETOOLARGE if the buffer's maximum is exceeded; HS_ENOMEM. */
int hs_pose_response_write(const struct hs_pose_app *app, const struct hs_pose_result *result, float keypoint_threshold,
                           const json_t *more, struct hs_buf *out);

#endif
