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

/* `used` counts whole blocks: it is what the process really holds. */
static struct hs_arena_block *add_block(struct hs_arena *arena, size_t size)
{
    size_t capacity = size > BLOCK_SIZE ? size : BLOCK_SIZE, total;
    if (!hs_size_add(capacity, sizeof(struct hs_arena_block), &total) || total > arena->max - arena->used) {
        arena->full = true;
        return NULL;
    }
    struct hs_arena_block *block = calloc(1, total);
    if (!block)
        return NULL;
    block->capacity = capacity;
    arena->used += total;
    /* A block of its own for something large goes second, so that what is left of the first one is not lost. */
    if (arena->blocks && size > BLOCK_SIZE) {
        block->next = arena->blocks->next;
        arena->blocks->next = block;
    } else {
        block->next = arena->blocks;
        arena->blocks = block;
    }
    return block;
}

void *hs_arena_alloc(struct hs_arena *arena, size_t size)
{
    if (size > arena->max) {
        arena->full = true;
        return NULL;
    }
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct hs_arena_block *block = arena->blocks;
    if (!block || size > block->capacity - block->len)
        block = add_block(arena, size);
    if (!block)
        return NULL;
    void *data = (char *) block->data + block->len;
    block->len += size;
    return data;
}
