/* An arena: many allocations that are freed together. */
#ifndef HS_CONVERT_ARENA_H
#define HS_CONVERT_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct hs_arena_block;

/* Allocates zeroed memory, aligned for any type, at most `max` bytes in total. Not thread-safe. */
struct hs_arena {
    struct hs_arena_block *blocks;
    size_t used, max;
    bool full; /* an allocation exceeded max */
};

void hs_arena_init(struct hs_arena *arena, size_t max);

/* Frees everything that came from the arena. */
void hs_arena_finish(struct hs_arena *arena);

/* Returns NULL if `max` would be exceeded or memory is exhausted. */
void *hs_arena_alloc(struct hs_arena *arena, size_t size);

#endif
