#include "image/draw.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cairo.h>

#include "base/geometry.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/text.h"
#include "image/turn.h"

enum { MAX_SIDE = 32767 }; /* limit of cairo's image surfaces */

/* Larger values come close to the range of cairo's 24.8-bit coordinates. */
static const float max_coordinate = 1e6f;

/* In units of hs_draw_unit. */
static const double default_size = 2.5;

/* The font size is a fifth of the rectangle's shorter side, clamped to these bounds: in units, and for
 * small images in pixels. The text may be as wide as the rectangle, or label_room times the font size. */
static const double font_share = 0.2, font_min = 6, font_max = 13, font_min_px = 9, label_room = 12;

struct label {
    struct hs_text_line line;
    int x, y, width, height; /* the bar */
    int margin;
    uint32_t color;
};

struct hs_overlay {
    const struct hs_image *image;
    int width, height; /* upright, like all fields below */
    struct hs_turn turn;
    double unit;
    struct hs_draw_shape *shapes; /* their label fields are NULL */
    size_t shape_count;
    struct hs_text *text; /* NULL without labels */
    struct label *labels;
    size_t label_count;
};

float hs_draw_unit(int width, int height)
{
    return fmaxf((float) (width > height ? width : height) / 640.0f, 1.0f);
}

/* ---- shapes ---- */

static bool is_drawable(const struct hs_draw_shape *shape)
{
    const float values[] = { shape->x0, shape->y0, shape->x1, shape->y1 };
    for (size_t i = 0; i < HS_ARRAY_LEN(values); i++)
        if (!isfinite(values[i]) || fabsf(values[i]) > max_coordinate)
            return false;
    return isfinite(shape->size);
}

static void turn_point(const struct hs_overlay *o, float *x, float *y)
{
    float column = o->turn.far_column ? (float) o->image->width - *x : *x;
    float row = o->turn.far_row ? (float) o->image->height - *y : *y;
    *x = o->turn.swap ? row : column;
    *y = o->turn.swap ? column : row;
}

static void sort_pair(float *low, float *high)
{
    if (*low <= *high)
        return;
    float other = *low;
    *low = *high;
    *high = other;
}

static struct hs_draw_shape turn_shape(const struct hs_overlay *o, struct hs_draw_shape shape)
{
    turn_point(o, &shape.x0, &shape.y0);
    turn_point(o, &shape.x1, &shape.y1);
    if (shape.kind == HS_DRAW_RECT) {
        sort_pair(&shape.x0, &shape.x1);
        sort_pair(&shape.y0, &shape.y1);
    }
    return shape;
}

static double size_of(const struct hs_overlay *o, const struct hs_draw_shape *shape)
{
    return (shape->size > 0 ? shape->size : default_size) * o->unit;
}

/* Returns true if rows first..first+count-1 may contain a part of the shape. */
static bool intersects_rows(const struct hs_overlay *o, const struct hs_draw_shape *shape, int first, int count)
{
    double reach = size_of(o, shape) + 1, top = shape->y0, bottom = shape->y0;
    if (shape->kind != HS_DRAW_CIRCLE) {
        top = fmin(top, shape->y1);
        bottom = fmax(bottom, shape->y1);
    }
    return top - reach < first + count && bottom + reach > first;
}

static void set_color(cairo_t *cairo, uint32_t color)
{
    cairo_set_source_rgb(cairo, (color >> 16 & 255) / 255.0, (color >> 8 & 255) / 255.0, (color & 255) / 255.0);
}

static void draw_shape(cairo_t *cairo, const struct hs_draw_shape *shape, double size)
{
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
}

/* ---- labels ---- */

static bool wants_label(const struct hs_draw_shape *shape)
{
    return shape->kind == HS_DRAW_RECT && shape->label && shape->label[0] && is_drawable(shape) &&
           hs_utf8_valid(shape->label, strlen(shape->label));
}

static int clamp(double value, int low, int high)
{
    return value < low ? low : value > high ? high : (int) value;
}

static struct hs_rect bar_at(const struct label *label, int x, int y)
{
    return (struct hs_rect) { (float) x, (float) y, (float) (x + label->width), (float) (y + label->height) };
}

/* Returns the area of earlier labels that the bar would cover at x, y. */
static float covered(const struct hs_overlay *o, const struct label *label, int x, int y)
{
    struct hs_rect bar = bar_at(label, x, y);
    float sum = 0;
    for (size_t i = 0; i < o->label_count; i++) {
        struct hs_rect other = bar_at(&o->labels[i], o->labels[i].x, o->labels[i].y);
        sum += hs_rect_intersection(&bar, &other);
    }
    return sum;
}

/* Tries positions above, inside and below the rectangle, and takes the first that covers no other
 * label, else the one that covers least. All positions are moved into the image. */
static void place_label(const struct hs_overlay *o, const struct hs_draw_shape *shape, struct label *label)
{
    double left = shape->x0, right = shape->x1 - label->width, above = shape->y0 - label->height;
    const double places[][2] = {
        { left, above },     { right, above },     { left, shape->y0 },
        { left, shape->y1 }, { right, shape->y1 }, { left, above - label->height },
    };
    float least = INFINITY;
    for (size_t i = 0; i < HS_ARRAY_LEN(places) && least > 0; i++) {
        int x = clamp(places[i][0], 0, o->width - label->width), y = clamp(places[i][1], 0, o->height - label->height);
        float hidden = covered(o, label, x, y);
        if (hidden < least) {
            least = hidden;
            label->x = x;
            label->y = y;
        }
    }
}

/* Rounds down to one of eight sizes for each power of two, because each size loads one more font. */
static int round_size(int font_size)
{
    int step = 1;
    while (font_size / step >= 16)
        step *= 2;
    return font_size - font_size % step;
}

static void add_label(struct hs_overlay *o, const struct hs_draw_shape *shape, const char *text)
{
    double width = shape->x1 - shape->x0, height = shape->y1 - shape->y0, share = fmin(width, height) * font_share;
    double low = fmax(font_min * o->unit, font_min_px), high = fmax(font_max * o->unit, low);
    int font_size = round_size(clamp(share, (int) low, (int) high)), margin = font_size / 4;
    double room = fmin(fmax(width, font_size * label_room), o->width) - 2 * margin;
    struct label *label = &o->labels[o->label_count];
    if (room < font_size || font_size > o->height)
        return;
    *label = (struct label) { .margin = margin, .color = shape->color };
    hs_text_line_init(o->text, text, font_size, (int) room, &label->line);
    label->width = clamp(label->line.width + 2 * margin, 1, o->width);
    label->height = label->line.height;
    if (label->height > o->height) {
        hs_text_line_finish(&label->line);
        return;
    }
    place_label(o, shape, label);
    o->label_count++;
}

/* Returns black for light colours and white for dark ones, by the luma of ITU-R BT.601. */
static uint32_t text_color(uint32_t color)
{
    uint32_t luma = 299 * (color >> 16 & 255) + 587 * (color >> 8 & 255) + 114 * (color & 255);
    return luma > 140 * 1000 ? 0x000000 : 0xffffff;
}

static void draw_label(cairo_t *cairo, const struct label *label)
{
    cairo_save(cairo);
    cairo_rectangle(cairo, label->x, label->y, label->width, label->height);
    set_color(cairo, label->color);
    cairo_fill_preserve(cairo);
    cairo_clip(cairo);
    set_color(cairo, text_color(label->color));
    hs_text_line_show(&label->line, cairo, label->x + label->margin, label->y);
    cairo_restore(cairo);
}

/* ---- rows ---- */

/* A pixel of cairo's RGB24 is one 32-bit word 0x00RRGGBB in native byte order. */
static void copy_in(const struct hs_overlay *o, int first, int count, cairo_surface_t *surface)
{
    const struct hs_image *image = o->image;
    ptrdiff_t column = 3, row = (ptrdiff_t) image->stride;
    const uint8_t *start = image->pixels;
    if (o->turn.far_column) {
        start += (image->width - 1) * column;
        column = -column;
    }
    if (o->turn.far_row) {
        start += (image->height - 1) * row;
        row = -row;
    }
    ptrdiff_t step_x = o->turn.swap ? row : column, step_y = o->turn.swap ? column : row;
    uint8_t *pixels = cairo_image_surface_get_data(surface);
    size_t stride = (size_t) cairo_image_surface_get_stride(surface);
    /* Follows the stored rows, so that each is read once. */
    int outer = o->turn.swap ? o->width : count, inner = o->turn.swap ? count : o->width;
    for (int i = 0; i < outer; i++) {
        for (int k = 0; k < inner; k++) {
            int x = o->turn.swap ? i : k, y = o->turn.swap ? k : i;
            const uint8_t *src = start + x * step_x + (first + y) * step_y;
            uint32_t word = (uint32_t) src[0] << 16 | (uint32_t) src[1] << 8 | src[2];
            memcpy(pixels + (size_t) y * stride + (size_t) x * 4, &word, 4);
        }
    }
    cairo_surface_mark_dirty(surface);
}

static void copy_out(cairo_surface_t *surface, int width, int count, uint8_t *rows)
{
    cairo_surface_flush(surface);
    const uint8_t *pixels = cairo_image_surface_get_data(surface);
    size_t stride = (size_t) cairo_image_surface_get_stride(surface);
    for (int y = 0; y < count; y++) {
        const uint8_t *src = pixels + (size_t) y * stride;
        for (int x = 0; x < width; x++, src += 4, rows += 3) {
            uint32_t word;
            memcpy(&word, src, 4);
            rows[0] = (uint8_t) (word >> 16);
            rows[1] = (uint8_t) (word >> 8);
            rows[2] = (uint8_t) word;
        }
    }
}

static void draw_band(const struct hs_overlay *o, cairo_t *cairo, int first, int count)
{
    cairo_translate(cairo, 0, -first);
    cairo_set_line_join(cairo, CAIRO_LINE_JOIN_ROUND);
    cairo_set_line_cap(cairo, CAIRO_LINE_CAP_ROUND);
    for (size_t i = 0; i < o->shape_count; i++)
        if (intersects_rows(o, &o->shapes[i], first, count))
            draw_shape(cairo, &o->shapes[i], size_of(o, &o->shapes[i]));
    for (size_t i = 0; i < o->label_count; i++)
        if (o->labels[i].y < first + count && o->labels[i].y + o->labels[i].height > first)
            draw_label(cairo, &o->labels[i]);
}

/* Implements hs_image_rows.read. */
static int read_rows(void *ctx, int first, int count, uint8_t *rows, struct hs_error *err)
{
    const struct hs_overlay *o = ctx;
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, o->width, count);
    cairo_t *cairo = cairo_create(surface);
    if (cairo_status(cairo) == CAIRO_STATUS_SUCCESS) {
        copy_in(o, first, count, surface);
        draw_band(o, cairo, first, count);
    }
    cairo_status_t status = cairo_status(cairo);
    cairo_destroy(cairo);
    if (status == CAIRO_STATUS_SUCCESS)
        copy_out(surface, o->width, count, rows);
    cairo_surface_destroy(surface);
    if (status == CAIRO_STATUS_NO_MEMORY)
        return hs_error_set(err, HS_ENOMEM, "no memory to draw on an image");
    if (status != CAIRO_STATUS_SUCCESS)
        return hs_error_set(err, HS_EINTERNAL, "cannot draw on the image" HS_DETAIL "%s",
                            cairo_status_to_string(status));
    return 0;
}

struct hs_image_rows hs_overlay_rows(struct hs_overlay *overlay)
{
    return (struct hs_image_rows) { overlay->width, overlay->height, read_rows, overlay };
}

/* ---- public functions ---- */

static int add_all(struct hs_overlay *o, const struct hs_draw_shape *shapes, size_t count, struct hs_error *err)
{
    size_t labels = 0;
    for (size_t i = 0; i < count; i++)
        labels += wants_label(&shapes[i]);
    o->shapes = calloc(count ? count : 1, sizeof(*o->shapes));
    o->labels = calloc(labels ? labels : 1, sizeof(*o->labels));
    if (!o->shapes || !o->labels)
        return hs_error_set(err, HS_ENOMEM, "no memory to draw %zu shapes", count);
    int r = labels > 0 ? hs_text_create(&o->text, err) : 0;
    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++) {
        if (!is_drawable(&shapes[i]))
            continue;
        struct hs_draw_shape *shape = &o->shapes[o->shape_count++];
        *shape = turn_shape(o, shapes[i]);
        shape->label = NULL;
        if (wants_label(&shapes[i]))
            add_label(o, shape, shapes[i].label);
    }
    return 0;
}

int hs_overlay_create(const struct hs_image *image, int orientation, const struct hs_draw_shape *shapes, size_t count,
                      struct hs_overlay **ret_overlay, struct hs_error *err)
{
    struct hs_turn turn = hs_turn_of(orientation);
    int width = turn.swap ? image->height : image->width, height = turn.swap ? image->width : image->height;
    if (width > MAX_SIDE)
        return hs_error_set(err, HS_ETOOLARGE, "image is %dx%d pixels, drawings are at most %d wide", width, height,
                            MAX_SIDE);
    struct hs_overlay *o = malloc(sizeof(*o));
    if (!o)
        return hs_error_set(err, HS_ENOMEM, "no memory to draw %zu shapes", count);
    *o = (struct hs_overlay) {
        .image = image,
        .width = width,
        .height = height,
        .turn = turn,
        .unit = hs_draw_unit(width, height),
    };
    int r = add_all(o, shapes, count, err);
    if (r < 0)
        hs_overlay_destroy(o);
    else
        *ret_overlay = o;
    return r;
}

void hs_overlay_destroy(struct hs_overlay *overlay)
{
    if (!overlay)
        return;
    for (size_t i = 0; i < overlay->label_count; i++)
        hs_text_line_finish(&overlay->labels[i].line);
    hs_text_destroy(overlay->text);
    free(overlay->labels);
    free(overlay->shapes);
    free(overlay);
}
