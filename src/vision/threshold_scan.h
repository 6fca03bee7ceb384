/* Finds the few tensor elements above a threshold, comparing stored numbers so that nothing is dequantised to be
 * thrown away. */
#ifndef HS_VISION_THRESHOLD_SCAN_H
#define HS_VISION_THRESHOLD_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include "hs/tensor.h"

/* A threshold in the tensor's own numbers. */
struct hs_threshold {
    enum hs_dtype dtype;
    float above;        /* floats: an element passes when it is greater (a NaN never is) */
    int32_t at_least;   /* integers: an element passes when it is at least this; may lie outside the type's range */
};

/* The limit that passes exactly those elements whose real value (hs_tensor_at) is greater than `real`. The view's scale
 * is above 0. */
struct hs_threshold hs_threshold_of(const struct hs_tensor_view *view, float real);

/* Index of the first element at or after `from` that passes, or `count`. The run has `count` elements that lie `step`
 * elements apart; step 1 is the fast case (whole blocks at once). */
size_t hs_threshold_next(const struct hs_threshold *limit, const void *run, size_t count, ptrdiff_t step, size_t from);

#endif
