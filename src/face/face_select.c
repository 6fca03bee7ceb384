#include "face/face_select.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

bool hs_face_rule_read(const char *text, enum hs_face_rule *ret_rule)
{
    static const char *const names[] = {
        [HS_FACE_LARGEST] = "largest",
        [HS_FACE_BEST] = "best",
        [HS_FACE_MIDDLE] = "middle",
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret_rule = (enum hs_face_rule) i;
            return true;
        }
    }
    return false;
}

/* Returns the rank of a face under the rule; higher is better. */
static float rank(const struct hs_face_result *result, const struct hs_face *face, enum hs_face_rule rule)
{
    const struct hs_rect *box = &face->box;
    if (rule == HS_FACE_LARGEST)
        return hs_rect_area(box);
    if (rule == HS_FACE_BEST)
        return face->score;
    return -(fabsf(box->x1 + box->x2 - (float) result->width) + fabsf(box->y1 + box->y2 - (float) result->height));
}

const struct hs_face_found *hs_face_select(const struct hs_face_result *result, enum hs_face_rule rule)
{
    const struct hs_face_found *best = NULL;
    for (size_t i = 0; i < result->count; i++) {
        if (!best || rank(result, &result->faces[i].face, rule) > rank(result, &best->face, rule))
            best = &result->faces[i];
    }
    return best;
}

/* The longer side is at least half of the picture's. */
static bool fills_picture(const struct hs_face *face, const struct hs_face_result *result)
{
    const struct hs_rect *box = &face->box;
    return fmaxf(box->x2 - box->x1, box->y2 - box->y1) * 2 >= fmaxf((float) result->width, (float) result->height);
}

const struct hs_face_found *hs_face_find_best(const struct hs_face_result *result,
                                              bool (*is_usable)(const struct hs_face_found *face))
{
    const struct hs_face_found *best = NULL;
    for (size_t i = 0; i < result->count; i++) {
        const struct hs_face_found *face = &result->faces[i];
        if (!is_usable(face))
            continue;
        if (fills_picture(&face->face, result))
            return face;
        if (!best)
            best = face;
    }
    return best;
}

static bool has_embedding(const struct hs_face_found *face)
{
    return face->embedding != NULL;
}

const struct hs_face_found *hs_face_best(const struct hs_face_result *result)
{
    return hs_face_find_best(result, has_embedding);
}
