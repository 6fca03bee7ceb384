/* ONNX files with the shapes of face models, without weights. */
#ifndef HS_TESTS_FACE_ONNX_H
#define HS_TESTS_FACE_ONNX_H

#include <stdbool.h>

#include "pose_onnx.h"

/* Builds a model with `count` outputs of `rank` dimensions each (0: dynamic), listed in `dims` one
 * after another, and an input [batch, 3, h, w]. The caller finishes *model. */
static inline void face_onnx(struct hs_buf *model, const int input[4], const int *dims, int rank, int count)
{
    struct hs_buf graph;
    hs_buf_init(model, POSE_ONNX_MAX);
    hs_buf_init(&graph, POSE_ONNX_MAX);
    onnx_value(&graph, 11, "input.1", input, 4);
    for (int i = 0; i < count; i++) {
        char name[] = { 'o', (char) ('0' + i), '\0' };
        onnx_value(&graph, 12, name, dims + i * rank, rank);
    }
    onnx_model(model, &graph);
}

/* Builds nine outputs, or six without points, in the order of InsightFace's exports. Side 0 is
 * dynamic; the row counts are those for a side of `made_for`. */
static inline void face_onnx_scrfd(struct hs_buf *model, int side, int made_for, bool points, bool batch)
{
    static const int widths[] = { 1, 4, 10 };
    const int input[] = { 1, 3, side, side };
    int dims[27], at = 0;
    for (int i = 0; i < (points ? 3 : 2); i++)
        for (int stride = 8; stride <= 32; stride *= 2) {
            if (batch)
                dims[at++] = 1;
            dims[at++] = made_for / stride * (made_for / stride) * 2;
            dims[at++] = widths[i];
        }
    face_onnx(model, input, dims, batch ? 3 : 2, points ? 9 : 6);
}

static inline void face_onnx_arcface(struct hs_buf *model, int batch, int side, int dimension)
{
    const int input[] = { batch, 3, side, side }, output[] = { batch, dimension };
    face_onnx(model, input, output, 2, 1);
}

static inline void face_onnx_retinaface(struct hs_buf *model, int side, int rows)
{
    const int input[] = { 1, 3, side, side }, output[] = { 1, rows, 4, 1, rows, 2, 1, rows, 10 };
    face_onnx(model, input, output, 3, 3);
}

#endif
