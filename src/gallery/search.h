/* The exact index of face embeddings in memory: which identities are closest to a vector.
 *
 * Vectors have unit length, so that their dot product is the cosine. The index holds a copy of eight bits a component
 * (about 0.27 of the float32 vectors at 512 dimensions, all told); the vectors themselves stay in the store, and a
 * query fetches the few that the copy cannot decide. The answer is that of hs_search_score over every vector.
 *
 * Any thread may call any function but create and destroy. Queries run beside one another; a change waits for the
 * queries that are scanning and keeps new ones waiting, and is itself short. */
#ifndef HS_GALLERY_SEARCH_H
#define HS_GALLERY_SEARCH_H

#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

struct hs_search;

enum { HS_SEARCH_MAX_DIMENSION = 8192, HS_SEARCH_MAX_K = 1024 };

/* An identity found, with its best embedding. */
struct hs_search_hit {
    int64_t identity, id;
    double score;
};

/* Writes the vector that was added as `id` to dst (the index's dimension). 0; HS_ENOTFOUND if the store does not
 * have it any more: then the answer is as if it had been removed; another code ends the query. Called from the thread
 * that asks, without a lock held, so it may take the locks that are held around add and remove. */
typedef int (*hs_search_fetch)(void *ctx, int64_t id, float *dst, struct hs_error *err);

/* `threads` >= 1 is how many may scan for one query, the one that asks included; those of large galleries are started
 * when one becomes large. `fetch` and `ctx` are borrowed. Caller frees with hs_search_destroy. */
int hs_search_create(size_t dimension, int threads, hs_search_fetch fetch, void *ctx, struct hs_search **ret_search,
                     struct hs_error *err);

/* NULL allowed. Nobody may be inside another function. */
void hs_search_destroy(struct hs_search *search);

/* Makes room for so many vectors in all, in one go: for loading a gallery at the start, which then is also searched
 * faster. Memory of removed vectors is kept for later ones. HS_ENOMEM. */
int hs_search_reserve(struct hs_search *search, size_t count, struct hs_error *err);

/* `vector` is only read during the call. HS_EINVAL: its length is not 1 (by more
 * than a hundredth) or not a number; HS_ENOMEM. Nothing changes on failure. The id must not be there already. */
int hs_search_add(struct hs_search *search, int64_t id, int64_t identity, const float *vector, struct hs_error *err);

/* Removes all embeddings of an identity and returns how many there were. Looks at all identities: 50 us of 100,000. */
size_t hs_search_remove_identity(struct hs_search *search, int64_t identity);

size_t hs_search_count(struct hs_search *search);
size_t hs_search_memory(struct hs_search *search); /* bytes, what is reserved included */

/* The best `k` (1 to HS_SEARCH_MAX_K) of those that score more than `above` (-INFINITY: all), best first, equal scores
 * by ascending identity, then id. ret_hits has room for k. *ret_count is 0 in an empty index. A threshold makes a query
 * faster if nobody is similar. HS_EINVAL as for add; HS_ENOMEM; what `fetch` returned. */
int hs_search_identities(struct hs_search *search, const float *vector, size_t k, double above,
                         struct hs_search_hit *ret_hits, size_t *ret_count, struct hs_error *err);

/* The dot product: each product is exact in double precision, and the order of the sum is fixed, so every machine and
 * compiler gives the same. */
double hs_search_score(const float *a, const float *b, size_t dimension);

#endif
