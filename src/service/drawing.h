/* Annotated pictures, for answers and for `detect --draw`. */
#ifndef HS_SERVICE_DRAWING_H
#define HS_SERVICE_DRAWING_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/geometry.h"
#include "cli/program.h"
#include "image/draw.h"

enum { HS_DRAWING_MAX = 256 << 20, HS_DRAWING_QUALITY = 88 };

enum {
    HS_DRAWING_RESPONSE_SIDE = 3072, /* longest side of an annotated picture in an answer */
    /* Memory of hs_drawing_encode per pixel of the picture, in bytes (struct hs_image_options): up
     * to 3 for a PNG file, and 1 for the rows being drawn. */
    HS_DRAWING_MORE_PER_PIXEL = 4,
};

/* Returns the frame of a detection with its label. The shape borrows the label. */
struct hs_draw_shape hs_drawing_frame(const struct hs_rect *box, uint32_t color, const char *label);

/* Draws the shapes over the picture, turns it upright by the EXIF `orientation` (1..8), and appends
 * it as a file in `format`: HS_IMAGE_JPEG or HS_IMAGE_PNG. The picture is only read. Coordinates of
 * shapes are in pixels of orig_width x orig_height, whose whole area the picture shows. */
int hs_drawing_encode(const struct hs_image *image, int orientation, const struct hs_draw_shape *shapes, size_t count,
                      enum hs_image_format format, struct hs_buf *out, struct hs_error *err);

/* The value of --draw, and the output files derived from it. */
struct hs_drawing_target {
    const char *path;            /* NULL: nothing is drawn */
    enum hs_image_format format; /* PNG if the file name ends in .png, else JPEG */
    char **files;                /* one per picture, in order, without duplicates */
    size_t count;
};

/* The option row that fills target->path. `what` names the objects drawn: "people". */
#define HS_DRAWING_OPTION(target, what)                                                                                \
    HS_TEXT("draw", &(target)->path, "FILE|DIR",                                                                       \
            "also write the picture with " what " drawn on it, as a .jpg or .png; for several pictures, a folder. "    \
            "Replaces existing files, except the pictures")

/* Chooses the output file of each picture, and writes nothing. HS_EINVAL if path is not a folder
 * and there are several pictures, if its name does not end in .jpg, .jpeg or .png, or if an output
 * file is one of the pictures, also by another name. The caller calls hs_drawing_target_finish,
 * also after a failure. */
int hs_drawing_target_resolve(struct hs_drawing_target *target, const struct hs_text_list *pictures,
                              struct hs_error *err);
void hs_drawing_target_finish(struct hs_drawing_target *target);

/* Writes the result of hs_drawing_encode for the picture with that index. */
int hs_drawing_save(const struct hs_drawing_target *target, size_t index, const struct hs_buf *drawn,
                    struct hs_error *err);

#endif
