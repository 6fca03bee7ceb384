#include "image/png_memory.h"

#include <stdlib.h>

/* libspng passes no context to these functions. A picture is decoded and encoded by one thread. */
static _Thread_local bool out_of_memory;

static void *note(void *block, bool empty)
{
    out_of_memory |= !block && !empty;
    return block;
}

static void *allocate(size_t size)
{
    return note(malloc(size), size == 0);
}

static void *reallocate(void *block, size_t size)
{
    return note(realloc(block, size), size == 0);
}

static void *allocate_zeroed(size_t count, size_t size)
{
    return note(calloc(count, size), count == 0 || size == 0);
}

spng_ctx *hs_png_context(int flags)
{
    struct spng_alloc functions = {
        .malloc_fn = allocate, .realloc_fn = reallocate, .calloc_fn = allocate_zeroed, .free_fn = free
    };
    out_of_memory = false;
    return spng_ctx_new2(&functions, flags);
}

bool hs_png_out_of_memory(void)
{
    return out_of_memory;
}
