#include "service/drawing.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/encode.h"

struct hs_draw_shape hs_drawing_frame(const struct hs_rect *box, uint32_t color, const char *label)
{
    return (struct hs_draw_shape) {
        .kind = HS_DRAW_RECT,
        .x0 = box->x1,
        .y0 = box->y1,
        .x1 = box->x2,
        .y1 = box->y2,
        .color = color,
        .label = label,
    };
}

/* Scales the shapes to the pixels of a reduced picture. Caller frees with free(). */
static struct hs_draw_shape *scale_shapes(const struct hs_image *image, const struct hs_draw_shape *shapes,
                                          size_t count)
{
    float x = (float) image->width / (float) image->orig_width, y = (float) image->height / (float) image->orig_height;
    struct hs_draw_shape *copy = calloc(count ? count : 1, sizeof(*copy));
    for (size_t i = 0; copy && i < count; i++) {
        copy[i] = shapes[i];
        copy[i].x0 *= x;
        copy[i].x1 *= x;
        copy[i].y0 *= y;
        copy[i].y1 *= y;
    }
    return copy;
}

int hs_drawing_encode(const struct hs_image *image, int orientation, const struct hs_draw_shape *shapes, size_t count,
                      enum hs_image_format format, struct hs_buf *out, struct hs_error *err)
{
    struct hs_overlay *overlay;
    struct hs_draw_shape *own = scale_shapes(image, shapes, count);
    if (!own)
        return hs_error_set(err, HS_ENOMEM, "no memory to draw on an image");
    int r = hs_overlay_create(image, orientation, own, count, &overlay, err);
    free(own);
    if (r < 0)
        return r;
    const struct hs_image_rows rows = hs_overlay_rows(overlay);
    r = format == HS_IMAGE_PNG ? hs_image_rows_encode_png(&rows, out, err)
                               : hs_image_rows_encode_jpeg(&rows, HS_DRAWING_QUALITY, out, err);
    hs_overlay_destroy(overlay);
    return r;
}

/* ---- where drawings go ---- */

static int no_memory(struct hs_error *err)
{
    return hs_error_set(err, HS_ENOMEM, "no memory for the names of drawings");
}

static bool is_used(const struct hs_drawing_target *target, const char *file)
{
    for (size_t i = 0; i < target->count; i++)
        if (strcmp(target->files[i], file) == 0)
            return true;
    return false;
}

static int add_file(struct hs_drawing_target *target, const char *file, struct hs_error *err)
{
    target->files[target->count] = strdup(file);
    if (!target->files[target->count])
        return no_memory(err);
    target->count++;
    return 0;
}

/* Adds DIR/name.jpg. If another picture of this run uses that name, adds DIR/name-2.jpg, or the next free number. */
static int add_to_folder(struct hs_drawing_target *target, const char *picture, struct hs_error *err)
{
    const char *base = strcmp(picture, "-") == 0 ? "stdin" : hs_path_base(picture), *dot = strrchr(base, '.');
    int stem = (int) (dot && dot > base ? (size_t) (dot - base) : strlen(base));
    char name[NAME_MAX + 1], path[PATH_MAX];
    bool fits = hs_str_format(name, sizeof(name), "%.*s.jpg", stem, base) &&
                hs_path_join(path, sizeof(path), target->path, name);
    for (int number = 2; fits && is_used(target, path); number++)
        fits = hs_str_format(name, sizeof(name), "%.*s-%d.jpg", stem, base, number) &&
               hs_path_join(path, sizeof(path), target->path, name);
    return fits ? add_file(target, path, err)
                : hs_error_set(err, HS_EINVAL, "the path of the drawing of %s is too long", picture);
}

static bool ends_nocase(const char *text, const char *ending)
{
    size_t len = strlen(text), size = strlen(ending);
    return len > size && hs_str_equal_nocase(text + len - size, ending);
}

static int add_single(struct hs_drawing_target *target, size_t picture_count, struct hs_error *err)
{
    if (picture_count > 1)
        return hs_error_set(err, HS_EINVAL, "--draw must be an existing folder if there are several pictures");
    if (ends_nocase(target->path, ".png"))
        target->format = HS_IMAGE_PNG;
    else if (!ends_nocase(target->path, ".jpg") && !ends_nocase(target->path, ".jpeg"))
        return hs_error_set(err, HS_EINVAL,
                            "--draw %s: must be a file name that ends in .jpg, .jpeg or .png, or an existing folder",
                            target->path);
    return add_file(target, target->path, err);
}

/* Fails if a drawing would replace a picture, also through a link. */
static int check_files(const struct hs_drawing_target *target, const struct hs_text_list *pictures,
                       struct hs_error *err)
{
    struct stat *of = calloc(pictures->count ? pictures->count : 1, sizeof(*of)), st;
    size_t found = 0;
    int r = of ? 0 : no_memory(err);
    for (size_t i = 0; of && i < pictures->count; i++)
        found += (strcmp(pictures->items[i], "-") == 0 ? fstat(STDIN_FILENO, &of[found])
                                                       : stat(pictures->items[i], &of[found])) == 0;
    for (size_t i = 0; r == 0 && i < target->count; i++) {
        if (stat(target->files[i], &st) < 0)
            continue;
        for (size_t k = 0; r == 0 && k < found; k++)
            if (st.st_dev == of[k].st_dev && st.st_ino == of[k].st_ino)
                r = hs_error_set(err, HS_EINVAL, "--draw %s: would replace %s, which is one of the pictures",
                                 target->path, target->files[i]);
    }
    free(of);
    return r;
}

int hs_drawing_target_resolve(struct hs_drawing_target *target, const struct hs_text_list *pictures,
                              struct hs_error *err)
{
    struct stat st;
    if (!target->path)
        return 0;
    target->format = HS_IMAGE_JPEG;
    target->files = calloc(pictures->count ? pictures->count : 1, sizeof(*target->files));
    int r = target->files ? 0 : no_memory(err);
    if (r == 0 && (stat(target->path, &st) < 0 || !S_ISDIR(st.st_mode)))
        r = add_single(target, pictures->count, err);
    else
        for (size_t i = 0; r == 0 && i < pictures->count; i++)
            r = add_to_folder(target, pictures->items[i], err);
    return r < 0 ? r : check_files(target, pictures, err);
}

void hs_drawing_target_finish(struct hs_drawing_target *target)
{
    for (size_t i = 0; i < target->count; i++)
        free(target->files[i]);
    free(target->files);
    target->files = NULL;
    target->count = 0;
}

int hs_drawing_save(const struct hs_drawing_target *target, size_t index, const struct hs_buf *drawn,
                    struct hs_error *err)
{
    return hs_file_write_atomic(target->files[index], drawn->data, drawn->len, 0644, err);
}
