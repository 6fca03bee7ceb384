/* ONNX files with the shapes and metadata of pose models, which are all that an import reads;
 * without weights. */
#ifndef HS_TESTS_POSE_ONNX_H
#define HS_TESTS_POSE_ONNX_H

#include "../infer/onnx_bytes.h"

enum { POSE_ONNX_MAX = 1 << 20 };

static inline void pose_onnx_prop(struct hs_buf *model, const char *key, const char *value)
{
    struct hs_buf entry;
    hs_buf_init(&entry, POSE_ONNX_MAX);
    onnx_text(&entry, 1, key);
    onnx_text(&entry, 2, value);
    onnx_message(model, 14, &entry);
}

/* Builds input [1, 3, side, side] and output [1, channels, cells]; side 0 is dynamic. The caller
 * finishes *model. */
static inline void pose_onnx_decoded(struct hs_buf *model, int side, int channels, int cells)
{
    struct hs_buf graph;
    const int input[] = { 1, 3, side, side }, output[] = { 1, channels, cells };
    hs_buf_init(model, POSE_ONNX_MAX);
    hs_buf_init(&graph, POSE_ONNX_MAX);
    onnx_node(&graph, "Identity", "images", NULL, "output0", NULL, 0);
    onnx_value(&graph, 11, "images", input, 4);
    onnx_value(&graph, 12, "output0", output, 3);
    onnx_model(model, &graph);
}

/* Builds the nine raw tensors, with dynamic sides. */
static inline void pose_onnx_raw(struct hs_buf *model, int box, int classes, int points)
{
    struct hs_buf graph;
    const int input[] = { 0, 3, 0, 0 }, channels[] = { box, classes, points };
    hs_buf_init(model, POSE_ONNX_MAX);
    hs_buf_init(&graph, POSE_ONNX_MAX);
    onnx_value(&graph, 11, "images", input, 4);
    for (int i = 0; i < 9; i++) {
        char name[] = { 'o', (char) ('0' + i), '\0' };
        const int output[] = { 0, channels[i % 3], 0, 0 };
        onnx_value(&graph, 12, name, output, 4);
    }
    onnx_model(model, &graph);
}

#endif
