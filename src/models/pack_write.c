#include "models/pack_write.h"

#include <string.h>

#include "base/str.h"

/* A double-quoted YAML text. Control characters become '?': packs refuse them. */
static void put_text(struct hs_buf *out, const char *text)
{
    hs_buf_append_str(out, "\"");
    for (size_t left = strlen(text); left > 0;) {
        size_t len = hs_utf8_sequence(text, left);
        if (len == 0 || (unsigned char) *text < 32 || *text == 127) {
            hs_buf_append_str(out, "?");
            len = 1;
        } else {
            if (*text == '"' || *text == '\\')
                hs_buf_append_str(out, "\\");
            hs_buf_append(out, text, len);
        }
        text += len;
        left -= len;
    }
    hs_buf_append_str(out, "\"");
}

/* Packs want short names, no two alike, which the file's need not be. */
static bool label_usable(const struct hs_label_list *labels, size_t index)
{
    const char *label = labels->labels[index];
    size_t len = strlen(label);
    bool usable = len > 0 && len <= HS_PACK_LABEL_MAX && hs_utf8_valid(label, len);
    for (size_t i = 0; usable && i < len; i++)
        usable = (unsigned char) label[i] >= 32 && label[i] != 127;
    for (size_t i = 0; usable && i < index; i++)
        usable = strcmp(labels->labels[i], label) != 0;
    return usable;
}

static void put_classes(struct hs_buf *out, const struct hs_pose_shape *shape)
{
    const struct hs_label_list *labels = &shape->labels;
    hs_buf_append_str(out, "classes:\n");
    for (int i = 0; i < shape->classes; i++) {
        char made_up[24];
        hs_str_format(made_up, sizeof(made_up), "class_%d", i);
        hs_buf_append_str(out, "  - ");
        if (labels->count)
            put_text(out, label_usable(labels, (size_t) i) ? labels->labels[i] : made_up);
        else
            put_text(out, shape->classes == 1 ? "person" : made_up);
        hs_buf_append_str(out, "\n");
    }
}

static void put_keypoints(struct hs_buf *out, const struct hs_pose_shape *shape, const struct hs_pack *names)
{
    hs_buf_printf(out, "keypoints:\n  dims: %d\n  names:\n", shape->dims);
    for (int i = 0; i < shape->keypoints; i++) {
        if (names)
            hs_buf_printf(out, "    - %s\n", names->keypoints[i]);
        else
            hs_buf_printf(out, "    - keypoint_%d\n", i);
    }
    if (!names)
        return;
    hs_buf_append_str(out, "  edges:\n");
    for (size_t i = 0; i < names->edge_count; i++)
        hs_buf_printf(out, "    - [%s, %s]\n", names->keypoints[names->edges[i][0]],
                      names->keypoints[names->edges[i][1]]);
}

static void put_number(struct hs_buf *out, double value)
{
    char text[32];
    hs_str_from_double(value, text);
    hs_buf_append_str(out, text);
}

static void put_triple(struct hs_buf *out, const char *key, const float values[3])
{
    hs_buf_printf(out, "  %s: [", key);
    for (int i = 0; i < 3; i++) {
        hs_buf_append_str(out, i ? ", " : "");
        put_number(out, (double) values[i]);
    }
    hs_buf_append_str(out, "]\n");
}

static void put_size(struct hs_buf *out, int width, int height, int stride)
{
    hs_buf_printf(out, "input:\n  width: %d\n  height: %d\n", width, height);
    if (stride)
        hs_buf_printf(out, "  stride: %d\n", stride);
}

static void put_pose(struct hs_buf *out, const struct hs_pack_draft *draft)
{
    static const float mean[3] = { 0, 0, 0 }, std[3] = { 255, 255, 255 };
    const struct hs_pose_shape *shape = draft->pose;
    put_size(out, shape->width, shape->height, shape->stride);
    put_triple(out, "mean", mean);
    put_triple(out, "std", std);
    hs_buf_printf(out, "decode: %s\nscores: %s\n", hs_decode_name(shape->decode),
                  shape->scores == HS_SCORES_LOGITS ? "logits" : "probabilities");
    put_classes(out, shape);
    put_keypoints(out, shape, draft->keypoint_names);
}

static void put_face(struct hs_buf *out, const struct hs_pack_draft *draft)
{
    const struct hs_face_shape *shape = draft->face;
    put_size(out, shape->width, shape->height, shape->stride);
    put_triple(out, "mean", shape->mean);
    put_triple(out, "std", shape->std);
    hs_buf_printf(out, "  channels: %s\ndecode: %s\nscores: probabilities\n", shape->bgr ? "bgr" : "rgb",
                  hs_decode_name(shape->decode));
    if (shape->task != HS_TASK_FACE_EMBEDDING)
        return;
    hs_buf_printf(out, "embedding:\n  space: \"%s-%.12s\"\n  dimension: %d\n  threshold: ", draft->name, draft->sha256,
                  shape->dimension);
    put_number(out, draft->threshold);
    hs_buf_append_str(out, "\n");
}

int hs_pack_write(const struct hs_pack_draft *draft, struct hs_buf *out)
{
    hs_buf_printf(out, "name: \"%s\"\ntask: %s\ntitle: ", draft->name,
                  hs_task_name(draft->face ? draft->face->task : HS_TASK_POSE));
    put_text(out, draft->title);
    hs_buf_append_str(out, "\nlicence:\n  name: ");
    put_text(out, draft->licence);
    hs_buf_append_str(out, "\n");
    if (draft->face)
        put_face(out, draft);
    else
        put_pose(out, draft);
    hs_buf_printf(out, "%s:\n  file: \"%s\"\n  size: %llu\n  sha256: \"%s\"\n", draft->backend, draft->file_name,
                  (unsigned long long) draft->size, draft->sha256);
    const char *text = hs_buf_str(out);
    return text && out->len > 0 && text[out->len - 1] == '\n' ? 0 : HS_ENOMEM;
}
