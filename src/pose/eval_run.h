/* Runs the service's own pipeline over the pictures of a COCO annotations file. */
#ifndef HS_POSE_EVAL_RUN_H
#define HS_POSE_EVAL_RUN_H

#include <stddef.h>

#include "hs/status.h"
#include "pose/app.h"
#include "pose/coco_json.h"

/* Called from several threads, one at a time. */
typedef void (*hs_eval_progress)(void *arg, size_t done, size_t total);

struct hs_eval_options {
    const char *images_dir;
    struct hs_pose_params params;
    int threads;
    hs_eval_progress progress; /* NULL allowed */
    void *arg;
};

/* Detects in every picture of the set; results come in the order of the set's pictures, whatever thread found them.
 * Fails at the first picture that cannot be read. The model must have COCO's 17 keypoints (HS_EMODEL). Caller frees
 * *ret_results with free(). */
int hs_eval_run(const struct hs_pose_app *app, const struct hs_coco_set *set, const struct hs_eval_options *options,
                struct hs_coco_result **ret_results, size_t *ret_count, struct hs_error *err);

#endif
