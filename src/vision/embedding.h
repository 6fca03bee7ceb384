/* Embeddings of faces. Only embeddings of the same model can be compared. Pure functions, any thread. */
#ifndef HS_VISION_EMBEDDING_H
#define HS_VISION_EMBEDDING_H

#include <stddef.h>

#include "hs/status.h"

/* Scales the vector to length 1 and stores its previous length in *ret_norm (may be NULL). Fails with
 * HS_EINVAL and changes nothing if a number is not finite, or if the length is zero or so small that
 * the result would be noise (below 1e-12). */
int hs_embedding_normalize(float *vector, size_t count, float *ret_norm);

/* Returns the cosine of two vectors of length 1, -1..1. Sums in double and in order, so that results
 * are the same on all machines. */
float hs_embedding_cosine(const float *a, const float *b, size_t count);

#endif
