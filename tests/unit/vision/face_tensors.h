/* Outputs of a small face network for the decoders' tests: plain numbers for each anchor, and the same as tensors of
 * any form. */
#ifndef HS_TESTS_FACE_TENSORS_H
#define HS_TESTS_FACE_TENSORS_H

#include <stdbool.h>

#include "vision/face_heads.h"

enum face_part { SCORE, BOX, LANDMARK, PARTS };
enum { FACE_OUTPUTS = PARTS * HS_FACE_LEVELS };

/* One matrix a part and stride; one a part with all strides; a grid a part and stride. */
enum face_form { FORM_ROWS, FORM_JOINED, FORM_NHWC, FORM_NCHW };

/* values[level][part] holds numbers by row, column, anchor. */
struct face_network {
    int w, h;
    int width[PARTS]; /* numbers an anchor */
    float *values[HS_FACE_LEVELS][PARTS];
};

struct face_tensors {
    int count;
    struct hs_tensor_desc descs[FACE_OUTPUTS];
    struct hs_tensor_view views[FACE_OUTPUTS];
    void *data[FACE_OUTPUTS];
};

/* All zero but scores, which are `score`. */
struct face_network face_network_create(int w, int h, int score_width, float score);
void face_network_destroy(struct face_network *net);

/* Scores between low and high, all else between -1 and 4. */
void face_network_randomize(struct face_network *net, uint32_t seed, float low, float high);

int face_cells(const struct face_network *net, int level);
float *face_value(const struct face_network *net, int level, int part, int y, int x, int anchor);

/* `order`: output i is number order[i] of part + PARTS * level (joined: of part); NULL: as they are. Without landmarks
 * the count is two thirds. Quantised numbers are the nearest ones: score range 0..1 or, with wide_scores, -8..8; the
 * rest -4..12. */
struct face_tensors face_tensors_create(const struct face_network *net, enum face_form form, enum hs_dtype dtype,
                                        bool landmarks, bool wide_scores, const int *order);
void face_tensors_destroy(struct face_tensors *t);

/* The face is as wanted: x1, y1, x2, y2, and the landmarks. */
void face_expect(const struct hs_face *face, double score, const double box[4],
                 const double landmarks[HS_FACE_LANDMARKS][2], double tolerance);

#endif
