#include "gallery/search_rows.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "gallery/search_kernel.h"
#include "hs/status.h"

/* The codes of a full block fill one huge page, which avoids most TLB misses of a scan (a fifth of
 * the time on Zen 4). */
enum { BLOCK_BYTES = 2 << 20, ROUND_ROWS = 64 };

void hs_search_rows_init(struct hs_search_rows *rows, size_t dimension)
{
    *rows = (struct hs_search_rows) { .dimension = dimension };
    rows->stride = (dimension + HS_SEARCH_ALIGN - 1) / HS_SEARCH_ALIGN * HS_SEARCH_ALIGN;
    while (rows->stride << (rows->shift + 1) <= BLOCK_BYTES)
        rows->shift++;
}

static size_t row_bytes(const struct hs_search_rows *rows)
{
    return rows->stride + 2 * sizeof(int64_t) + 2 * sizeof(float);
}

/* Codes identify a face as well as its vector does, so wipe them. */
static void free_block(const struct hs_search_rows *rows, struct hs_search_block *block)
{
    sodium_memzero(block->codes, block->capacity * rows->stride);
    free(block->codes);
}

void hs_search_rows_finish(struct hs_search_rows *rows)
{
    for (size_t i = 0; i < rows->block_count; i++)
        free_block(rows, &rows->blocks[i]);
    free(rows->blocks);
}

static int make_block(const struct hs_search_rows *rows, size_t capacity, struct hs_search_block *ret_block)
{
    struct hs_search_block block = { .capacity = capacity };
    bool full = capacity >> rows->shift != 0;
    size_t bytes = capacity * row_bytes(rows);
    void *memory;
    if (posix_memalign(&memory, full ? BLOCK_BYTES : HS_SEARCH_ALIGN, bytes) != 0)
        return HS_ENOMEM;
    block.codes = memory;
    block.ids = (int64_t *) (void *) (block.codes + capacity * rows->stride);
    block.identities = block.ids + capacity;
    block.scales = (float *) (void *) (block.identities + capacity);
    block.errors = block.scales + capacity;
    *ret_block = block;
    return 0;
}

static void copy_rows(const struct hs_search_rows *rows, struct hs_search_block *to, size_t to_row,
                      const struct hs_search_block *from, size_t from_row, size_t count)
{
    memcpy(to->codes + to_row * rows->stride, from->codes + from_row * rows->stride, count * rows->stride);
    memcpy(to->ids + to_row, from->ids + from_row, count * sizeof(*to->ids));
    memcpy(to->identities + to_row, from->identities + from_row, count * sizeof(*to->identities));
    memcpy(to->scales + to_row, from->scales + from_row, count * sizeof(*to->scales));
    memcpy(to->errors + to_row, from->errors + from_row, count * sizeof(*to->errors));
}

static int append_block(struct hs_search_rows *rows, size_t capacity)
{
    struct hs_search_block *blocks = realloc(rows->blocks, (rows->block_count + 1) * sizeof(*blocks));
    if (!blocks)
        return HS_ENOMEM;
    rows->blocks = blocks;
    int r = make_block(rows, capacity, &blocks[rows->block_count]);
    if (r == 0)
        rows->block_count++;
    return r;
}

static size_t first_row_of_last(const struct hs_search_rows *rows)
{
    return (rows->block_count - 1) << rows->shift;
}

static size_t capacity_of(const struct hs_search_rows *rows)
{
    return rows->block_count ? first_row_of_last(rows) + rows->blocks[rows->block_count - 1].capacity : 0;
}

static int grow_last(struct hs_search_rows *rows, size_t capacity)
{
    struct hs_search_block larger, *last = &rows->blocks[rows->block_count - 1];
    int r = make_block(rows, capacity, &larger);
    if (r < 0)
        return r;
    size_t begin = first_row_of_last(rows);
    if (rows->count > begin)
        copy_rows(rows, &larger, 0, last, 0, rows->count - begin);
    free_block(rows, last);
    *last = larger;
    return 0;
}

/* Grows by at least a sixteenth: small galleries use little memory, and an addition copies at most
 * one block. */
int hs_search_rows_reserve(struct hs_search_rows *rows, size_t count)
{
    if (count > UINT32_MAX)
        return HS_ENOMEM;
    size_t now = capacity_of(rows), full = (size_t) 1 << rows->shift;
    size_t wanted = count > now && count < now + now / 16 ? now + now / 16 : count;
    wanted = (wanted + ROUND_ROWS - 1) / ROUND_ROWS * ROUND_ROWS;
    int r = 0;
    for (; r == 0 && now < count; now = capacity_of(rows)) {
        size_t begin = now / full * full, capacity = wanted - begin < full ? wanted - begin : full;
        r = now > begin ? grow_last(rows, capacity) : append_block(rows, capacity);
    }
    return r;
}

/* Called only when a gallery is loaded, not for blocks added one row at a time: the first touch of
 * a huge page can take milliseconds if the kernel has to compact memory. Best effort. */
void hs_search_rows_use_huge_pages(struct hs_search_rows *rows)
{
    for (size_t i = 0; i < rows->block_count; i++)
        if (rows->blocks[i].capacity >> rows->shift != 0)
            madvise(rows->blocks[i].codes, BLOCK_BYTES, MADV_HUGEPAGE);
}

int hs_search_rows_add(struct hs_search_rows *rows, int64_t id, int64_t identity, const float *vector)
{
    int r = hs_search_rows_reserve(rows, rows->count + 1);
    if (r < 0)
        return r;
    size_t at;
    struct hs_search_block *block = hs_search_rows_block(rows, (uint32_t) rows->count, &at);
    struct hs_search_scale scale = hs_quantize(vector, rows->dimension, rows->stride, block->codes + at * rows->stride);
    block->ids[at] = id;
    block->identities[at] = identity;
    block->scales[at] = scale.scale;
    block->errors[at] = scale.error;
    rows->count++;
    return 0;
}

void hs_search_rows_remove(struct hs_search_rows *rows, uint32_t row)
{
    size_t at, last_at;
    struct hs_search_block *block = hs_search_rows_block(rows, row, &at);
    struct hs_search_block *last = hs_search_rows_block(rows, (uint32_t) rows->count - 1, &last_at);
    if (row != rows->count - 1)
        copy_rows(rows, block, at, last, last_at, 1);
    /* Wipe the removed face from memory, too. */
    memset(last->codes + last_at * rows->stride, 0, rows->stride);
    rows->count--;
}

/* Starts at the end, so that the row which replaces a removed one was already checked. */
static void remove_from_block(struct hs_search_rows *rows, size_t at, int64_t identity)
{
    const int64_t *identities = rows->blocks[at].identities;
    for (size_t i = hs_search_rows_used(rows, at); i-- > 0;)
        if (identities[i] == identity)
            hs_search_rows_remove(rows, (uint32_t) ((at << rows->shift) + i));
}

size_t hs_search_rows_remove_identity(struct hs_search_rows *rows, int64_t identity)
{
    size_t before = rows->count;
    for (size_t at = (before + ((size_t) 1 << rows->shift) - 1) >> rows->shift; at-- > 0;)
        remove_from_block(rows, at, identity);
    return before - rows->count;
}

size_t hs_search_rows_memory(const struct hs_search_rows *rows)
{
    size_t bytes = rows->block_count * sizeof(*rows->blocks);
    for (size_t i = 0; i < rows->block_count; i++)
        bytes += rows->blocks[i].capacity * row_bytes(rows);
    return bytes;
}
