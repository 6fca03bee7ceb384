#include "image/text.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <pango/pangocairo.h>

#include "base/mem.h"

static const char library[] = "libpangocairo-1.0.so.0";

/* Loaded at run time: linking these and the eight libraries behind them costs 2.5 MB in each process
 * that never draws. */
#define FUNCTIONS(X)                                                                                                   \
    X(g_object_unref)                                                                                                  \
    X(pango_cairo_context_set_font_options)                                                                            \
    X(pango_cairo_font_map_new)                                                                                        \
    X(pango_cairo_show_layout)                                                                                         \
    X(pango_font_description_free)                                                                                     \
    X(pango_font_description_new)                                                                                      \
    X(pango_font_description_set_absolute_size)                                                                        \
    X(pango_font_description_set_family_static)                                                                        \
    X(pango_font_map_create_context)                                                                                   \
    X(pango_layout_get_pixel_extents)                                                                                  \
    X(pango_layout_new)                                                                                                \
    X(pango_layout_set_ellipsize)                                                                                      \
    X(pango_layout_set_font_description)                                                                               \
    X(pango_layout_set_single_paragraph_mode)                                                                          \
    X(pango_layout_set_text)                                                                                           \
    X(pango_layout_set_width)

#define POINTER(name) __typeof__(name) *name##_;
#define ROW(name) { #name, &pango.name##_ },

static struct {
    FUNCTIONS(POINTER)
    const char *problem; /* NULL if loaded */
} pango;

static void load(void)
{
    static const struct {
        const char *name;
        void *pointer; /* address of a function pointer */
    } rows[] = { FUNCTIONS(ROW) };
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    pango.problem = handle ? NULL : "cannot be opened";
    for (size_t i = 0; handle && i < HS_ARRAY_LEN(rows); i++) {
        void *found = dlsym(handle, rows[i].name); /* also searches the library's dependencies */
        memcpy(rows[i].pointer, &found, sizeof(found));
        if (!found)
            pango.problem = "lacks a function; its version is not supported";
    }
}

/* Fontconfig, cairo and Pango lock their font caches in different orders. Guards `fonts` and all
 * contexts and lines made from it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Created for the first context and then kept, because creating one takes up to 20 ms and starts a
 * thread. Its caches hold at most 256 font sets, one for each size and script. */
static PangoFontMap *fonts;

struct hs_text {
    PangoContext *context;
};

/* Gray antialiasing and unhinted widths: text looks the same on every screen and at every position. */
static void set_options(PangoContext *context)
{
    cairo_font_options_t *options = cairo_font_options_create();
    cairo_font_options_set_antialias(options, CAIRO_ANTIALIAS_GRAY);
    cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE);
    cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF);
    pango.pango_cairo_context_set_font_options_(context, options);
    cairo_font_options_destroy(options);
}

int hs_text_create(struct hs_text **ret_text, struct hs_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    if (pango.problem)
        return hs_error_set(err, HS_EINTERNAL, "cannot draw labels: %s %s. Install libpangocairo-1.0-0", library,
                            pango.problem);
    struct hs_text *text = calloc(1, sizeof(*text));
    if (!text)
        return hs_error_set(err, HS_ENOMEM, "no memory for labels");
    pthread_mutex_lock(&lock);
    if (!fonts)
        fonts = pango.pango_cairo_font_map_new_();
    text->context = pango.pango_font_map_create_context_(fonts);
    set_options(text->context);
    pthread_mutex_unlock(&lock);
    *ret_text = text;
    return 0;
}

void hs_text_destroy(struct hs_text *text)
{
    if (!text)
        return;
    pthread_mutex_lock(&lock);
    pango.g_object_unref_(text->context);
    pthread_mutex_unlock(&lock);
    free(text);
}

void hs_text_line_init(struct hs_text *text, const char *utf8, int size, int max_width, struct hs_text_line *ret_line)
{
    PangoRectangle box;
    pthread_mutex_lock(&lock);
    PangoLayout *layout = pango.pango_layout_new_(text->context);
    PangoFontDescription *font = pango.pango_font_description_new_();
    pango.pango_font_description_set_family_static_(font, "Sans");
    pango.pango_font_description_set_absolute_size_(font, (double) size * PANGO_SCALE);
    pango.pango_layout_set_font_description_(layout, font);
    pango.pango_font_description_free_(font);
    pango.pango_layout_set_single_paragraph_mode_(layout, TRUE);
    pango.pango_layout_set_width_(layout, max_width * PANGO_SCALE);
    pango.pango_layout_set_ellipsize_(layout, PANGO_ELLIPSIZE_END);
    pango.pango_layout_set_text_(layout, utf8, (int) strlen(utf8));
    pango.pango_layout_get_pixel_extents_(layout, NULL, &box);
    pthread_mutex_unlock(&lock);
    /* Right-to-left text is aligned to the right end of max_width, so `left` may be above 0. */
    *ret_line = (struct hs_text_line) { .layout = layout, .left = box.x, .width = box.width, .height = box.height };
}

void hs_text_line_finish(struct hs_text_line *line)
{
    if (!line->layout)
        return;
    pthread_mutex_lock(&lock);
    pango.g_object_unref_(line->layout);
    pthread_mutex_unlock(&lock);
    line->layout = NULL;
}

void hs_text_line_show(const struct hs_text_line *line, cairo_t *cairo, double x, double y)
{
    pthread_mutex_lock(&lock);
    cairo_move_to(cairo, x - line->left, y);
    pango.pango_cairo_show_layout_(cairo, line->layout);
    pthread_mutex_unlock(&lock);
}
