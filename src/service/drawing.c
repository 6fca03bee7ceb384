#include "service/drawing.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/str.h"
#include "image/encode.h"

/* The shapes in pixels of a reduced picture. Caller frees with free(). */
static struct hs_draw_shape *reduced(const struct hs_image *image, const struct hs_draw_shape *shapes, size_t count)
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

int hs_drawing_encode(const struct hs_image *image, const struct hs_draw_shape *shapes, size_t count,
                      enum hs_image_format format, struct hs_buf *out, struct hs_error *err)
{
    struct hs_image *drawn;
    struct hs_draw_shape *own = reduced(image, shapes, count);
    if (!own)
        return hs_error_set(err, HS_ENOMEM, "no memory to draw on an image");
    int r = hs_draw(image, own, count, &drawn, err);
    free(own);
    if (r < 0)
        return r;
    r = format == HS_IMAGE_PNG ? hs_image_encode_png(drawn, out, err)
                               : hs_image_encode_jpeg(drawn, HS_DRAWING_QUALITY, out, err);
    hs_image_destroy(drawn);
    return r;
}

struct hs_option hs_drawing_option(struct hs_drawing_target *target, const char *help)
{
    return (struct hs_option) {
        .name = "draw",
        .kind = HS_OPTION_TEXT,
        .target = &target->path,
        .value = "FILE|DIR",
        .help = help,
    };
}

bool hs_drawing_target_settle(struct hs_drawing_target *target, size_t picture_count)
{
    struct stat st;
    target->folder = target->path && stat(target->path, &st) == 0 && S_ISDIR(st.st_mode);
    return !target->path || target->folder || picture_count <= 1;
}

enum hs_image_format hs_drawing_format(const struct hs_drawing_target *target)
{
    return !target->folder && hs_str_ends(target->path, ".png") ? HS_IMAGE_PNG : HS_IMAGE_JPEG;
}

/* DIR/name.jpg for a folder, else the file itself. */
static bool drawn_path(const struct hs_drawing_target *target, const char *picture, char *dst, size_t size)
{
    if (!target->folder)
        return hs_str_copy(dst, size, target->path);
    char name[NAME_MAX + 1];
    const char *base = hs_path_base(picture), *dot = strrchr(base, '.');
    size_t stem = dot && dot > base ? (size_t) (dot - base) : strlen(base);
    return hs_str_format(name, sizeof(name), "%.*s.jpg", (int) stem, base) &&
           hs_path_join(dst, size, target->path, name);
}

int hs_drawing_save(const struct hs_drawing_target *target, const char *picture, const struct hs_buf *drawn,
                    struct hs_error *err)
{
    char path[PATH_MAX];
    if (!drawn_path(target, picture, path, sizeof(path)))
        return hs_error_set(err, HS_EINVAL, "%s: the path is too long", target->path);
    return hs_file_write_atomic(path, drawn->data, drawn->len, 0644, err);
}
