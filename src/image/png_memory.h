/* Contexts of libspng that report whether memory ran out: libspng itself reports a failed allocation of zlib like
 * damaged data. */
#ifndef HS_IMAGE_PNG_MEMORY_H
#define HS_IMAGE_PNG_MEMORY_H

#include <stdbool.h>

#include <spng.h>

/* Creates a context; `flags` are those of spng_ctx_new. NULL: no memory. Caller frees with spng_ctx_free. */
spng_ctx *hs_png_context(int flags);

/* Returns true if an allocation has failed on this thread since its last hs_png_context. */
bool hs_png_out_of_memory(void);

#endif
