#include "image/draw.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include <cairo.h>

#include "base/str.h"

enum { MAX_SIDE = 32767 }; /* cairo's image surfaces */

/* One drawing at a time: cairo takes its font locks in an order that differs from call to call when a label is drawn
 * with its own font, so two threads could wait for each other. */
static pthread_mutex_t drawing = PTHREAD_MUTEX_INITIALIZER;

/* In units of hs_draw_unit. */
static const double default_size = 2.5, text_height = 13, text_margin = 3;

float hs_draw_unit(int width, int height)
{
    return fmaxf((float) (width > height ? width : height) / 640.0f, 1.0f);
}

/* Cairo's RGB24 is one 32-bit word 0x00RRGGBB a pixel, in the machine's own byte order. */
static void copy_in(const struct hs_image *image, cairo_surface_t *surface)
{
    uint8_t *pixels = cairo_image_surface_get_data(surface);
    size_t stride = (size_t) cairo_image_surface_get_stride(surface);
    for (int y = 0; y < image->height; y++) {
        const uint8_t *src = image->pixels + (size_t) y * image->stride;
        uint8_t *dst = pixels + (size_t) y * stride;
        for (int x = 0; x < image->width; x++, src += 3, dst += 4) {
            uint32_t word = (uint32_t) src[0] << 16 | (uint32_t) src[1] << 8 | src[2];
            memcpy(dst, &word, 4);
        }
    }
    cairo_surface_mark_dirty(surface);
}

static void copy_out(cairo_surface_t *surface, struct hs_image *image)
{
    cairo_surface_flush(surface);
    const uint8_t *pixels = cairo_image_surface_get_data(surface);
    size_t stride = (size_t) cairo_image_surface_get_stride(surface);
    for (int y = 0; y < image->height; y++) {
        const uint8_t *src = pixels + (size_t) y * stride;
        uint8_t *dst = image->pixels + (size_t) y * image->stride;
        for (int x = 0; x < image->width; x++, src += 4, dst += 3) {
            uint32_t word;
            memcpy(&word, src, 4);
            dst[0] = (uint8_t) (word >> 16);
            dst[1] = (uint8_t) (word >> 8);
            dst[2] = (uint8_t) word;
        }
    }
}

static void set_color(cairo_t *cairo, uint32_t color)
{
    cairo_set_source_rgb(cairo, (color >> 16 & 255) / 255.0, (color >> 8 & 255) / 255.0, (color & 255) / 255.0);
}

/* White or black, whichever reads better on the colour: luma of ITU-R BT.601. */
static uint32_t text_color(uint32_t color)
{
    uint32_t luma = 299 * (color >> 16 & 255) + 587 * (color >> 8 & 255) + 114 * (color & 255);
    return luma > 140 * 1000 ? 0x000000 : 0xffffff;
}

/* A filled bar with the text in it, its lower left corner at x, y, moved down if it would leave the picture's top. */
static void draw_label(cairo_t *cairo, const struct hs_draw_shape *shape, double unit)
{
    if (!shape->label || !shape->label[0] || !hs_utf8_valid(shape->label, strlen(shape->label)))
        return;
    cairo_text_extents_t extents;
    cairo_text_extents(cairo, shape->label, &extents);
    double height = (text_height + text_margin) * unit;
    double x = shape->x0, top = fmax(shape->y0 - height, 0);
    set_color(cairo, shape->color);
    cairo_rectangle(cairo, x, top, extents.x_advance + 2 * text_margin * unit, height);
    cairo_fill(cairo);
    set_color(cairo, text_color(shape->color));
    cairo_move_to(cairo, x + text_margin * unit, top + text_height * unit);
    cairo_show_text(cairo, shape->label);
}

static void draw_shape(cairo_t *cairo, const struct hs_draw_shape *shape, double unit)
{
    double size = (shape->size > 0 ? shape->size : default_size) * unit;
    set_color(cairo, shape->color);
    cairo_set_line_width(cairo, size);
    switch (shape->kind) {
    case HS_DRAW_RECT:
        cairo_rectangle(cairo, shape->x0, shape->y0, shape->x1 - shape->x0, shape->y1 - shape->y0);
        cairo_stroke(cairo);
        break;
    case HS_DRAW_LINE:
        cairo_move_to(cairo, shape->x0, shape->y0);
        cairo_line_to(cairo, shape->x1, shape->y1);
        cairo_stroke(cairo);
        break;
    case HS_DRAW_CIRCLE:
        cairo_new_sub_path(cairo);
        cairo_arc(cairo, shape->x0, shape->y0, size, 0, 2 * 3.14159265358979323846);
        cairo_fill(cairo);
        break;
    }
    draw_label(cairo, shape, unit);
}

static bool is_finite(const struct hs_draw_shape *shape)
{
    return isfinite(shape->x0) && isfinite(shape->y0) && isfinite(shape->x1) && isfinite(shape->y1) &&
           isfinite(shape->size);
}

static int draw_on(cairo_surface_t *surface, const struct hs_image *image, const struct hs_draw_shape *shapes,
                   size_t count, struct hs_error *err)
{
    double unit = hs_draw_unit(image->width, image->height);
    cairo_t *cairo = cairo_create(surface);
    if (cairo_status(cairo) == CAIRO_STATUS_SUCCESS)
        copy_in(image, surface);
    cairo_set_line_join(cairo, CAIRO_LINE_JOIN_ROUND);
    cairo_set_line_cap(cairo, CAIRO_LINE_CAP_ROUND);
    /* cairo's own strokes: the same on every machine, and no fonts have to be installed or searched for. */
    cairo_select_font_face(cairo, "@cairo:sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cairo, text_height * unit);
    for (size_t i = 0; i < count; i++) {
        if (is_finite(&shapes[i]))
            draw_shape(cairo, &shapes[i], unit);
    }
    cairo_status_t status = cairo_status(cairo);
    cairo_destroy(cairo);
    if (status == CAIRO_STATUS_NO_MEMORY)
        return hs_error_set(err, HS_ENOMEM, "no memory to draw on an image");
    if (status != CAIRO_STATUS_SUCCESS)
        return hs_error_set(err, HS_EINTERNAL, "image cannot be drawn on" HS_DETAIL "%s",
                            cairo_status_to_string(status));
    return 0;
}

int hs_draw(const struct hs_image *image, const struct hs_draw_shape *shapes, size_t count, struct hs_image **ret_image,
            struct hs_error *err)
{
    if (image->width > MAX_SIDE || image->height > MAX_SIDE)
        return hs_error_set(err, HS_ETOOLARGE, "image is %dx%d pixels, a side of at most %d can be drawn on",
                            image->width, image->height, MAX_SIDE);
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, image->width, image->height);
    struct hs_image *drawn = NULL;
    pthread_mutex_lock(&drawing);
    int r = draw_on(surface, image, shapes, count, err);
    pthread_mutex_unlock(&drawing);
    if (r == 0)
        r = hs_image_create(image->width, image->height, &drawn, err);
    if (r == 0) {
        copy_out(surface, drawn);
        drawn->orig_width = image->orig_width;
        drawn->orig_height = image->orig_height;
        drawn->orientation = image->orientation;
        *ret_image = drawn;
    }
    cairo_surface_destroy(surface);
    return r;
}
