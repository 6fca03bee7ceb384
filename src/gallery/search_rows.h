/* The rows of the index: codes, scale, id and identity of each embedding, in blocks of which only
 * the last grows. Row numbers are dense: removing one gives its number to the last. Not thread-safe. */
#ifndef HS_GALLERY_SEARCH_ROWS_H
#define HS_GALLERY_SEARCH_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- vectors in eight bits a component, how far that is from the vector, and the score of two vectors ---- */

/* Vectors longer than this are refused, and those shorter than 2 - this. */
#define HS_SEARCH_MAX_NORM 1.01

/* Turns codes back into a vector, scale * codes; `error` is the length of the rest, rounded up. */
struct hs_search_scale {
    float scale, error;
};

/* Writes `dimension` codes between -127 and 127, then zeros up to `stride`, a multiple of 64. Components are
 * finite. */
struct hs_search_scale hs_quantize(const float *vector, size_t dimension, size_t stride, int8_t *codes);

/* The same for what `first` and its codes leave of the vector: together they have about sixteen bits. */
struct hs_search_scale hs_quantize_rest(const float *vector, size_t dimension, size_t stride,
                                        struct hs_search_scale first, const int8_t *first_codes, int8_t *codes);

double hs_search_norm(const float *vector, size_t dimension);

/* All components are numbers and the length is 1 up to rounding: what may be added, and asked for. */
bool hs_search_is_unit(const float *vector, size_t dimension);

/* ---- rows ---- */

/* One allocation, of which `codes` is the begin. */
struct hs_search_block {
    int8_t *codes; /* `stride` bytes a row */
    int64_t *ids, *identities;
    float *scales, *errors;
    size_t capacity;
};

struct hs_search_rows {
    size_t dimension, stride;
    size_t count;
    unsigned shift; /* a block has 1 << shift rows; only the last may have room for fewer */
    struct hs_search_block *blocks;
    size_t block_count;
};

/* Allocates nothing. */
void hs_search_rows_init(struct hs_search_rows *rows, size_t dimension);
void hs_search_rows_finish(struct hs_search_rows *rows);

int hs_search_rows_reserve(struct hs_search_rows *rows, size_t count); /* HS_ENOMEM */

void hs_search_rows_use_huge_pages(struct hs_search_rows *rows);

/* The id is not there yet. HS_ENOMEM, and nothing changes then. */
int hs_search_rows_add(struct hs_search_rows *rows, int64_t id, int64_t identity, const float *vector);

void hs_search_rows_remove(struct hs_search_rows *rows, uint32_t row);
size_t hs_search_rows_remove_identity(struct hs_search_rows *rows, int64_t identity); /* how many */

size_t hs_search_rows_memory(const struct hs_search_rows *rows);

static inline struct hs_search_block *hs_search_rows_block(const struct hs_search_rows *rows, uint32_t row,
                                                           size_t *ret_at)
{
    *ret_at = row & (((size_t) 1 << rows->shift) - 1);
    return &rows->blocks[row >> rows->shift];
}

/* How many rows of a block are in use. */
static inline size_t hs_search_rows_used(const struct hs_search_rows *rows, size_t block)
{
    size_t full = (size_t) 1 << rows->shift, left = rows->count - (block << rows->shift);
    return left < full ? left : full;
}

#endif
