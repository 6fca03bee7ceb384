#include "convert/arena.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"

enum { BLOCK_SIZE = 64 << 10, ALIGNMENT = _Alignof(max_align_t) };

struct hs_arena_block {
    struct hs_arena_block *next;
    size_t len, capacity;
    max_align_t data[];
};

void hs_arena_init(struct hs_arena *arena, size_t max)
{
    *arena = (struct hs_arena) { .max = max };
}

void hs_arena_finish(struct hs_arena *arena)
{
    struct hs_arena_block *block = arena->blocks;
    while (block) {
        struct hs_arena_block *next = block->next;
        free(block);
        block = next;
    }
    hs_arena_init(arena, arena->max);
}

/* `used` counts whole blocks, that is, the memory the process actually holds. */
void *hs_arena_alloc(struct hs_arena *arena, size_t size)
{
    struct hs_arena_block *block = arena->blocks;
    size_t aligned = size <= arena->max ? (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : SIZE_MAX, total;
    if (!block || aligned > block->capacity - block->len) {
        size_t capacity = aligned > BLOCK_SIZE ? aligned : BLOCK_SIZE;
        if (!hs_size_add(capacity, sizeof(*block), &total) || total > arena->max - arena->used) {
            arena->full = true;
            return NULL;
        }
        block = calloc(1, total);
        if (!block)
            return NULL;
        block->capacity = capacity;
        arena->used += total;
        /* Insert a dedicated block for a large request second, so that the rest of the first block
         * stays usable. */
        struct hs_arena_block **place = arena->blocks && aligned > BLOCK_SIZE ? &arena->blocks->next : &arena->blocks;
        block->next = *place;
        *place = block;
    }
    void *data = (char *) block->data + block->len;
    block->len += aligned;
    return data;
}
