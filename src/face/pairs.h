/* Labelled pairs of pictures for `eval`: a CSV file whose first line names the columns.
 *
 *   image1,image2,same[,bbox1,bbox2]
 *
 * The columns may be in any order. `a` and `b` are accepted for image1 and image2; other columns
 * are ignored. `same` is 1 or 0, or true or false. A box is "x y width height" in pixels, or empty;
 * it selects the face. Cells may be quoted. */
#ifndef HS_FACE_PAIRS_H
#define HS_FACE_PAIRS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/geometry.h"
#include "hs/status.h"

/* A picture with an optional box; the list has each combination once. */
struct hs_face_picture {
    const char *path; /* as in the file, not empty; points into the text of the pairs */
    bool has_box;
    struct hs_rect box; /* width and height are positive */
};

struct hs_face_pair {
    size_t a, b; /* indices of the pictures */
    bool same;
};

struct hs_face_pairs {
    struct hs_face_picture *pictures;
    size_t picture_count;
    struct hs_face_pair *pairs; /* at least one */
    size_t pair_count;
    char *text;
};

/* Parses the text. Messages call it `name`. HS_EINVAL with the line number, also in err->line.
 * Caller frees with hs_face_pairs_destroy. */
int hs_face_pairs_parse(const char *text, size_t len, const char *name, struct hs_face_pairs **ret_pairs,
                        struct hs_error *err);
int hs_face_pairs_load(const char *path, struct hs_face_pairs **ret_pairs, struct hs_error *err);
void hs_face_pairs_destroy(struct hs_face_pairs *pairs); /* NULL allowed */

#endif
