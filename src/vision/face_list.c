#include "vision/face_list.h"

#include <stdlib.h>

#include "base/mem.h"

void hs_face_list_init(struct hs_face_list *list)
{
    *list = (struct hs_face_list){0};
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
