/* Lines of text in any script, drawn with the fonts of the system by Pango. Pango and what it needs are loaded with the
 * first context, so a process that draws no text does not hold them. */
#ifndef HS_IMAGE_TEXT_H
#define HS_IMAGE_TEXT_H

#include <cairo.h>

#include "hs/status.h"

/* Fonts, and the lines laid out with them. One thread at a time may use a context and its lines. */
struct hs_text;

/* HS_EINTERNAL: Pango is not installed. The caller frees *ret_text with hs_text_destroy. */
int hs_text_create(struct hs_text **ret_text, struct hs_error *err);
void hs_text_destroy(struct hs_text *text); /* NULL allowed; after its lines */

/* A laid-out line, and the pixels that it takes. */
struct hs_text_line {
    void *layout;
    int left, width, height;
};

/* Lays out valid UTF-8 in letters of `size` pixels, in the direction of its script. What passes max_width pixels (1 or
 * more) is cut and ends with an ellipsis; control characters and line feeds are drawn, not obeyed. Characters that no
 * font has are drawn as boxes, as all are without any font. The caller frees the line with hs_text_line_finish. */
void hs_text_line_init(struct hs_text *text, const char *utf8, int size, int max_width, struct hs_text_line *ret_line);
void hs_text_line_finish(struct hs_text_line *line); /* a zeroed one is fine */

/* Draws the line in the source colour of `cairo`, its upper left corner at x, y. */
void hs_text_line_show(const struct hs_text_line *line, cairo_t *cairo, double x, double y);

#endif
