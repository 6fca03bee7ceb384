/* Draws lines of text in any script with Pango and the system's fonts. Pango and its libraries are
 * loaded with the first context, so a process that draws no text does not load them. */
#ifndef HS_IMAGE_TEXT_H
#define HS_IMAGE_TEXT_H

#include <cairo.h>

#include "hs/status.h"

/* Fonts and the lines laid out with them. A context and its lines may be used by one thread at a time. */
struct hs_text;

/* Creates a context. Fails with HS_EINTERNAL if Pango is not installed. Caller frees *ret_text with
 * hs_text_destroy. */
int hs_text_create(struct hs_text **ret_text, struct hs_error *err);
void hs_text_destroy(struct hs_text *text); /* NULL allowed; finish all lines first */

/* A laid-out line and its size in pixels. */
struct hs_text_line {
    void *layout;
    int left, width, height;
};

/* Lays out valid UTF-8 with a font size of `size` pixels, in the direction of its script. Text beyond
 * max_width pixels (at least 1) is cut and ends with an ellipsis. Control characters and line feeds are
 * drawn as glyphs and have no effect. Characters that no font contains are drawn as boxes; without any
 * font, all are. Caller frees with hs_text_line_finish. */
void hs_text_line_init(struct hs_text *text, const char *utf8, int size, int max_width, struct hs_text_line *ret_line);
void hs_text_line_finish(struct hs_text_line *line); /* accepts a zeroed struct */

/* Draws the line in the source colour of `cairo`, with its upper left corner at x, y. */
void hs_text_line_show(const struct hs_text_line *line, cairo_t *cairo, double x, double y);

#endif
