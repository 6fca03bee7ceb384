/* Outputs of a small face network for tests of the decoders: plain numbers for each anchor, and the same
 * numbers as tensors of any form. */
#ifndef HS_TESTS_FACE_TENSORS_H
#define HS_TESTS_FACE_TENSORS_H

#include <stdbool.h>

#include "vision/face_heads.h"

enum face_part { SCORE, BOX, LANDMARK, PARTS };
enum { FACE_OUTPUTS = PARTS * HS_FACE_LEVELS };

/* One matrix per part and stride; one matrix per part for all strides; one grid per part and stride. */
enum face_form { FORM_ROWS, FORM_JOINED, FORM_NHWC, FORM_NCHW };

/* values[level][part] holds numbers in the order row, column, anchor. */
struct face_network {
    int w, h;
    int width[PARTS]; /* numbers per anchor */
    float *values[HS_FACE_LEVELS][PARTS];
};

struct face_tensors {
    int count;
    struct hs_tensor_desc descs[FACE_OUTPUTS];
    struct hs_tensor_view views[FACE_OUTPUTS];
    void *data[FACE_OUTPUTS];
};

/* All numbers are zero, except that all scores are `score`. */
struct face_network face_network_create(int w, int h, int score_width, float score);
void face_network_destroy(struct face_network *net);

/* Sets random scores between low and high, and other numbers between -1 and 4. */
void face_network_randomize(struct face_network *net, uint32_t seed, float low, float high);

int face_cells(const struct face_network *net, int level);
float *face_value(const struct face_network *net, int level, int part, int y, int x, int anchor);

/* With `order`, output i is number order[i] of part + PARTS * level (joined: of part); NULL keeps the order.
 * Without landmarks there are a third fewer outputs. Quantised numbers are the nearest stored ones, in the
 * range 0..1 for scores, -8..8 for scores with wide_scores, and -4..12 for other numbers. */
struct face_tensors face_tensors_create(const struct face_network *net, enum face_form form, enum hs_dtype dtype,
                                        bool landmarks, bool wide_scores, const int *order);
void face_tensors_destroy(struct face_tensors *t);

/* Compares a face with the expected x1, y1, x2, y2 and landmarks. */
void face_expect(const struct hs_face *face, double score, const double box[4],
                 const double landmarks[HS_FACE_LANDMARKS][2], double tolerance);

#endif
