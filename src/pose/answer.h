/* The JSON of an answer: contract keys first, in the order clients know, then what was added. */
#ifndef HS_POSE_ANSWER_H
#define HS_POSE_ANSWER_H

#include <jansson.h>
#include <stdbool.h>

#include "models/pack.h"
#include "pose/pipeline.h"

struct hs_pose_answer_options {
    const struct hs_pack *pack;
    const char *model;         /* as the configuration names it */
    float keypoint_threshold;  /* an edge is listed where both its ends are at least this confident */
    bool skeleton;             /* false: no `skeleton` key at all */
};

/* {"poses", "count", "inference_time_ms", "image_size", "model", "device", "timings_ms"}. NULL without memory.
 * The caller owns the reference. */
json_t *hs_pose_answer(const struct hs_pose_result *result, const struct hs_pose_answer_options *options);

#endif
