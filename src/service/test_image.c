#include "service/test_image.h"

#include <cairo.h>
#include <math.h>
#include <stdint.h>

#include "base/mem.h"
#include "image/encode.h"

enum { QUALITY = 90 };

/* Positions in the drawing below. Ears, elbows and wrists are omitted, because networks disagree
 * about their exact position in so plain a drawing. */
const struct hs_test_image_point hs_test_image_points[] = {
    { 0, 240, 138 },  { 1, 257, 122 },  { 2, 223, 122 },  { 5, 294, 206 },  { 6, 186, 206 },  { 11, 268, 362 },
    { 12, 212, 362 }, { 13, 273, 465 }, { 14, 207, 465 }, { 15, 277, 555 }, { 16, 203, 555 },
};
const int hs_test_image_point_count = (int) HS_ARRAY_LEN(hs_test_image_points);

struct colour {
    double r, g, b;
};

static const struct colour sky = { .69, .77, .84 }, ground = { .47, .46, .44 }, skin = { .88, .67, .55 },
                           shirt = { .63, .16, .19 }, trousers = { .16, .20, .38 }, hair = { .24, .16, .11 },
                           shoe = { .12, .12, .12 }, white = { .98, .98, .98 }, iris = { .16, .12, .08 },
                           lip = { .67, .27, .27 }, shade = { .78, .55, .43 };

static void paint(cairo_t *cr, struct colour c)
{
    cairo_set_source_rgb(cr, c.r, c.g, c.b);
    cairo_fill(cr);
}

static void box(cairo_t *cr, double x1, double y1, double x2, double y2, struct colour c)
{
    cairo_rectangle(cr, x1, y1, x2 - x1, y2 - y1);
    paint(cr, c);
}

static void ellipse(cairo_t *cr, double x1, double y1, double x2, double y2, struct colour c)
{
    cairo_save(cr);
    cairo_translate(cr, (x1 + x2) / 2, (y1 + y2) / 2);
    cairo_scale(cr, (x2 - x1) / 2, (y2 - y1) / 2);
    cairo_new_sub_path(cr);
    cairo_arc(cr, 0, 0, 1, 0, 2 * M_PI);
    cairo_restore(cr);
    paint(cr, c);
}

static void limb(cairo_t *cr, double x1, double y1, double x2, double y2, double width, struct colour c)
{
    cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
    cairo_set_line_width(cr, width);
    cairo_move_to(cr, x1, y1);
    cairo_line_to(cr, x2, y2);
    cairo_set_source_rgb(cr, c.r, c.g, c.b);
    cairo_stroke(cr);
}

/* One half of the body; side is +1 for the figure's left (the picture's right), -1 for its right. */
static void draw_side(cairo_t *cr, double side)
{
    const double x = 240;
    limb(cr, x + side * 25, 370, x + side * 32, 465, 46, trousers);
    limb(cr, x + side * 32, 465, x + side * 37, 555, 36, trousers);
    ellipse(cr, x + side * 42 - 25, 550, x + side * 42 + 25, 580, shoe);
    limb(cr, x + side * 52, 210, x + side * 80, 285, 31, shirt);
    limb(cr, x + side * 80, 285, x + side * 90, 350, 25, skin);
    ellipse(cr, x + side * 90 - 15, 345, x + side * 90 + 15, 380, skin);
}

static void draw_torso(cairo_t *cr)
{
    const double left = 182, right = 298, top = 185, bottom = 385, r = 35;
    cairo_new_sub_path(cr);
    cairo_arc(cr, right - r, top + r, r, -M_PI / 2, 0);
    cairo_arc(cr, right - r, bottom - r, r, 0, M_PI / 2);
    cairo_arc(cr, left + r, bottom - r, r, M_PI / 2, M_PI);
    cairo_arc(cr, left + r, top + r, r, M_PI, 1.5 * M_PI);
    cairo_close_path(cr);
    paint(cr, shirt);
}

static void draw_head(cairo_t *cr)
{
    box(cr, 222, 155, 258, 200, skin);
    ellipse(cr, 200, 75, 280, 175, skin);
    ellipse(cr, 194, 115, 206, 142, skin);
    ellipse(cr, 274, 115, 286, 142, skin);
    cairo_save(cr);
    cairo_rectangle(cr, 190, 60, 100, 56);
    cairo_clip(cr);
    ellipse(cr, 197, 67, 283, 165, hair);
    cairo_restore(cr);
    for (int side = -1; side <= 1; side += 2) {
        double x = 240 + side * 17.5;
        ellipse(cr, x - 8, 117, x + 8, 127, white);
        ellipse(cr, x - 4, 118, x + 4, 127, iris);
        limb(cr, x - 9, 111, x + 9, 110, 3.5, hair);
    }
    cairo_move_to(cr, 240, 125);
    cairo_line_to(cr, 234, 145);
    cairo_line_to(cr, 246, 145);
    paint(cr, shade);
    ellipse(cr, 225, 154, 255, 162, lip);
}

static void draw_all(cairo_t *cr)
{
    box(cr, 0, 0, HS_TEST_IMAGE_W, HS_TEST_IMAGE_H, sky);
    box(cr, 0, 490, HS_TEST_IMAGE_W, HS_TEST_IMAGE_H, ground);
    draw_side(cr, -1);
    draw_side(cr, 1);
    draw_torso(cr);
    draw_head(cr);
}

int hs_test_image_encode(struct hs_buf *out, struct hs_error *err)
{
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, HS_TEST_IMAGE_W, HS_TEST_IMAGE_H);
    cairo_t *cr = cairo_create(surface);
    draw_all(cr);
    cairo_surface_flush(surface);
    int r;
    struct hs_image *image = NULL;
    if (cairo_status(cr) != CAIRO_STATUS_SUCCESS) {
        r = hs_error_set(err, HS_ENOMEM, "cannot draw the test image: %s", cairo_status_to_string(cairo_status(cr)));
        goto out;
    }
    r = hs_image_create(HS_TEST_IMAGE_W, HS_TEST_IMAGE_H, &image, err);
    if (r < 0)
        goto out;
    const uint8_t *pixels = cairo_image_surface_get_data(surface);
    int stride = cairo_image_surface_get_stride(surface);
    for (int y = 0; y < HS_TEST_IMAGE_H; y++) {
        /* RGB24 is a 32-bit number 0x00rrggbb in the machine's byte order. */
        const uint32_t *from = (const uint32_t *) (const void *) (pixels + (ptrdiff_t) y * stride);
        uint8_t *to = image->pixels + (size_t) y * image->stride;
        for (int x = 0; x < HS_TEST_IMAGE_W; x++, to += 3) {
            to[0] = (uint8_t) (from[x] >> 16);
            to[1] = (uint8_t) (from[x] >> 8);
            to[2] = (uint8_t) from[x];
        }
    }
    r = hs_image_encode_jpeg(image, QUALITY, out, err);
    hs_image_destroy(image);
out:
    cairo_destroy(cr);
    cairo_surface_destroy(surface);
    return r;
}
