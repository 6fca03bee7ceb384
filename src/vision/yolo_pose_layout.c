/* Identifies the outputs of a pose network by shape alone, because names and order differ between
 * exporters, compilers and their versions. */
#include "vision/yolo_pose.h"

#include "vision/detector.h"

/* Enough for an input of 8192 x 8192 at stride 4, and far below the range of the decoder's 32-bit cell
 * numbers. */
enum { MAX_CELLS = 1 << 23 };

enum part { BOX, SCORE, KEYPOINT, PARTS };

static int check_spec(const struct hs_yolo_pose_spec *spec, struct hs_error *err)
{
    if (spec->classes < 1 || spec->classes > HS_YOLO_POSE_MAX_CLASSES)
        return hs_error_set(err, HS_EMODEL, "a pose model must have 1 to %d classes, not %d", HS_YOLO_POSE_MAX_CLASSES,
                            spec->classes);
    if (spec->keypoints < 1 || spec->keypoints > HS_YOLO_POSE_MAX_KEYPOINTS)
        return hs_error_set(err, HS_EMODEL, "a pose model must have 1 to %d keypoints, not %d",
                            HS_YOLO_POSE_MAX_KEYPOINTS, spec->keypoints);
    if (spec->dims != 2 && spec->dims != 3)
        return hs_error_set(err, HS_EMODEL, "a keypoint must have 2 or 3 numbers, not %d", spec->dims);
    if (spec->input_w < 1 || spec->input_h < 1)
        return hs_error_set(err, HS_EMODEL, "the input size %dx%d must be positive", spec->input_w, spec->input_h);
    return 0;
}

static int init_rows(const struct hs_tensor_desc *output, struct hs_yolo_pose_layout *layout, struct hs_error *err)
{
    const struct hs_yolo_pose_spec *spec = &layout->spec;
    int channels = 4 + spec->classes + spec->keypoints * spec->dims;
    if (output->layout != HS_LAYOUT_ROWS || output->c != 1 || (output->h != channels && output->w != channels))
        return hs_error_set(err, HS_EMODEL,
                            "the only output, %dx%dx%d, is not a matrix of %d rows (4 + %d classes + %d x %d)",
                            output->h, output->w, output->c, channels, spec->classes, spec->keypoints, spec->dims);
    /* Ultralytics writes [channels, N]; that form is also assumed if N equals the channel count. */
    layout->rows = true;
    layout->rows_transposed = output->h != channels;
    if ((layout->rows_transposed ? output->h : output->w) > MAX_CELLS)
        return hs_error_set(err, HS_EMODEL, "the output %dx%d has too many columns", output->h, output->w);
    return 0;
}

static bool fits(const struct hs_tensor_desc *const part[PARTS], const struct hs_yolo_pose_spec *spec)
{
    return part[SCORE]->c == spec->classes && part[KEYPOINT]->c == spec->keypoints * spec->dims &&
           part[BOX]->c % 4 == 0 && part[BOX]->c / 4 <= HS_YOLO_POSE_MAX_BINS;
}

/* Tries all six assignments of three tensors to three parts. Stores the last match and returns their
 * number. */
static int assign_parts(const struct hs_tensor_desc *outputs, const int index[PARTS],
                        const struct hs_yolo_pose_spec *spec, struct hs_yolo_pose_level *level)
{
    int found = 0;
    for (int box = 0; box < PARTS; box++) {
        for (int score = 0; score < PARTS; score++) {
            if (score == box)
                continue;
            int keypoint = PARTS - box - score;
            const struct hs_tensor_desc *const part[PARTS] = { &outputs[index[box]], &outputs[index[score]],
                                                               &outputs[index[keypoint]] };
            if (!fits(part, spec))
                continue;
            level->box = index[box];
            level->score = index[score];
            level->keypoint = index[keypoint];
            found++;
        }
    }
    return found;
}

static int init_level(const struct hs_tensor_desc *outputs, const int index[PARTS], struct hs_yolo_pose_layout *layout,
                      struct hs_yolo_pose_level *level, struct hs_error *err)
{
    const struct hs_yolo_pose_spec *spec = &layout->spec;
    level->h = outputs[index[0]].h;
    level->w = outputs[index[0]].w;
    level->stride = spec->input_w / level->w;
    if (spec->input_w % level->w || spec->input_h % level->h || spec->input_h / level->h != level->stride)
        return hs_error_set(err, HS_EMODEL, "the grid %dx%d does not divide the input %dx%d (height x width) evenly",
                            level->h, level->w, spec->input_h, spec->input_w);
    int found = assign_parts(outputs, index, spec, level);
    if (found != 1)
        return hs_error_set(err, HS_EMODEL,
                            "on the grid %dx%d the channels %d, %d, %d %s 4 x bins, %d classes, %d x %d keypoints",
                            level->h, level->w, outputs[index[0]].c, outputs[index[1]].c, outputs[index[2]].c,
                            found ? "fit in more than one way" : "are not", spec->classes, spec->keypoints, spec->dims);
    int bins = outputs[level->box].c / 4;
    if (layout->bins && layout->bins != bins)
        return hs_error_set(err, HS_EMODEL, "box outputs have %d and %d bins per side", layout->bins, bins);
    layout->bins = bins;
    return 0;
}

/* Stores the indices of the first PARTS outputs with the grid of output `like`. Returns the number of
 * all. */
static int outputs_of_grid(const struct hs_tensor_desc *outputs, int count, int like, int ret_index[PARTS])
{
    int found = 0;
    for (int i = 0; i < count; i++)
        if (outputs[i].h == outputs[like].h && outputs[i].w == outputs[like].w && found++ < PARTS)
            ret_index[found - 1] = i;
    return found;
}

/* Keeps the levels in the cell order of the networks: finest grid first. */
static void insert_level(struct hs_yolo_pose_layout *layout, const struct hs_yolo_pose_level *level)
{
    int at = layout->level_count++;
    for (; at > 0 && layout->levels[at - 1].stride > level->stride; at--)
        layout->levels[at] = layout->levels[at - 1];
    layout->levels[at] = *level;
}

static int init_heads(const struct hs_tensor_desc *outputs, int count, struct hs_yolo_pose_layout *layout,
                      struct hs_error *err)
{
    size_t cells = 0;
    for (int i = 0; i < count; i++) {
        struct hs_yolo_pose_level level;
        int index[PARTS], found = outputs_of_grid(outputs, count, i, index);
        if (index[0] < i)
            continue; /* handled with an earlier output */
        if (layout->level_count == HS_YOLO_POSE_MAX_LEVELS || found != PARTS) {
            char shapes[300];
            hs_outputs_text(outputs, count, shapes, sizeof(shapes));
            return hs_error_set(
                err, HS_EMODEL,
                "a pose model must have one output, or three on each of at most %d grids; this one has %s",
                HS_YOLO_POSE_MAX_LEVELS, shapes);
        }
        int r = init_level(outputs, index, layout, &level, err);
        if (r < 0)
            return r;
        insert_level(layout, &level);
        cells += (size_t) level.h * (size_t) level.w;
        if (cells > MAX_CELLS)
            return hs_error_set(err, HS_EMODEL, "the outputs have more than %d cells", MAX_CELLS);
    }
    return 0;
}

int hs_yolo_pose_layout_init(const struct hs_tensor_desc *outputs, int output_count,
                             const struct hs_yolo_pose_spec *spec, struct hs_yolo_pose_layout *ret_layout,
                             struct hs_error *err)
{
    struct hs_yolo_pose_layout layout = { .spec = *spec, .output_count = output_count };
    int r = check_spec(spec, err);
    if (r == 0 && output_count < 1)
        r = hs_error_set(err, HS_EMODEL, "the model has no output");
    if (r == 0)
        r = hs_outputs_check(outputs, output_count, err);
    if (r == 0)
        r = output_count == 1 ? init_rows(outputs, &layout, err) : init_heads(outputs, output_count, &layout, err);
    if (r == 0)
        *ret_layout = layout;
    return r;
}
