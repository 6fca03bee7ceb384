/* Arbitrary outputs of a pose network: shapes from the first bytes, numbers from the rest. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "vision/yolo_pose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { HEADER = 8, OUTPUTS = 6 };

static void check(const struct hs_pose_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct hs_pose *pose = &list->poses[i];
        if (!isfinite(pose->box.x1) || !isfinite(pose->box.y1) || !isfinite(pose->box.x2) || !isfinite(pose->box.y2) ||
            !(pose->score <= 1))
            abort();
    }
    for (size_t i = 0; i < list->count * (size_t) list->keypoint_count; i++)
        if (!isfinite(list->keypoints[i].x) || !isfinite(list->keypoints[i].y) || !(list->keypoints[i].conf <= 1))
            abort();
}

/* Fills the memory of one output with the input's bytes, repeated. */
static void *repeat(const uint8_t *data, size_t len, size_t size)
{
    uint8_t *memory = malloc(size);
    for (size_t i = 0; memory && i < size; i++)
        memory[i] = len ? data[i % len] : 0;
    return memory;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < HEADER)
        return 0;
    struct hs_yolo_pose_spec spec = { .classes = 1 + data[0] % 3,
                                      .keypoints = 1 + data[1] % 5,
                                      .dims = 2 + data[2] % 2,
                                      .score_logits = data[2] & 2,
                                      .input_w = 16 * (1 + data[3] % 4),
                                      .input_h = 16 * (1 + data[4] % 4) };
    enum hs_dtype dtype = data[5] % 4;
    int points = spec.keypoints * spec.dims, rows = data[6] & 1, levels = 1 + (data[6] >> 1) % 2;
    int count = rows ? 1 : 3 * levels;
    struct hs_tensor_desc descs[OUTPUTS];
    struct hs_tensor_view views[OUTPUTS];
    void *memory[OUTPUTS] = { 0 };
    bool enough = true;
    for (int i = 0; i < count; i++) {
        int stride = i < 3 ? 8 : 16, part = (i + data[7]) % 3;
        struct hs_tensor_desc *d = &descs[i];
        *d = (struct hs_tensor_desc) { .dtype = dtype,
                                       .layout = data[6] & 8 ? HS_LAYOUT_NHWC : HS_LAYOUT_NCHW,
                                       .h = spec.input_h / stride,
                                       .w = spec.input_w / stride,
                                       .c = part == 0   ? 32
                                            : part == 1 ? spec.classes
                                                        : points,
                                       .scale = 1 };
        if (rows) {
            d->layout = HS_LAYOUT_ROWS;
            d->h = 4 + spec.classes + points;
            d->w = 84;
            d->c = 1;
        }
        if (dtype != HS_DTYPE_F32)
            d->scale = (float) (1 + data[7]) / 1024;
        d->size_bytes = (size_t) d->h * (size_t) d->w * (size_t) d->c * hs_dtype_size(dtype);
        memory[i] = repeat(data + HEADER, len - HEADER, d->size_bytes);
        views[i] = hs_tensor_view_of(d, memory[i]);
        enough = enough && memory[i];
    }
    struct hs_yolo_pose_layout layout;
    struct hs_yolo_pose_params params = { (float) (data[7] & 15) / 16, (float) (data[7] >> 4) / 16, 50 };
    struct hs_pose_list list;
    hs_pose_list_init(&list);
    if (enough && hs_yolo_pose_layout_init(descs, count, &spec, &layout, NULL) == 0 &&
        hs_yolo_pose_decode(&layout, views, &params, &list) == 0)
        check(&list);
    hs_pose_list_finish(&list);
    for (int i = 0; i < count; i++)
        free(memory[i]);
    return 0;
}
