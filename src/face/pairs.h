/* Labelled pairs of pictures, as `eval` reads them: a CSV file whose first line names its columns.
 *
 *   image1,image2,same[,bbox1,bbox2]
 *
 * in any order; `a` and `b` do for image1 and image2, and other columns are not looked at. `same` is 1 or 0 (true and
 * false do too). A box is "x y width height" in pixels, or empty; it says which face is meant. Cells may be quoted. */
#ifndef HS_FACE_PAIRS_H
#define HS_FACE_PAIRS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/geometry.h"
#include "hs/status.h"

/* A picture, with the box of a face or without; each is there once. */
struct hs_face_picture {
    const char *path; /* as the file has it, not empty; in the pairs' text */
    bool boxed;
    struct hs_rect box; /* of some width and height */
};

struct hs_face_pair {
    size_t a, b; /* pictures */
    bool same;
};

struct hs_face_pairs {
    struct hs_face_picture *pictures;
    size_t picture_count;
    struct hs_face_pair *pairs; /* at least one */
    size_t pair_count;
    char *text;
};

/* `name` is what messages call the text. HS_EINVAL with the line, also in err->line. Caller frees with
 * hs_face_pairs_destroy. */
int hs_face_pairs_parse(const char *text, size_t len, const char *name, struct hs_face_pairs **ret_pairs,
                        struct hs_error *err);
int hs_face_pairs_load(const char *path, struct hs_face_pairs **ret_pairs, struct hs_error *err);
void hs_face_pairs_destroy(struct hs_face_pairs *pairs); /* NULL allowed */

#endif
