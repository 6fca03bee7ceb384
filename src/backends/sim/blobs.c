#include "backends/sim/blobs.h"

#include <stdbool.h>
#include <stdlib.h>

#include "hs/status.h"

enum { CELL = 8 };

/* One cell: the box of its bright pixels, and its node in a union-find forest. Each tree of the
 * forest is one blob. */
struct cell {
    struct hs_sim_blob box;
    int pixels; /* number of bright pixels */
    int parent;
};

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static int larger(int a, int b)
{
    return a > b ? a : b;
}

static void add_pixel(struct cell *cell, int x, int y)
{
    struct hs_sim_blob *box = &cell->box;
    if (cell->pixels++ == 0) {
        *box = (struct hs_sim_blob) { x, y, x + 1, y + 1 };
        return;
    }
    box->x1 = smaller(box->x1, x);
    box->x2 = larger(box->x2, x + 1);
    box->y2 = y + 1;
}

static void scan_picture(struct cell *cells, int columns, const uint8_t *rgb, int h, int w)
{
    for (int y = 0; y < h; y++) {
        struct cell *row = cells + (size_t) (y / CELL) * (size_t) columns;
        for (int x = 0; x < w; x++, rgb += 3)
            if (rgb[0] > HS_SIM_BRIGHT && rgb[1] > HS_SIM_BRIGHT && rgb[2] > HS_SIM_BRIGHT)
                add_pixel(&row[x / CELL], x, y);
    }
}

static int find_root(struct cell *cells, int at)
{
    while (cells[at].parent != at)
        at = cells[at].parent = cells[cells[at].parent].parent;
    return at;
}

static void join(struct cell *cells, int a, int b)
{
    struct cell *to = &cells[find_root(cells, a)], *from = &cells[find_root(cells, b)];
    if (to == from)
        return;
    to->box.x1 = smaller(to->box.x1, from->box.x1);
    to->box.y1 = smaller(to->box.y1, from->box.y1);
    to->box.x2 = larger(to->box.x2, from->box.x2);
    to->box.y2 = larger(to->box.y2, from->box.y2);
    to->pixels += from->pixels;
    from->parent = to->parent;
}

/* Joins each cell with its left and its three upper neighbours, which covers every pair once. */
static void join_neighbours(struct cell *cells, int rows, int columns)
{
    static const int steps[4][2] = { { -1, 0 }, { -1, -1 }, { 0, -1 }, { 1, -1 } };
    for (int at = 0; at < rows * columns; at++)
        cells[at].parent = at;
    for (int at = 0; at < rows * columns; at++) {
        for (int i = 0; i < 4 && cells[at].pixels > 0; i++) {
            int x = at % columns + steps[i][0], y = at / columns + steps[i][1];
            if (x >= 0 && x < columns && y >= 0 && cells[y * columns + x].pixels > 0)
                join(cells, at, y * columns + x);
        }
    }
}

static int64_t area(const struct hs_sim_blob *b)
{
    return (int64_t) (b->x2 - b->x1) * (b->y2 - b->y1);
}

static int compare(const void *left, const void *right)
{
    const struct hs_sim_blob *a = left, *b = right;
    if (area(a) != area(b))
        return area(a) > area(b) ? -1 : 1;
    return a->y1 != b->y1 ? a->y1 - b->y1 : a->x1 - b->x1;
}

static bool is_inside(const struct hs_sim_blob *a, const struct hs_sim_blob *b)
{
    return a->x1 >= b->x1 && a->y1 >= b->y1 && a->x2 <= b->x2 && a->y2 <= b->y2;
}

/* Sorts the blobs and keeps the largest that are not inside a larger one. */
static int choose(struct hs_sim_blob *found, int count, struct hs_sim_blob ret_blobs[HS_SIM_MAX_BLOBS])
{
    int kept = 0;
    qsort(found, (size_t) count, sizeof(*found), compare);
    for (int i = 0; i < count && kept < HS_SIM_MAX_BLOBS; i++) {
        int k = 0;
        while (k < kept && !is_inside(&found[i], &ret_blobs[k]))
            k++;
        if (k == kept)
            ret_blobs[kept++] = found[i];
    }
    return kept;
}

int hs_sim_blobs_find(const uint8_t *rgb, int h, int w, struct hs_sim_blob ret_blobs[HS_SIM_MAX_BLOBS])
{
    int rows = (h + CELL - 1) / CELL, columns = (w + CELL - 1) / CELL, count = 0;
    size_t cell_count = (size_t) rows * (size_t) columns;
    struct cell *cells = calloc(cell_count, sizeof(*cells));
    struct hs_sim_blob *found = malloc(cell_count * sizeof(*found));
    if (!cells || !found) {
        free(cells);
        free(found);
        return HS_ENOMEM;
    }
    scan_picture(cells, columns, rgb, h, w);
    join_neighbours(cells, rows, columns);
    for (int at = 0; at < rows * columns; at++)
        if (cells[at].parent == at && cells[at].pixels >= HS_SIM_BLOB_MIN_PIXELS)
            found[count++] = cells[at].box;
    count = choose(found, count, ret_blobs);
    free(cells);
    free(found);
    return count;
}
