#include "face/detect.h"

#include <math.h>

#include "base/clock.h"
#include "base/stage.h"
#include "image/letterbox.h"
#include "vision/face_heads.h"

/* Overlap of the tiles of a second pass, in pixels of the network's input. Only faces up to this
 * size are taken from the tiles, and each of them is complete in one tile. */
enum { TILE_OVERLAP = 56 };
/* A box that ends this close to a tile's edge, in pixels of the input, may continue beyond it. */
enum { EDGE_MARGIN = 3 };
/* A second pass is skipped if it enlarges the picture by less than this factor. */
static const double tile_gain = 1.2;
/* SCRFD's largest anchors are 512 pixels for an input of 640. It finds two thirds of the faces
 * whose longer side is .7 of the picture's, and one in a hundred at .8. The pass at half the size
 * keeps faces from this share on. For smaller faces, it finds none that the first pass misses. */
static const float large_share = 0.5f;
/* Share of the input that the picture takes in that pass, so that a face which fills the picture
 * has a border. At .45 of the first pass's size all such faces are found; at .5, without a border,
 * one in eight is missed. */
static const double large_fill = 0.9;

/* A view of a part of a decoded picture, with its mapping to the original. */
struct view {
    struct hs_image image;
    float scale_x, scale_y, shift_x, shift_y;
};

/* Returns a view of columns x1..x2-1 and rows y1..y2-1 of the decoded picture. */
static struct view part_view(const struct hs_image *image, int x1, int y1, int x2, int y2)
{
    struct view view = {
        .image = *image,
        .scale_x = (float) image->orig_width / (float) image->width,
        .scale_y = (float) image->orig_height / (float) image->height,
    };
    view.shift_x = (float) x1 * view.scale_x;
    view.shift_y = (float) y1 * view.scale_y;
    view.image.pixels = image->pixels + (size_t) y1 * image->stride + (size_t) x1 * 3;
    view.image.width = view.image.orig_width = x2 - x1;
    view.image.height = view.image.orig_height = y2 - y1;
    return view;
}

static int decode_outputs(const struct hs_face_detector *d, const struct hs_lease *lease,
                          const struct hs_letterbox *box, struct hs_face_list *list, struct hs_error *err)
{
    const struct hs_pack_file *file = d->runner->choice.file;
    enum hs_face_network network = file->decode == HS_DECODE_SCRFD ? HS_FACE_SCRFD : HS_FACE_RETINAFACE;
    const struct hs_face_params params = {
        .score_threshold = d->score_threshold,
        .iou_threshold = d->iou_threshold,
        .max_faces = HS_FACE_MAX_FACES,
    };
    struct hs_face_layout layout;
    int r = hs_face_layout_init(network, lease->descs, lease->output_count, box->in_w, box->in_h,
                                file->scores == HS_SCORES_LOGITS, &layout, err);
    if (r < 0)
        return r;
    r = hs_face_decode(&layout, lease->outputs, &params, list);
    if (r < 0)
        return hs_error_set(err, r, "no memory for the faces");
    const struct hs_transform to_picture = hs_letterbox_transform(box);
    hs_face_list_map(list, &to_picture);
    return 0;
}

/* Scales the picture by `factor` and centers it in the input, so that a face which fills it has a border. */
static void shrink(struct hs_letterbox *box, double factor)
{
    int width = (int) (box->content_w * factor), height = (int) (box->content_h * factor);
    box->content_w = width > 1 ? width : 1;
    box->content_h = height > 1 ? height : 1;
    box->pad_left = (box->in_w - box->content_w) / 2;
    box->pad_top = (box->in_h - box->content_h) / 2;
    box->scale_x = (float) ((double) box->content_w / box->orig_w);
    box->scale_y = (float) ((double) box->content_h / box->orig_h);
}

/* Places the picture in the top left corner, padded with black, like the networks' reference
 * code: another offset from their grid moves landmarks by a pixel or two. The input is as narrow
 * as the network allows, because SCRFD, unlike yolo11n-pose, needs no border. */
static void plan(const struct hs_face_detector *d, const struct hs_image *image, struct hs_letterbox *ret_box)
{
    struct hs_input_size size = hs_model_runner_input_size(d->runner, image->orig_width, image->orig_height);
    hs_letterbox_plan(image->orig_width, image->orig_height, size.w, size.h, ret_box);
    ret_box->pad_left = ret_box->pad_top = 0;
    ret_box->pad_value = 0;
}

/* Runs the detector; the faces are in pixels of the view. */
static int run(const struct hs_face_detector *d, const struct hs_image *image, const struct hs_letterbox *box,
               struct hs_face_list *list, struct hs_error *err)
{
    const struct hs_slot_request request = {
        .h = box->in_h,
        .w = box->in_w,
        .count = 1,
        .priority = d->priority,
        .deadline_ns = d->deadline_ns,
        .cancel = d->cancel,
    };
    struct hs_lease *lease;
    int r = hs_runner_acquire(d->runner->runner, &request, &lease, err);
    if (r < 0)
        return r;
    int64_t at = hs_clock_now_ns();
    r = hs_letterbox_apply(box, image, lease->input);
    if (r < 0)
        hs_error_set(err, r, "no memory to scale the picture");
    hs_stage_lap_ms(HS_STAGE_PREPROCESS, &at);
    if (r == 0)
        r = hs_runner_run(lease, NULL, err);
    if (r == 0) {
        at = hs_clock_now_ns();
        r = decode_outputs(d, lease, box, list, err);
        hs_stage_lap_ms(HS_STAGE_POSTPROCESS, &at);
    }
    hs_runner_release(lease);
    return r;
}

/* ---- the whole picture ---- */

/* Plans the pass at less than half the size, in the runner's smaller input or, if the device
 * supports only one, in that. */
static void plan_large(const struct hs_face_detector *d, const struct hs_image *image, struct hs_letterbox *ret_box)
{
    struct hs_input_size size = hs_model_runner_half_size(d->runner);
    hs_letterbox_plan(image->orig_width, image->orig_height, size.w, size.h, ret_box);
    ret_box->pad_value = 0;
    shrink(ret_box, d->runner->free_size ? large_fill : large_fill / 2);
}

static void keep_large(struct hs_face_list *list, const struct hs_image *image)
{
    float least = large_share * fmaxf((float) image->orig_width, (float) image->orig_height);
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct hs_rect *box = &list->faces[i].box;
        if (fmaxf(box->x2 - box->x1, box->y2 - box->y1) >= least)
            list->faces[kept++] = list->faces[i];
    }
    list->count = kept;
}

static int add_large(const struct hs_face_detector *d, const struct hs_image *image, struct hs_face_list *list,
                     struct hs_error *err)
{
    struct hs_face_list found;
    struct hs_letterbox box;
    hs_face_list_init(&found);
    plan_large(d, image, &box);
    int r = run(d, image, &box, &found, err);
    keep_large(&found, image);
    if (r == 0 && found.count > 0 && hs_face_list_merge(list, &found, d->iou_threshold, HS_FACE_MAX_FACES) < 0)
        r = hs_error_set(err, HS_ENOMEM, "no memory for the faces");
    hs_face_list_finish(&found);
    return r;
}

int hs_face_detect_whole(const struct hs_face_detector *d, const struct hs_image *image, bool large,
                         struct hs_face_list *list, struct hs_error *err)
{
    struct hs_letterbox box;
    plan(d, image, &box);
    int r = run(d, image, &box, list, err);
    if (r < 0)
        return r;
    if (list->count > 0)
        return large ? add_large(d, image, list, err) : 0;
    shrink(&box, 0.5);
    return run(d, image, &box, list, err);
}

/* ---- tiny faces ---- */

static double first_scale(const struct hs_face_detector *d, int width, int height)
{
    const struct hs_input_size *input = &d->runner->input;
    return fmin((double) input->w / width, (double) input->h / height);
}

double hs_face_tile_scale(const struct hs_face_detector *d, int orig_width, int orig_height)
{
    const struct hs_input_size *input = &d->runner->input;
    double scale = fmin((2.0 * input->w - TILE_OVERLAP) / orig_width, (2.0 * input->h - TILE_OVERLAP) / orig_height);
    scale = fmin(scale, 1);
    return scale < tile_gain * first_scale(d, orig_width, orig_height) ? 0 : scale;
}

/* One axis of the grid, in decoded pixels: one or two tiles of length `size`; the second ends at
 * the far end. */
struct axis {
    int count, size, length;
    float edge; /* decoded pixels per pixel of the network's input */
};

static struct axis split(double content, int input, int decoded)
{
    struct axis axis = { .count = content > input ? 2 : 1, .length = decoded, .edge = (float) (decoded / content) };
    double size = axis.count == 2 ? ceil((content + TILE_OVERLAP) / 2) : content;
    axis.size = (int) fmin(ceil(size * decoded / content), decoded);
    return axis;
}

static int begin_of(const struct axis *axis, int i)
{
    return i == 0 ? 0 : axis->length - axis->size;
}

/* Returns true if a face, begin..end in pixels of tile i, is tiny and complete along this axis. */
static bool is_complete(const struct axis *axis, int i, float begin, float end)
{
    float margin = EDGE_MARGIN * axis->edge;
    bool left_open = i > 0, right_open = i + 1 < axis->count;
    return end - begin <= TILE_OVERLAP * axis->edge && !(left_open && begin < margin) &&
           !(right_open && end > (float) axis->size - margin);
}

static void keep_complete(struct hs_face_list *list, const struct axis *across, int i, const struct axis *down, int j)
{
    size_t kept = 0;
    for (size_t k = 0; k < list->count; k++) {
        const struct hs_rect *box = &list->faces[k].box;
        if (is_complete(across, i, box->x1, box->x2) && is_complete(down, j, box->y1, box->y2))
            list->faces[kept++] = list->faces[k];
    }
    list->count = kept;
}

int hs_face_detect_tiles(const struct hs_face_detector *d, const struct hs_image *image, struct hs_face_list *list,
                         struct hs_error *err)
{
    const struct hs_input_size *input = &d->runner->input;
    double scale = hs_face_tile_scale(d, image->orig_width, image->orig_height);
    if (!(scale > 0))
        return 0;
    struct axis across = split(image->orig_width * scale, input->w, image->width);
    struct axis down = split(image->orig_height * scale, input->h, image->height);
    struct hs_face_list found;
    int r = 0;
    hs_face_list_init(&found);
    for (int k = 0; k < across.count * down.count && r == 0; k++) {
        int i = k % across.count, j = k / across.count, x = begin_of(&across, i), y = begin_of(&down, j);
        struct view view = part_view(image, x, y, x + across.size, y + down.size);
        struct hs_letterbox box;
        plan(d, &view.image, &box);
        r = run(d, &view.image, &box, &found, err);
        keep_complete(&found, &across, i, &down, j);
        hs_face_list_move(&found, view.scale_x, view.scale_y, view.shift_x, view.shift_y);
        if (r == 0 && hs_face_list_add(list, &found, HS_FACE_MAX_FACES) < 0)
            r = hs_error_set(err, HS_ENOMEM, "no memory for the faces");
    }
    hs_face_list_finish(&found);
    return r;
}

/* ---- inside a box ---- */

struct hs_rect hs_face_detect_part(const struct hs_face_detector *d, const struct hs_image *image,
                                   const struct hs_rect *box)
{
    const struct hs_input_size *input = &d->runner->input;
    float side = fmaxf(box->x2 - box->x1, box->y2 - box->y1), least = (float) input->w / 4;
    float half = fmaxf(1.5f * side, least), x = (box->x1 + box->x2) / 2, y = (box->y1 + box->y2) / 2;
    return (struct hs_rect) {
        fmaxf(x - half, 0),
        fmaxf(y - half, 0),
        fminf(x + half, (float) image->orig_width),
        fminf(y + half, (float) image->orig_height),
    };
}

double hs_face_part_scale(const struct hs_face_detector *d, const struct hs_rect *part)
{
    int width = (int) ceilf(part->x2 - part->x1), height = (int) ceilf(part->y2 - part->y1);
    return fmin(first_scale(d, width > 1 ? width : 1, height > 1 ? height : 1), 1);
}

int hs_face_detect_inside(const struct hs_face_detector *d, const struct hs_image *image, const struct hs_rect *part,
                          struct hs_face_list *list, struct hs_error *err)
{
    float sx = (float) image->width / (float) image->orig_width;
    float sy = (float) image->height / (float) image->orig_height;
    int x1 = hs_pixel(part->x1 * sx, image->width), y1 = hs_pixel(part->y1 * sy, image->height);
    int x2 = hs_pixel(ceilf(part->x2 * sx), image->width + 1), y2 = hs_pixel(ceilf(part->y2 * sy), image->height + 1);
    struct view view = part_view(image, x1, y1, x2 > x1 ? x2 : x1 + 1, y2 > y1 ? y2 : y1 + 1);
    struct hs_letterbox box;
    struct hs_face_list found;
    hs_face_list_init(&found);
    plan(d, &view.image, &box);
    int r = run(d, &view.image, &box, &found, err);
    hs_face_list_move(&found, view.scale_x, view.scale_y, view.shift_x, view.shift_y);
    if (r == 0 && hs_face_list_add(&found, list, HS_FACE_MAX_FACES) < 0)
        r = hs_error_set(err, HS_ENOMEM, "no memory for the faces");
    if (r == 0) {
        struct hs_face_list old = *list;
        *list = found;
        found = old;
    }
    hs_face_list_finish(&found);
    return r;
}
