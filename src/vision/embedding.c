#include "vision/embedding.h"

#include <math.h>

#define SMALLEST_NORM 1e-12

int hs_embedding_normalize(float *vector, size_t count, float *ret_norm)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double) vector[i] * (double) vector[i];
    double norm = sqrt(sum);
    /* The square of a float cannot overflow a double, so a sum that is not finite has a term that is
     * not finite. */
    if (!isfinite(norm) || norm < SMALLEST_NORM)
        return HS_EINVAL;
    for (size_t i = 0; i < count; i++)
        vector[i] = (float) ((double) vector[i] / norm);
    if (ret_norm)
        *ret_norm = (float) norm;
    return 0;
}

float hs_embedding_cosine(const float *a, const float *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double) a[i] * (double) b[i];
    return sum > 1 ? 1 : sum < -1 ? -1 : (float) sum;
}
