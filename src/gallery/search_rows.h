/* The rows of the index: codes, scale, id and identity of each embedding. Rows are stored in
 * blocks; only the last block grows. Row numbers are dense: removing a row moves the last row to
 * its number. Not thread-safe. */
#ifndef HS_GALLERY_SEARCH_ROWS_H
#define HS_GALLERY_SEARCH_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- quantization to eight bits per component, its error, and the exact score ---- */

/* Longer vectors are rejected, and vectors shorter than 2 - HS_SEARCH_MAX_NORM. */
#define HS_SEARCH_MAX_NORM 1.01

/* The vector is approximately scale * codes; `error` is the length of the difference, rounded up. */
struct hs_search_scale {
    float scale, error;
};

/* Writes `dimension` codes in -127..127, then zeros up to `stride`, a multiple of 64. Components
 * must be finite. */
struct hs_search_scale hs_quantize(const float *vector, size_t dimension, size_t stride, int8_t *codes);

/* Quantizes the part of the vector that `first` and its codes do not represent. Both sets of codes
 * together have about sixteen bits. */
struct hs_search_scale hs_quantize_rest(const float *vector, size_t dimension, size_t stride,
                                        struct hs_search_scale first, const int8_t *first_codes, int8_t *codes);

double hs_search_norm(const float *vector, size_t dimension);

/* Returns true if all components are numbers and the length is 1, within rounding: the condition
 * for stored vectors and queries. */
bool hs_search_is_unit(const float *vector, size_t dimension);

/* ---- rows ---- */

/* One allocation, which starts at `codes`. */
struct hs_search_block {
    int8_t *codes; /* `stride` bytes per row */
    int64_t *ids, *identities;
    float *scales, *errors;
    size_t capacity;
};

struct hs_search_rows {
    size_t dimension, stride;
    size_t count;
    unsigned shift; /* a block has 1 << shift rows; only the last may be smaller */
    struct hs_search_block *blocks;
    size_t block_count;
};

/* Does not allocate. */
void hs_search_rows_init(struct hs_search_rows *rows, size_t dimension);
void hs_search_rows_finish(struct hs_search_rows *rows);

int hs_search_rows_reserve(struct hs_search_rows *rows, size_t count); /* HS_ENOMEM */

void hs_search_rows_use_huge_pages(struct hs_search_rows *rows);

/* Adds a row; the id must not exist yet. HS_ENOMEM: nothing has changed. */
int hs_search_rows_add(struct hs_search_rows *rows, int64_t id, int64_t identity, const float *vector);

void hs_search_rows_remove(struct hs_search_rows *rows, uint32_t row);
size_t hs_search_rows_remove_identity(struct hs_search_rows *rows, int64_t identity); /* returns their number */

size_t hs_search_rows_memory(const struct hs_search_rows *rows);

static inline struct hs_search_block *hs_search_rows_block(const struct hs_search_rows *rows, uint32_t row,
                                                           size_t *ret_at)
{
    *ret_at = row & (((size_t) 1 << rows->shift) - 1);
    return &rows->blocks[row >> rows->shift];
}

/* Returns the number of rows of a block in use. */
static inline size_t hs_search_rows_used(const struct hs_search_rows *rows, size_t block)
{
    size_t full = (size_t) 1 << rows->shift, left = rows->count - (block << rows->shift);
    return left < full ? left : full;
}

#endif
