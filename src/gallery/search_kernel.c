#include "gallery/search_kernel.h"

const struct hs_search_kernel *const *hs_search_kernels(void)
{
    static const struct hs_search_kernel *const all[] = {
#if defined(__x86_64__)
        &hs_search_avx512vnni,
        &hs_search_avx2,
#elif defined(__aarch64__)
#if HS_SEARCH_HAS_DOTPROD
        &hs_search_dotprod,
#endif
        &hs_search_neon,
#endif
        &hs_search_portable,
        NULL,
    };
    return all;
}

const struct hs_search_kernel *hs_search_kernel_best(void)
{
    const struct hs_search_kernel *const *kernel = hs_search_kernels();
    while (!(*kernel)->usable())
        kernel++;
    return *kernel;
}

static bool always(void)
{
    return true;
}

static void dots(const int8_t *query, const int8_t *rows, size_t stride, size_t count, int32_t *ret_dots)
{
    for (size_t row = 0; row < count; row++, rows += stride) {
        int32_t sum = 0;
        for (size_t i = 0; i < stride; i++)
            sum += (int32_t) query[i] * rows[i];
        ret_dots[row] = sum;
    }
}

const struct hs_search_kernel hs_search_portable = { "plain", always, dots };
