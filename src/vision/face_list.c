#include "vision/face_list.h"

#include <math.h>
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

/* Returns true if two entries show the same face. */
typedef bool same_face(const struct hs_face *a, const struct hs_face *b, float iou_threshold);

static bool shares_half(const struct hs_face *a, const struct hs_face *b, float iou_threshold)
{
    (void) iou_threshold;
    return hs_rect_overlap(&a->box, &b->box) >= 0.5f;
}

static float longer_side(const struct hs_rect *box)
{
    return fmaxf(box->x2 - box->x1, box->y2 - box->y1);
}

/* Returns the mean distance between corresponding landmarks, in longer sides of the larger box. */
static float landmark_distance(const struct hs_face *a, const struct hs_face *b)
{
    float sum = 0;
    for (int k = 0; k < HS_FACE_LANDMARKS; k++)
        sum += hypotf(a->landmarks[k].x - b->landmarks[k].x, a->landmarks[k].y - b->landmarks[k].y);
    return sum / (HS_FACE_LANDMARKS * fmaxf(longer_side(&a->box), longer_side(&b->box)));
}

static bool coincides(const struct hs_face *a, const struct hs_face *b, float iou_threshold)
{
    return hs_rect_iou(&a->box, &b->box) > iou_threshold ||
           (a->has_landmarks && b->has_landmarks && landmark_distance(a, b) < HS_FACE_SAME_LANDMARKS);
}

static bool is_new(const struct hs_face *faces, size_t count, const struct hs_face *face, same_face *same,
                   float iou_threshold)
{
    for (size_t i = 0; i < count; i++)
        if (same(&faces[i], face, iou_threshold))
            return false;
    return true;
}

/* Sorts by descending score; ties by x, then y, so that the order is deterministic. */
static int compare_faces(const void *left, const void *right)
{
    const struct hs_face *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    if (a->box.x1 != b->box.x1)
        return a->box.x1 < b->box.x1 ? -1 : 1;
    return (a->box.y1 > b->box.y1) - (a->box.y1 < b->box.y1);
}

static int add_new(struct hs_face_list *list, const struct hs_face_list *more, same_face *same, float iou_threshold,
                   size_t max)
{
    size_t capacity = list->count + more->count, count = list->count;
    struct hs_face *faces = calloc(capacity > 0 ? capacity : 1, sizeof(*faces));
    if (!faces)
        return HS_ENOMEM;
    for (size_t i = 0; i < count; i++)
        faces[i] = list->faces[i];
    for (size_t i = 0; i < more->count; i++)
        if (is_new(faces, count, &more->faces[i], same, iou_threshold))
            faces[count++] = more->faces[i];
    qsort(faces, count, sizeof(*faces), compare_faces);
    free(list->faces);
    *list = (struct hs_face_list) { .count = count < max ? count : max, .faces = faces, .capacity = capacity };
    return 0;
}

int hs_face_list_add(struct hs_face_list *list, const struct hs_face_list *more, size_t max)
{
    return add_new(list, more, shares_half, 0, max);
}

int hs_face_list_merge(struct hs_face_list *list, const struct hs_face_list *more, float iou_threshold, size_t max)
{
    return add_new(list, more, coincides, iou_threshold, max);
}
