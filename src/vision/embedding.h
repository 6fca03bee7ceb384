/* Vectors that stand for faces. Only vectors of the same model can be compared. Pure functions, any thread. */
#ifndef HS_VISION_EMBEDDING_H
#define HS_VISION_EMBEDDING_H

#include <stddef.h>

#include "hs/status.h"

/* Scales the vector to length 1. ret_norm (may be NULL) gets the length that it had. HS_EINVAL, and nothing changed: a
 * number is not finite, or the length is zero or so small that the result would be noise (below 1e-12). */
int hs_embedding_normalize(float *vector, size_t count, float *ret_norm);

/* Cosine of two vectors of length 1, -1..1. Sums in double, in order: the same everywhere. */
float hs_embedding_cosine(const float *a, const float *b, size_t count);

#endif
