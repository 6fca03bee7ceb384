/* Pictures with something drawn in: for answers and for `detect --draw`. */
#ifndef HS_SERVICE_DRAWING_H
#define HS_SERVICE_DRAWING_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/geometry.h"
#include "cli/program.h"
#include "image/draw.h"

enum { HS_DRAWING_MAX = 256 << 20, HS_DRAWING_QUALITY = 88 };

enum {
    HS_DRAWING_ANSWER_SIDE = 3072, /* the longest side of a picture that is sent to a client */
    /* Bytes that hs_drawing_encode takes for each pixel of the picture (struct hs_image_options): 3 as a file, which is
     * what a PNG can grow to, and 1 for the rows that are drawn at a time. */
    HS_DRAWING_MORE_PER_PIXEL = 4,
};

/* The frame of something found, with a label, which the shape borrows. */
struct hs_draw_shape hs_drawing_frame(const struct hs_rect *box, uint32_t color, const char *label);

/* Draws the shapes over the picture, turned upright as the EXIF `orientation` (1..8) says, and appends it as a file of
 * that format, HS_IMAGE_JPEG or HS_IMAGE_PNG. The picture is only read. Shapes have their coordinates in pixels of
 * orig_width x orig_height, of which the picture shows all. */
int hs_drawing_encode(const struct hs_image *image, int orientation, const struct hs_draw_shape *shapes, size_t count,
                      enum hs_image_format format, struct hs_buf *out, struct hs_error *err);

/* The value of --draw, and the files that come of it. */
struct hs_drawing_target {
    const char *path;            /* NULL: nothing is drawn */
    enum hs_image_format format; /* PNG if the name of a file ends so, else JPEG */
    char **files;                /* one a picture, in their order; each once */
    size_t count;
};

/* The row of a command's options that fills target->path. `what` is drawn: "people". */
#define HS_DRAWING_OPTION(target, what)                                                                                \
    HS_TEXT("draw", &(target)->path, "FILE|DIR",                                                                       \
            "also write the picture with " what " drawn in, a .jpg or .png; several into a folder. "                   \
            "Replaces earlier files, but none of the pictures")

/* Names the file for each picture, before anything is written. HS_EINVAL: path is no folder and there are several
 * pictures, or its name does not end in .jpg, .jpeg or .png, or one of the files is one of the pictures, under whatever
 * name. The caller calls hs_drawing_target_finish, also after a failure. */
int hs_drawing_target_settle(struct hs_drawing_target *target, const struct hs_text_list *pictures,
                             struct hs_error *err);
void hs_drawing_target_finish(struct hs_drawing_target *target);

/* Writes what hs_drawing_encode made of the picture with that index. */
int hs_drawing_save(const struct hs_drawing_target *target, size_t index, const struct hs_buf *drawn,
                    struct hs_error *err);

#endif
