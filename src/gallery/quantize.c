#include "gallery/search_rows.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "gallery/search.h"

/* Factor that rounds up a length computed in double precision, so that the true length does not exceed it. */
#define ROUND_UP (1 + 1e-9)

/* Number of accumulators for sums and maxima, indexed by position, so that the operations can overlap. */
enum { LANES = 8 };

/* A vector, minus scale * codes if `codes` is set. A code times a scale is exact in double precision. */
struct source {
    const float *vector;
    const int8_t *codes;
    double scale;
};

/* Loads the components i to i + LANES - 1; zeros past the end. */
static inline void load(const struct source *from, size_t dimension, size_t i, double ret[LANES])
{
    size_t count = dimension - i < LANES ? dimension - i : LANES;
    if (count == LANES) {
        for (size_t k = 0; k < LANES; k++)
            ret[k] = from->vector[i + k];
    } else {
        for (size_t k = 0; k < LANES; k++)
            ret[k] = k < count ? from->vector[i + k] : 0;
    }
    /* Codes are padded to a multiple of HS_SEARCH_ALIGN, so LANES of them can be read here. */
    for (size_t k = 0; from->codes && k < LANES; k++)
        ret[k] -= from->scale * from->codes[i + k];
}

static double largest_of(const struct source *from, size_t dimension)
{
    double most[LANES] = { 0 }, x[LANES], largest = 0;
    for (size_t i = 0; i < dimension; i += LANES) {
        load(from, dimension, i, x);
        for (size_t k = 0; k < LANES; k++)
            most[k] = fabs(x[k]) > most[k] ? fabs(x[k]) : most[k];
    }
    for (size_t k = 0; k < LANES; k++)
        largest = most[k] > largest ? most[k] : largest;
    return largest;
}

/* Rounds half away from zero. */
static inline double round_small(double x)
{
    return (double) (int) (x + copysign(0.5, x));
}

/* Returns the squared error, measured with the codes as written, so it is valid for any rounding. */
static double write_codes(const struct source *from, size_t dimension, double scale, int8_t *codes)
{
    double missing[LANES] = { 0 }, x[LANES], sum = 0, inverse = scale > 0 ? 1 / scale : 0;
    for (size_t i = 0; i < dimension; i += LANES) {
        load(from, dimension, i, x);
        double code[LANES];
        for (size_t k = 0; k < LANES; k++) {
            code[k] = round_small(x[k] * inverse);
            x[k] -= scale * code[k];
            missing[k] += x[k] * x[k];
        }
        for (size_t k = 0; k < LANES; k++)
            codes[i + k] = (int8_t) code[k];
    }
    for (size_t k = 0; k < LANES; k++)
        sum += missing[k];
    return sum;
}

static struct hs_search_scale encode(const struct source *from, size_t dimension, size_t stride, int8_t *codes)
{
    struct hs_search_scale result = { .scale = (float) (largest_of(from, dimension) / 127) };
    if (result.scale < FLT_MIN)
        result.scale = 0; /* a subnormal scale is too coarse to keep codes below 128 */
    memset(codes, 0, stride);
    double missing = write_codes(from, dimension, result.scale, codes);
    result.error = nextafterf((float) (sqrt(missing) * ROUND_UP), INFINITY);
    return result;
}

struct hs_search_scale hs_quantize(const float *vector, size_t dimension, size_t stride, int8_t *codes)
{
    struct source from = { .vector = vector };
    return encode(&from, dimension, stride, codes);
}

struct hs_search_scale hs_quantize_rest(const float *vector, size_t dimension, size_t stride,
                                        struct hs_search_scale first, const int8_t *first_codes, int8_t *codes)
{
    struct source from = { .vector = vector, .codes = first_codes, .scale = first.scale };
    return encode(&from, dimension, stride, codes);
}

double hs_search_norm(const float *vector, size_t dimension)
{
    return sqrt(hs_search_score(vector, vector, dimension));
}

bool hs_search_is_unit(const float *vector, size_t dimension)
{
    /* If a component is not finite, the norm is infinite or NaN, and the comparison is false. */
    return fabs(hs_search_norm(vector, dimension) - 1) <= HS_SEARCH_MAX_NORM - 1;
}

/* A product of two floats has at most 48 significant bits, so it is exact, and a fused multiply-add
 * returns the same. */
double hs_search_score(const float *a, const float *b, size_t dimension)
{
    double sums[LANES] = { 0 };
    size_t i = 0;
    for (; i + LANES <= dimension; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            sums[k] += (double) a[i + k] * b[i + k];
    for (size_t k = 0; i + k < dimension; k++)
        sums[k] += (double) a[i + k] * b[i + k];
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}
