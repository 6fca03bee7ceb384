#include "gallery/search_kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

static bool usable(void)
{
    return __builtin_cpu_supports("avx2") != 0;
}

/* vpmaddubsw needs one unsigned operand: use |q|, and r with the sign of q. The sum of two products
 * is at most 2 * 127 * 127, which fits in sixteen bits, because -128 does not occur; so it never
 * saturates. */
AVX2 static inline __m256i add_products(__m256i sum, __m256i query, __m256i magnitude, const int8_t *row)
{
    __m256i signed_row = _mm256_sign_epi8(_mm256_load_si256((const __m256i *) row), query);
    __m256i pairs = _mm256_maddubs_epi16(magnitude, signed_row);
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

AVX2 static inline int32_t total(__m256i v)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
    return _mm_cvtsi128_si32(s);
}

AVX2 static int32_t one_row(const int8_t *query, const int8_t *row, size_t stride)
{
    __m256i even = _mm256_setzero_si256(), odd = even;
    for (size_t i = 0; i < stride; i += 64) {
        __m256i q0 = _mm256_load_si256((const __m256i *) (query + i));
        __m256i q1 = _mm256_load_si256((const __m256i *) (query + i + 32));
        even = add_products(even, q0, _mm256_abs_epi8(q0), row + i);
        odd = add_products(odd, q1, _mm256_abs_epi8(q1), row + i + 32);
    }
    return total(_mm256_add_epi32(even, odd));
}

AVX2 static void dots(const int8_t *query, const int8_t *rows, size_t stride, size_t count, int32_t *ret_dots)
{
    for (size_t row = 0; row < count; row++)
        ret_dots[row] = one_row(query, rows + row * stride, stride);
}

const struct hs_search_kernel hs_search_avx2 = { "avx2", usable, dots };
#endif
