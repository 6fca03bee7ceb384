#include "face/pairs.h"

#include <math.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"

enum { FILE_MAX = 256 << 20, CELLS_MAX = 64 };

enum column { IMAGE1, IMAGE2, SAME, BBOX1, BBOX2, COLUMNS };

static const char *const columns[COLUMNS][2] = {
    [IMAGE1] = { "image1", "a" },   [IMAGE2] = { "image2", "b" },   [SAME] = { "same", "same" },
    [BBOX1] = { "bbox1", "bbox1" }, [BBOX2] = { "bbox2", "bbox2" },
};

struct reader {
    const char *name;
    int line;
    struct hs_face_pairs *pairs;
    void *known;        /* tsearch tree of pictures, by path and box */
    int place[COLUMNS]; /* index of each column in a line; -1: absent */
    struct hs_error *error;
};

static int fail_line(const struct reader *reader, const char *what)
{
    int r = hs_error_set(reader->error, HS_EINVAL, "%s:%d: %s", reader->name, reader->line, what);
    if (reader->error)
        reader->error->line = reader->line;
    return r;
}

static int no_memory(const struct reader *reader)
{
    return hs_error_set(reader->error, HS_ENOMEM, "no memory for the pairs of %s", reader->name);
}

/* ---- lines and cells ---- */

/* Splits a cell off *at, in place. Returns NULL for an unterminated quote. */
static char *read_cell(char **at)
{
    char *cell = *at, *to = cell;
    if (*cell != '"') {
        char *end = cell + strcspn(cell, ",");
        *at = *end ? end + 1 : NULL;
        *end = '\0';
        return cell;
    }
    for (char *from = cell + 1; *from; from++) {
        if (*from == '"' && *++from != '"') {
            if (*from && *from != ',')
                return NULL;
            *at = *from ? from + 1 : NULL;
            *to = '\0';
            return cell;
        }
        *to++ = *from;
    }
    return NULL;
}

static int split(const struct reader *reader, char *line, char *cells[CELLS_MAX], int *ret_count)
{
    int count = 0;
    for (char *at = line; at; count++) {
        if (count == CELLS_MAX)
            return fail_line(reader, "too many columns");
        cells[count] = read_cell(&at);
        if (!cells[count])
            return fail_line(reader, "unterminated quoted cell");
    }
    *ret_count = count;
    return 0;
}

static int read_header(struct reader *reader, char **cells, int count)
{
    for (int c = 0; c < COLUMNS; c++) {
        reader->place[c] = -1;
        for (int i = 0; i < count; i++) {
            if (strcmp(cells[i], columns[c][0]) != 0 && strcmp(cells[i], columns[c][1]) != 0)
                continue;
            if (reader->place[c] >= 0)
                return fail_line(reader, "duplicate column");
            reader->place[c] = i;
        }
    }
    if (reader->place[IMAGE1] < 0 || reader->place[IMAGE2] < 0 || reader->place[SAME] < 0)
        return fail_line(reader, "the first line must name the columns image1, image2 and same");
    return 0;
}

/* ---- pictures ---- */

static int compare_pictures(const void *a, const void *b)
{
    const struct hs_face_picture *x = a, *y = b;
    const float left[] = { x->box.x1, x->box.y1, x->box.x2, x->box.y2 };
    const float right[] = { y->box.x1, y->box.y1, y->box.x2, y->box.y2 };
    int order = strcmp(x->path, y->path);
    if (order == 0)
        order = x->has_box - y->has_box;
    for (int i = 0; order == 0 && i < 4; i++)
        order = (left[i] > right[i]) - (left[i] < right[i]);
    return order;
}

static bool read_box(const char *text, struct hs_rect *ret)
{
    char word[64];
    double v[4];
    for (int i = 0; i < 4; i++) {
        text += strspn(text, " ");
        size_t len = strcspn(text, " ");
        if (!hs_str_copy_n(word, sizeof(word), text, len) || !hs_str_to_double(word, &v[i]) || !(fabs(v[i]) < 1e6))
            return false;
        text += len;
    }
    *ret = (struct hs_rect) { (float) v[0], (float) v[1], (float) (v[0] + v[2]), (float) (v[1] + v[3]) };
    return text[strspn(text, " ")] == '\0' && ret->x2 > ret->x1 && ret->y2 > ret->y1;
}

/* Adds the picture to the list if it is new; *ret_index is its index. */
static int read_picture(struct reader *reader, char **cells, enum column path, enum column box, size_t *ret_index)
{
    struct hs_face_pairs *pairs = reader->pairs;
    struct hs_face_picture *picture = &pairs->pictures[pairs->picture_count];
    const char *text = reader->place[box] >= 0 ? cells[reader->place[box]] : "";
    *picture = (struct hs_face_picture) { .path = cells[reader->place[path]], .has_box = text[0] != '\0' };
    if (!picture->path[0])
        return fail_line(reader, "empty picture name");
    if (picture->has_box && !read_box(text, &picture->box))
        return fail_line(reader, "a box must be four numbers: x y width height");
    struct hs_face_picture **known = tsearch(picture, &reader->known, compare_pictures);
    if (!known)
        return no_memory(reader);
    *ret_index = (size_t) (*known - pairs->pictures);
    pairs->picture_count += *known == picture;
    return 0;
}

static bool read_same(const char *text, bool *ret)
{
    *ret = strcmp(text, "1") == 0 || hs_str_equal_nocase(text, "true");
    return *ret || strcmp(text, "0") == 0 || hs_str_equal_nocase(text, "false");
}

static int read_pair(struct reader *reader, char **cells, int count)
{
    struct hs_face_pairs *pairs = reader->pairs;
    struct hs_face_pair pair;
    for (int c = 0; c < COLUMNS; c++) {
        if (reader->place[c] >= count)
            return fail_line(reader, "too few columns");
    }
    if (!read_same(cells[reader->place[SAME]], &pair.same))
        return fail_line(reader, "same must be 1 or 0");
    int r = read_picture(reader, cells, IMAGE1, BBOX1, &pair.a);
    if (r == 0)
        r = read_picture(reader, cells, IMAGE2, BBOX2, &pair.b);
    if (r == 0)
        pairs->pairs[pairs->pair_count++] = pair;
    return r;
}

/* Splits `text` into cells; the pictures point into it. */
static int read_all(struct reader *reader, char *text)
{
    char *cells[CELLS_MAX];
    bool header = true;
    int r = 0, count = 0;
    if (hs_str_starts(text, "\xef\xbb\xbf"))
        text += 3;
    for (char *next = text; r == 0 && next; text = next) {
        next = strchr(text, '\n');
        if (next)
            *next++ = '\0';
        reader->line++;
        size_t len = strlen(text);
        if (len > 0 && text[len - 1] == '\r')
            text[--len] = '\0';
        if (len == 0)
            continue;
        r = split(reader, text, cells, &count);
        if (r == 0)
            r = header ? read_header(reader, cells, count) : read_pair(reader, cells, count);
        header = false;
    }
    if (r == 0 && reader->pairs->pair_count == 0)
        r = fail_line(reader, "the file contains no pairs");
    return r;
}

static void keep_node(void *node)
{
    (void) node;
}

/* Reserves room for one pair per line. */
static bool make_room(struct hs_face_pairs *pairs)
{
    size_t lines = 1;
    for (const char *at = pairs->text; (at = strchr(at, '\n')); at++)
        lines++;
    pairs->pairs = calloc(lines, sizeof(*pairs->pairs));
    pairs->pictures = calloc(lines + 1, 2 * sizeof(*pairs->pictures));
    return pairs->pairs && pairs->pictures;
}

int hs_face_pairs_parse(const char *text, size_t len, const char *name, struct hs_face_pairs **ret_pairs,
                        struct hs_error *err)
{
    struct reader reader = { .name = name, .pairs = calloc(1, sizeof(struct hs_face_pairs)), .error = err };
    int r;
    if (!reader.pairs || !(reader.pairs->text = hs_str_dup_n(text, len)) || !make_room(reader.pairs))
        r = no_memory(&reader);
    else if (strlen(reader.pairs->text) < len)
        r = fail_line(&reader, "not a text file");
    else
        r = read_all(&reader, reader.pairs->text);
    tdestroy(reader.known, keep_node);
    if (r < 0)
        hs_face_pairs_destroy(reader.pairs);
    else
        *ret_pairs = reader.pairs;
    return r;
}

int hs_face_pairs_load(const char *path, struct hs_face_pairs **ret_pairs, struct hs_error *err)
{
    uint8_t *data;
    size_t len;
    int r = hs_file_read(path, FILE_MAX, &data, &len, err);
    if (r < 0)
        return r;
    r = hs_face_pairs_parse((const char *) data, len, path, ret_pairs, err);
    free(data);
    return r;
}

void hs_face_pairs_destroy(struct hs_face_pairs *pairs)
{
    if (!pairs)
        return;
    free(pairs->pictures);
    free(pairs->pairs);
    free(pairs->text);
    free(pairs);
}
