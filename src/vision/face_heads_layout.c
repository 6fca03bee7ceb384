/* Identifies the outputs of a face network by shape alone, because names and order differ between
 * exporters, compilers and their versions. For a known input size each part of each stride has one
 * shape, and all these shapes differ. */
#include "vision/face_heads.h"

#include "vision/detector.h"

/* Far below the range of the decoder's 32-bit anchor numbers. */
enum { LARGEST_STRIDE = 32, MAX_CELLS = 1 << 23 };

static int check_input(int input_w, int input_h, struct hs_error *err)
{
    if (input_w < 1 || input_h < 1 || input_w % LARGEST_STRIDE || input_h % LARGEST_STRIDE)
        return hs_error_set(err, HS_EMODEL, "the input size %dx%d of a face detector is not a multiple of %d", input_w,
                            input_h, LARGEST_STRIDE);
    if ((int64_t) (input_w / 8) * (input_h / 8) > MAX_CELLS)
        return hs_error_set(err, HS_EMODEL, "the input size %dx%d of a face detector is too large", input_w, input_h);
    return 0;
}

static int anchors_of(const struct hs_face_level *level)
{
    return level->h * level->w * HS_FACE_ANCHORS;
}

static void init_levels(struct hs_face_layout *layout)
{
    for (int i = 0; i < HS_FACE_LEVELS; i++) {
        struct hs_face_level *level = &layout->levels[i];
        level->stride = 8 << i;
        level->h = layout->input_h / level->stride;
        level->w = layout->input_w / level->stride;
        for (int part = 0; part < HS_FACE_PARTS; part++)
            level->output[part] = -1;
    }
}

/* Assigns output `index` to a part of the level. Returns false if the part is already assigned. */
static bool put(struct hs_face_level *level, int part, int index, bool rows, int first_row)
{
    if (level->output[part] >= 0)
        return false;
    level->output[part] = index;
    level->rows[part] = rows;
    if (rows)
        level->first_row = first_row;
    return true;
}

static bool place_joined(const struct hs_tensor_desc *output, int index, struct hs_face_layout *layout)
{
    int total = 0, first = 0;
    bool put_all = true;
    for (int i = 0; i < HS_FACE_LEVELS; i++)
        total += anchors_of(&layout->levels[i]);
    for (int part = 0; part < HS_FACE_PARTS; part++) {
        if (output->h != total || output->w != hs_face_part_width(layout->network, part))
            continue;
        for (int i = 0; i < HS_FACE_LEVELS; i++) {
            put_all = put(&layout->levels[i], part, index, true, first) && put_all;
            first += anchors_of(&layout->levels[i]);
        }
        return put_all;
    }
    return false;
}

static bool place_output(const struct hs_tensor_desc *output, int index, struct hs_face_layout *layout)
{
    bool rows = output->layout == HS_LAYOUT_ROWS;
    if (rows && output->c != 1)
        return false;
    if (rows && layout->network == HS_FACE_RETINAFACE)
        return place_joined(output, index, layout);
    for (int i = 0; i < HS_FACE_LEVELS; i++) {
        struct hs_face_level *level = &layout->levels[i];
        for (int part = 0; part < HS_FACE_PARTS; part++) {
            int width = hs_face_part_width(layout->network, part);
            bool fits = rows ? output->h == anchors_of(level) && output->w == width
                             : output->h == level->h && output->w == level->w && output->c == HS_FACE_ANCHORS * width;
            if (fits)
                return put(level, part, index, rows, 0);
        }
    }
    return false;
}

/* Each stride needs scores and boxes; landmarks are on all strides or none. */
static bool is_complete(struct hs_face_layout *layout)
{
    int landmarks = 0;
    for (int i = 0; i < HS_FACE_LEVELS; i++) {
        const struct hs_face_level *level = &layout->levels[i];
        if (level->output[HS_FACE_SCORE] < 0 || level->output[HS_FACE_BOX] < 0)
            return false;
        landmarks += level->output[HS_FACE_POINTS] >= 0;
    }
    layout->has_landmarks = landmarks == HS_FACE_LEVELS;
    return landmarks == 0 || landmarks == HS_FACE_LEVELS;
}

int hs_face_layout_init(enum hs_face_network network, const struct hs_tensor_desc *outputs, int output_count,
                        int input_w, int input_h, bool score_logits, struct hs_face_layout *ret_layout,
                        struct hs_error *err)
{
    struct hs_face_layout layout = {
        .network = network,
        .input_w = input_w,
        .input_h = input_h,
        .score_logits = score_logits,
    };
    bool placed = true;
    int r = check_input(input_w, input_h, err);
    if (r == 0)
        r = hs_outputs_check(outputs, output_count, err);
    if (r < 0)
        return r;
    init_levels(&layout);
    for (int i = 0; placed && i < output_count; i++)
        placed = place_output(&outputs[i], i, &layout);
    if (!placed || !is_complete(&layout)) {
        char shapes[300];
        hs_outputs_text(outputs, output_count, shapes, sizeof(shapes));
        return hs_error_set(err, HS_EMODEL,
                            "the outputs are not those of a face detector with an input of %dx%d (scores, boxes and "
                            "optional landmarks at strides 8, 16 and 32, two anchors per cell): %s",
                            input_w, input_h, shapes);
    }
    *ret_layout = layout;
    return 0;
}
