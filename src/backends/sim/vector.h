/* A face as a vector, by a plain rule. */
#ifndef HS_BACKENDS_SIM_VECTOR_H
#define HS_BACKENDS_SIM_VECTOR_H

#include <stdint.h>

#include "hs/tensor.h"

enum { HS_SIM_VECTOR_SIZE = 512 };

void hs_sim_vector_describe(enum hs_dtype dtype, struct hs_tensor_desc *ret_desc);

/* The inner five sevenths of the picture in 16 x 16 blocks: for each its brightness less that of all of them, then for
 * each how much more red than blue it is; in place of the last number a small constant, so that a face without any
 * pattern has a vector too. So equal faces give cosine 1, and faces with unlike patterns inside (the rim does not
 * count) much less. */
void hs_sim_vector_fill(const struct hs_tensor_desc *desc, const uint8_t *rgb, int h, int w, void *data);

#endif
