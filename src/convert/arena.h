/* Memory that grows piece by piece and goes at once. */
#ifndef HS_CONVERT_ARENA_H
#define HS_CONVERT_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct hs_arena_block;

/* Zeroed memory aligned for any type, `max` bytes in all. Not thread-safe. */
struct hs_arena {
    struct hs_arena_block *blocks;
    size_t used, max;
    bool full; /* something did not fit in max */
};

void hs_arena_init(struct hs_arena *arena, size_t max);

/* Frees everything that came from the arena. */
void hs_arena_finish(struct hs_arena *arena);

/* NULL past the maximum or without memory. */
void *hs_arena_alloc(struct hs_arena *arena, size_t size);

#endif
