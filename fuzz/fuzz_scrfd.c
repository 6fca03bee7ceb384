/* Arbitrary outputs of a face network, for SCRFD and RetinaFace: shapes from the first bytes, numbers from the
 * rest; then alignment of the detected faces. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "vision/align.h"
#include "vision/face_heads.h"
#include "vision/face_quality.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { HEADER = 8, OUTPUTS = 9 };

/* Parameters from the first bytes. */
struct network {
    bool retina, logits, landmarks, grids;
    int w, h, first;
    enum hs_dtype dtype;
    enum hs_layout layout;
    float scale;
};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_face(struct hs_face *face, bool landmarks)
{
    struct hs_alignment a;
    struct hs_face_pose pose;
    require(isfinite(face->box.x1) && isfinite(face->box.y1) && isfinite(face->box.x2) && isfinite(face->box.y2));
    require(face->box.x2 >= face->box.x1 && face->box.y2 >= face->box.y1 && face->score <= 1);
    require(face->has_landmarks == landmarks);
    for (int i = 0; i < HS_FACE_LANDMARKS; i++)
        require(isfinite(face->landmarks[i].x) && isfinite(face->landmarks[i].y));
    if (landmarks && hs_align_face(face->landmarks, &a, NULL) == 0) {
        for (int i = 0; i < 6; i++)
            require(isfinite(a.matrix[i]) && isfinite(a.inverse[i]));
        require(a.scale > 0 && isfinite(a.angle_deg) && isfinite(a.rms_error));
    }
    if (landmarks && hs_face_pose_estimate(face->landmarks, &pose))
        require(fabsf(pose.yaw) <= 181 && fabsf(pose.pitch) <= 181 && fabsf(pose.roll) <= 181);
}

static void check(struct hs_face_list *list, const struct hs_face_params *params, bool landmarks)
{
    require(list->count <= (size_t) params->max_faces);
    for (size_t i = 0; i < list->count; i++) {
        require(list->faces[i].score > params->score_threshold);
        require(i == 0 || list->faces[i - 1].score >= list->faces[i].score);
        check_face(&list->faces[i], landmarks);
    }
    hs_face_list_map(list, &(struct hs_transform) { 0.5f, 0.25f, 3, 4, 1280, 720 });
    for (size_t i = 0; i < list->count; i++)
        check_face(&list->faces[i], landmarks);
}

/* Fills the memory of one output with the input's bytes, repeated. */
static void *repeat(const uint8_t *data, size_t len, size_t size)
{
    uint8_t *memory = malloc(size);
    for (size_t i = 0; memory && i < size; i++)
        memory[i] = len ? data[i % len] : 0;
    return memory;
}

static struct hs_tensor_desc describe(const struct network *net, int index)
{
    int parts = net->landmarks ? 3 : 2, part = index % parts, stride = 8 << index / parts;
    int width = part == 0 ? (net->retina ? 2 : 1) : part == 1 ? 4 : 10, cells = net->w / stride * (net->h / stride);
    struct hs_tensor_desc d = {
        .dtype = net->dtype, .layout = HS_LAYOUT_ROWS, .h = 2 * cells, .w = width, .c = 1, .scale = net->scale
    };
    if (net->grids) {
        d.layout = net->layout;
        d.h = net->h / stride;
        d.w = net->w / stride;
        d.c = 2 * width;
    } else if (net->retina) {
        d.h = 2 * (net->w / 8 * (net->h / 8) + net->w / 16 * (net->h / 16) + net->w / 32 * (net->h / 32));
    }
    d.size_bytes = (size_t) d.h * (size_t) d.w * (size_t) d.c * hs_dtype_size(d.dtype);
    return d;
}

static void run(const struct network *net, const struct hs_face_params *params, const uint8_t *data, size_t len)
{
    int count = (net->landmarks ? 3 : 2) * (net->retina && !net->grids ? 1 : 3);
    struct hs_tensor_desc descs[OUTPUTS];
    struct hs_tensor_view views[OUTPUTS];
    void *memory[OUTPUTS] = { 0 };
    struct hs_face_layout layout;
    struct hs_face_list list;
    bool enough = true;
    hs_face_list_init(&list);
    for (int i = 0; i < count; i++) {
        descs[i] = describe(net, (i + net->first) % count);
        memory[i] = repeat(data, len, descs[i].size_bytes);
        views[i] = hs_tensor_view_of(&descs[i], memory[i]);
        enough = enough && memory[i];
    }
    require(hs_face_layout_init(net->retina ? HS_FACE_RETINAFACE : HS_FACE_SCRFD, descs, count, net->w, net->h,
                                net->logits, &layout, NULL) == 0);
    int r = enough ? hs_face_decode(&layout, views, params, &list) : HS_ENOMEM;
    if (r == 0)
        check(&list, params, net->landmarks);
    hs_face_list_finish(&list);
    for (int i = 0; i < count; i++)
        free(memory[i]);
}

/* Arbitrary shapes are accepted or refused, without a read out of bounds. */
static void try_wild_shapes(const uint8_t *data, size_t len)
{
    struct hs_tensor_desc descs[OUTPUTS] = { 0 };
    struct hs_face_layout layout;
    for (int i = 0; i < OUTPUTS; i++) {
        uint8_t byte = len ? data[(size_t) i % len] : 0;
        descs[i] = (struct hs_tensor_desc) { .dtype = byte % 4,
                                             .layout = byte / 4 % 3,
                                             .h = byte * 12800,
                                             .w = byte,
                                             .c = byte % 21,
                                             .scale = byte,
                                             .size_bytes = SIZE_MAX };
    }
    hs_face_layout_init(HS_FACE_SCRFD, descs, (int) (len % (OUTPUTS + 1)), 640, 640, false, &layout, NULL);
    hs_face_layout_init(HS_FACE_RETINAFACE, descs, (int) (len % (OUTPUTS + 1)), 32 * (int) len, 640, true, &layout,
                        NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < HEADER)
        return 0;
    struct network net = { .retina = data[0] & 1,
                           .logits = data[0] & 2,
                           .landmarks = data[0] & 4,
                           .grids = data[0] & 8,
                           .layout = data[0] & 16 ? HS_LAYOUT_NHWC : HS_LAYOUT_NCHW,
                           .w = 32 * (1 + data[1] % 4),
                           .h = 32 * (1 + data[2] % 4),
                           .first = data[3],
                           .dtype = data[4] % 4,
                           .scale = 1 };
    if (net.dtype != HS_DTYPE_F32)
        net.scale = (float) (1 + data[5]) / 256;
    struct hs_face_params params = { (float) (data[6] & 15) / 16, (float) (data[6] >> 4) / 16, data[7] };
    run(&net, &params, data + HEADER, len - HEADER);
    try_wild_shapes(data, len);
    return 0;
}
