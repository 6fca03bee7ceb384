/* Exact nearest-neighbour search over face embeddings in memory.
 *
 * Vectors have unit length, so their dot product is the cosine similarity. The index holds a copy
 * with eight bits per component (in total about 0.27 of the float32 vectors at 512 dimensions). The
 * vectors themselves stay in the store; a query fetches the few for which the copy does not decide.
 * The results are those of hs_search_score over every vector.
 *
 * Any thread may call any function except create and destroy. Queries run in parallel. A change
 * waits for running scans and blocks new ones while it runs; changes are short. */
#ifndef HS_GALLERY_SEARCH_H
#define HS_GALLERY_SEARCH_H

#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

struct hs_search;

enum { HS_SEARCH_MAX_DIMENSION = 8192, HS_SEARCH_MAX_K = 1024 };

/* A matching identity, with its best embedding. */
struct hs_search_hit {
    int64_t identity, id;
    double score;
};

/* Writes the vector added as `id` to dst (the index's dimension). Returns 0, or HS_ENOTFOUND if the
 * store no longer has it (then the query ignores it), or another error, which ends the query.
 * Called from the thread that runs the query without a lock held, so it may take locks that the
 * caller holds around add and remove. */
typedef int (*hs_search_fetch)(void *ctx, int64_t id, float *dst, struct hs_error *err);

/* `threads` (at least 1) is the maximum number of threads that scan for one query, including the
 * caller's. The others start with the first query of a large gallery. Borrows `fetch` and `ctx`.
 * Caller frees *ret_search with hs_search_destroy. */
int hs_search_create(size_t dimension, int threads, hs_search_fetch fetch, void *ctx, struct hs_search **ret_search,
                     struct hs_error *err);

/* NULL allowed. No other thread may be inside a function of this index. */
void hs_search_destroy(struct hs_search *search);

/* Reserves memory for `count` vectors in total at once. Call it before loading a gallery, which
 * makes later searches faster, too. Memory of removed vectors is kept for reuse. HS_ENOMEM. */
int hs_search_reserve(struct hs_search *search, size_t count, struct hs_error *err);

/* Adds a vector, which is only read during the call. The id must not be in the index yet. Nothing
 * changes on failure. HS_EINVAL: the length differs from 1 by more than a hundredth, or is not a
 * number; HS_ENOMEM. */
int hs_search_add(struct hs_search *search, int64_t id, int64_t identity, const float *vector, struct hs_error *err);

/* Removes all embeddings of an identity and returns their number. Scans all rows: about 50 us for 100,000. */
size_t hs_search_remove_identity(struct hs_search *search, int64_t identity);

size_t hs_search_count(struct hs_search *search);
size_t hs_search_memory(struct hs_search *search); /* bytes, including reserved memory */

/* Finds the best `k` (1 to HS_SEARCH_MAX_K) identities that score more than `above` (-INFINITY:
 * all), best first; equal scores by ascending identity, then id. ret_hits has room for k.
 * *ret_count is 0 if the index is empty. A threshold makes a query without similar identities
 * faster. HS_EINVAL as for hs_search_add; HS_ENOMEM; errors of `fetch`. */
int hs_search_identities(struct hs_search *search, const float *vector, size_t k, double above,
                         struct hs_search_hit *ret_hits, size_t *ret_count, struct hs_error *err);

/* Computes the dot product. Each product is exact in double precision and the order of the sum is
 * fixed, so every machine and compiler returns the same value. */
double hs_search_score(const float *a, const float *b, size_t dimension);

#endif
