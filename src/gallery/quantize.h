/* Vectors in eight bits a component, how far that is from the vector, and the score of two vectors. */
#ifndef HS_GALLERY_QUANTIZE_H
#define HS_GALLERY_QUANTIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Vectors longer than this are refused, and those shorter than 2 - this. */
#define HS_SEARCH_MAX_NORM 1.01

/* Turns codes back into a vector, scale * codes; `error` is the length of the rest, rounded up. */
struct hs_search_scale {
    float scale, error;
};

/* Writes `dimension` codes between -127 and 127, then zeros up to `stride`, a multiple of 64. Components are
 * finite. */
struct hs_search_scale hs_quantize(const float *vector, size_t dimension, size_t stride, int8_t *codes);

/* The same for what `first` and its codes leave of the vector: together they have about sixteen bits. */
struct hs_search_scale hs_quantize_rest(const float *vector, size_t dimension, size_t stride,
                                             struct hs_search_scale first, const int8_t *first_codes, int8_t *codes);

double hs_search_norm(const float *vector, size_t dimension);

/* All components are numbers and the length is 1, but for rounding: what may be added, and asked for. */
bool hs_search_is_unit(const float *vector, size_t dimension);

#endif
