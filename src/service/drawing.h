/* Pictures with something drawn in: for answers and for `detect --draw`. */
#ifndef HS_SERVICE_DRAWING_H
#define HS_SERVICE_DRAWING_H

#include <stdbool.h>

#include "base/buf.h"
#include "cli/program.h"
#include "image/draw.h"

enum { HS_DRAWING_MAX = 256 << 20, HS_DRAWING_QUALITY = 88 };

enum {
    HS_DRAWING_ANSWER_SIDE = 4096, /* the longest side of a picture that is sent to a client */
    /* Bytes that hs_drawing_encode takes for each pixel of the picture: 4 to draw on, 3 drawn, 3 as a file, of which
     * not all are there at the same time (struct hs_image_options). */
    HS_DRAWING_MORE_PER_PIXEL = 7,
};

/* Draws the shapes on a copy of the picture and appends it as a file of that format, HS_IMAGE_JPEG or HS_IMAGE_PNG.
 * Shapes have their coordinates in pixels of orig_width x orig_height, of which the picture shows all. */
int hs_drawing_encode(const struct hs_image *image, const struct hs_draw_shape *shapes, size_t count,
                      enum hs_image_format format, struct hs_buf *out, struct hs_error *err);

/* The value of --draw; path NULL: nothing is drawn. */
struct hs_drawing_target {
    const char *path;
    bool folder; /* path is one: each picture goes to <name>.jpg in it */
};

/* The row of a command's options that fills target->path. */
struct hs_option hs_drawing_option(struct hs_drawing_target *target, const char *help);

/* Looks at what path is. False: it must be a folder for so many pictures, and is not. */
bool hs_drawing_target_settle(struct hs_drawing_target *target, size_t picture_count);

/* PNG if the name ends so, else JPEG. */
enum hs_image_format hs_drawing_format(const struct hs_drawing_target *target);

/* Writes what hs_drawing_encode made of `picture` (a path). */
int hs_drawing_save(const struct hs_drawing_target *target, const char *picture, const struct hs_buf *drawn,
                    struct hs_error *err);

#endif
