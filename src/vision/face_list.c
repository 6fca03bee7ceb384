#include "vision/face_list.h"

#include <stdlib.h>

#include "base/mem.h"
#include "vision/nms.h"

void hs_face_list_init(struct hs_face_list *list)
{
    *list = (struct hs_face_list){ 0 };
}

void hs_face_list_finish(struct hs_face_list *list)
{
    free(list->faces);
    hs_face_list_init(list);
}

int hs_face_list_reserve(struct hs_face_list *list, size_t max)
{
    size_t bytes;
    list->count = 0;
    if (max <= list->capacity)
        return 0;
    if (!hs_size_mul(max, sizeof(*list->faces), &bytes))
        return HS_ENOMEM;
    /* The content does not outlive a reservation, so it is not copied as realloc would. */
    struct hs_face *faces = malloc(bytes);
    if (!faces)
        return HS_ENOMEM;
    free(list->faces);
    list->faces = faces;
    list->capacity = max;
    return 0;
}

static float map(float value, float pad, float scale, float size)
{
    float mapped = (value - pad) / scale;
    return mapped < -size ? -size : mapped > 2 * size ? 2 * size : mapped;
}

void hs_face_list_map(struct hs_face_list *list, const struct hs_transform *to)
{
    for (size_t i = 0; i < list->count; i++) {
        struct hs_face *face = &list->faces[i];
        face->box = hs_transform_rect(to, &face->box);
        for (int k = 0; face->has_landmarks && k < HS_FACE_LANDMARKS; k++) {
            face->landmarks[k].x = map(face->landmarks[k].x, to->pad_x, to->scale_x, to->width);
            face->landmarks[k].y = map(face->landmarks[k].y, to->pad_y, to->scale_y, to->height);
        }
    }
}

void hs_face_list_move(struct hs_face_list *list, float scale_x, float scale_y, float shift_x, float shift_y)
{
    for (size_t i = 0; i < list->count; i++) {
        struct hs_face *face = &list->faces[i];
        face->box = (struct hs_rect){
            face->box.x1 * scale_x + shift_x,
            face->box.y1 * scale_y + shift_y,
            face->box.x2 * scale_x + shift_x,
            face->box.y2 * scale_y + shift_y,
        };
        for (int k = 0; face->has_landmarks && k < HS_FACE_LANDMARKS; k++) {
            face->landmarks[k].x = face->landmarks[k].x * scale_x + shift_x;
            face->landmarks[k].y = face->landmarks[k].y * scale_y + shift_y;
        }
    }
}

static const struct hs_face *face_at(const struct hs_face_list *list, const struct hs_face_list *more, size_t i)
{
    return i < list->count ? &list->faces[i] : &more->faces[i - list->count];
}

int hs_face_list_merge(struct hs_face_list *list, const struct hs_face_list *more, float iou_threshold, size_t max)
{
    size_t count = list->count + more->count;
    struct hs_nms_candidate *candidates = calloc(count ? count : 1, sizeof(*candidates));
    struct hs_face *faces = calloc(count ? count : 1, sizeof(*faces));
    if (!candidates || !faces) {
        free(candidates);
        free(faces);
        return HS_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        const struct hs_face *face = face_at(list, more, i);
        candidates[i] = (struct hs_nms_candidate){ .box = face->box, .score = face->score, .id = (uint32_t) i };
    }
    size_t kept = hs_nms_run(candidates, count, iou_threshold, max);
    for (size_t i = 0; i < kept; i++)
        faces[i] = *face_at(list, more, candidates[i].id);
    free(candidates);
    free(list->faces);
    *list = (struct hs_face_list){ .count = kept, .faces = faces, .capacity = count ? count : 1 };
    return 0;
}
