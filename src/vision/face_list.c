#include "vision/face_list.h"

#include <stdlib.h>

#include "base/mem.h"

void hs_face_list_init(struct hs_face_list *list)
{
    *list = (struct hs_face_list) { 0 };
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
    struct hs_face *faces = hs_size_mul(max, sizeof(*faces), &bytes) ? malloc(bytes) : NULL;
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
        face->box = (struct hs_rect) {
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

static bool is_new(const struct hs_face *faces, size_t count, const struct hs_face *face)
{
    for (size_t i = 0; i < count; i++)
        if (hs_rect_share(&faces[i].box, &face->box) >= 0.5f)
            return false;
    return true;
}

/* Best first; of equal ones the left, then the upper one, so that the order is always the same. */
static int compare_faces(const void *left, const void *right)
{
    const struct hs_face *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    if (a->box.x1 != b->box.x1)
        return a->box.x1 < b->box.x1 ? -1 : 1;
    return (a->box.y1 > b->box.y1) - (a->box.y1 < b->box.y1);
}

int hs_face_list_add(struct hs_face_list *list, const struct hs_face_list *more, size_t max)
{
    size_t capacity = list->count + more->count, count = list->count;
    struct hs_face *faces = calloc(capacity > 0 ? capacity : 1, sizeof(*faces));
    if (!faces)
        return HS_ENOMEM;
    for (size_t i = 0; i < count; i++)
        faces[i] = list->faces[i];
    for (size_t i = 0; i < more->count; i++)
        if (is_new(faces, count, &more->faces[i]))
            faces[count++] = more->faces[i];
    qsort(faces, count, sizeof(*faces), compare_faces);
    free(list->faces);
    *list = (struct hs_face_list) { .count = count < max ? count : max, .faces = faces, .capacity = capacity };
    return 0;
}
