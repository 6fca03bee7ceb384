/* Computes a simulated face embedding with a simple rule. */
#ifndef HS_BACKENDS_SIM_VECTOR_H
#define HS_BACKENDS_SIM_VECTOR_H

#include <stdint.h>

#include "hs/tensor.h"

enum { HS_SIM_VECTOR_SIZE = 512 };

void hs_sim_vector_describe(enum hs_dtype dtype, struct hs_tensor_desc *ret_desc);

/* Divides the inner five sevenths of the picture into 16 x 16 blocks. The first half of the
 * embedding is each block's brightness less the mean brightness, the second half is red minus blue
 * of each block. The last number is a small constant, so that a face without any pattern has an
 * embedding too. Equal faces have cosine similarity 1, and faces with different patterns inside
 * (the edge is ignored) a much lower one. */
void hs_sim_vector_fill(const struct hs_tensor_desc *desc, const uint8_t *rgb, int h, int w, void *data);

#endif
