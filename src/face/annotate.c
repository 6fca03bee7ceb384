#include "face/annotate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "gallery/gallery.h"
#include "service/drawing.h"

enum { LABEL_SIZE = HS_GALLERY_NAME_MAX + 16, SHAPES = 1 + HS_FACE_LANDMARKS };

static const uint32_t known_color = 0x7ed957, other_color = 0xf0a033, plain_color = 0x33c3f0;

/* Who the answer says it is; NULL where it says nothing. Faces without a vector are not in the answer. */
static const json_t *identity_of(const struct hs_face_result *result, size_t face, const json_t *answer)
{
    size_t place = 0;
    if (!answer || !result->faces[face].embedding)
        return NULL;
    for (size_t i = 0; i < face; i++)
        place += result->faces[i].embedding != NULL;
    return json_array_get(json_object_get(answer, "faces"), place);
}

static size_t add_face(const struct hs_face *face, const json_t *identity, struct hs_draw_shape *shapes,
                       char label[LABEL_SIZE])
{
    const char *name = json_string_value(json_object_get(identity, "identity"));
    bool known = name && strcmp(name, "Unknown") != 0;
    uint32_t color = !name ? plain_color : known ? known_color : other_color;
    if (known)
        snprintf(label, LABEL_SIZE, "%s  %.2f", name, json_number_value(json_object_get(identity, "match_score")));
    else
        snprintf(label, LABEL_SIZE, "%s%.2f", name ? "?  " : "", (double) face->score);
    size_t count = 0;
    shapes[count++] = (struct hs_draw_shape) {
        .kind = HS_DRAW_RECT,
        .x0 = face->box.x1,
        .y0 = face->box.y1,
        .x1 = face->box.x2,
        .y1 = face->box.y2,
        .color = color,
        .label = label,
    };
    for (int i = 0; face->has_landmarks && i < HS_FACE_LANDMARKS; i++)
        shapes[count++] = (struct hs_draw_shape) {
            .kind = HS_DRAW_CIRCLE,
            .x0 = face->landmarks[i].x,
            .y0 = face->landmarks[i].y,
            .size = 1.5f,
            .color = color,
        };
    return count;
}

int hs_face_annotate(const struct hs_face_result *result, const struct hs_image *image, const json_t *answer,
                     enum hs_image_format format, struct hs_buf *out, struct hs_error *err)
{
    size_t room = result->count ? result->count : 1, count = 0;
    struct hs_draw_shape *shapes = calloc(room, SHAPES * sizeof(*shapes));
    char(*labels)[LABEL_SIZE] = calloc(room, LABEL_SIZE);
    int r = shapes && labels ? 0 : hs_error_set(err, HS_ENOMEM, "no memory to draw %zu faces", result->count);
    for (size_t i = 0; r == 0 && i < result->count; i++)
        count += add_face(&result->faces[i].face, identity_of(result, i, answer), shapes + count, labels[i]);
    if (r == 0)
        r = hs_drawing_encode(image, shapes, count, format, out, err);
    free(shapes);
    free(labels);
    return r;
}
