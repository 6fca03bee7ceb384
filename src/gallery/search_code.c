#include "gallery/search_code.h"

#include <math.h>
#include <string.h>

#include "gallery/search.h"

/* So much larger is a length computed in double precision made, that the true one is not above it. */
#define ROUND_UP (1 + 1e-9)

/* What is left of component i after the first codes, which may be absent. A code times a scale is exact in double. */
static double rest(const float *vector, float scale, const int8_t *codes, size_t i)
{
    return codes ? vector[i] - (double) scale * codes[i] : vector[i];
}

static int8_t round_to_code(double value)
{
    return (int8_t) lrint(fmax(-127, fmin(127, value)));
}

/* The error is measured on the codes as they are, so it holds however they were rounded. */
static struct hs_search_scale encode(const float *vector, size_t dimension, size_t stride, float first_scale,
                                     const int8_t *first, int8_t *codes)
{
    double largest = 0, missing = 0;
    for (size_t i = 0; i < dimension; i++)
        largest = fmax(largest, fabs(rest(vector, first_scale, first, i)));
    struct hs_search_scale result = { .scale = (float) (largest / 127) };
    double inverse = result.scale > 0 ? 1.0 / result.scale : 0;
    for (size_t i = 0; i < dimension; i++) {
        double value = rest(vector, first_scale, first, i);
        codes[i] = round_to_code(value * inverse);
        double left = value - (double) result.scale * codes[i];
        missing += left * left;
    }
    memset(codes + dimension, 0, stride - dimension);
    result.error = nextafterf((float) (sqrt(missing) * ROUND_UP), INFINITY);
    return result;
}

struct hs_search_scale hs_search_encode(const float *vector, size_t dimension, size_t stride, int8_t *codes)
{
    return encode(vector, dimension, stride, 0, NULL, codes);
}

struct hs_search_scale hs_search_encode_rest(const float *vector, size_t dimension, size_t stride,
                                             struct hs_search_scale first, const int8_t *first_codes, int8_t *codes)
{
    return encode(vector, dimension, stride, first.scale, first_codes, codes);
}

double hs_search_norm(const float *vector, size_t dimension)
{
    return sqrt(hs_search_score(vector, vector, dimension));
}

bool hs_search_is_unit(const float *vector, size_t dimension)
{
    /* A component that is not finite makes this infinite or not a number, for which the comparison is false. */
    return fabs(hs_search_norm(vector, dimension) - 1) <= HS_SEARCH_MAX_NORM - 1;
}

/* A product of two floats has at most 48 significant bits, so it is exact and a fused addition gives the same. */
double hs_search_score(const float *a, const float *b, size_t dimension)
{
    enum { LANES = 8 };
    double sums[LANES] = { 0 };
    size_t i = 0;
    for (; i + LANES <= dimension; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            sums[k] += (double) a[i + k] * b[i + k];
    for (size_t k = 0; i + k < dimension; k++)
        sums[k] += (double) a[i + k] * b[i + k];
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}
