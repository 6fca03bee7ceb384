/* Verification over labelled pairs with the service's own pipeline. */
#ifndef HS_FACE_EVAL_RUN_H
#define HS_FACE_EVAL_RUN_H

#include <stddef.h>

#include "face/app.h"
#include "face/pairs.h"
#include "face/pick.h"
#include "vision/verification.h"

struct hs_face_eval_options {
    const char *images_dir;
    enum hs_face_rule rule; /* for pictures without a box */
    int threads;
    void (*progress)(void *arg, size_t done, size_t total); /* one call at a time; NULL allowed */
    void *arg;
};

struct hs_face_eval {
    struct hs_verification_pair *scored; /* pairs of which both faces have a vector */
    size_t scored_count;
    const struct hs_face_picture **missed; /* pictures without such a face; borrowed from the pairs */
    size_t missed_count;
};

/* Embeds each picture once. Fails at the first one that cannot be read or decoded. Caller frees with
 * hs_face_eval_finish, also after a failure. */
int hs_face_eval_run(const struct hs_face_app *app, const struct hs_face_pairs *pairs,
                     const struct hs_face_eval_options *options, struct hs_face_eval *ret_eval, struct hs_error *err);
void hs_face_eval_finish(struct hs_face_eval *eval);

#endif
