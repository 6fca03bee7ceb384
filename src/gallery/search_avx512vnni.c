#include "gallery/search_kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vnni")))

static bool usable(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vnni");
}

/* vpdpbusd multiplies unsigned by signed bytes. Flipping the sign bits of a row adds 128 to each
 * component, and so 128 times the sum of the query to the result, the same for every row. */
VNNI static inline __m512i add_products(__m512i sum, __m512i query, const int8_t *row)
{
    __m512i shifted = _mm512_xor_si512(_mm512_load_si512(row), _mm512_set1_epi8((char) 0x80));
    return _mm512_dpbusd_epi32(sum, shifted, query);
}

VNNI static inline __m256i halves(__m512i v)
{
    return _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
}

/* Returns the sums of the elements of each of four vectors. */
VNNI static inline __m128i totals(__m512i a, __m512i b, __m512i c, __m512i d)
{
    __m256i ab = _mm256_hadd_epi32(halves(a), halves(b)), cd = _mm256_hadd_epi32(halves(c), halves(d));
    __m256i all = _mm256_hadd_epi32(ab, cd);
    return _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}

/* Processes one row at a time. Four at once would save a loop, but the prefetcher of many
 * processors does not follow four streams in one page: it was three times slower in a
 * large gallery on Zen 4. */
VNNI static inline __m512i row_products(const int8_t *query, const int8_t *row, size_t stride)
{
    __m512i even = _mm512_setzero_si512(), odd = even;
    size_t i = 0;
    for (; i + 128 <= stride; i += 128) {
        even = add_products(even, _mm512_load_si512(query + i), row + i);
        odd = add_products(odd, _mm512_load_si512(query + i + 64), row + i + 64);
    }
    if (i < stride)
        even = add_products(even, _mm512_load_si512(query + i), row + i);
    return _mm512_add_epi32(even, odd);
}

VNNI static void four_rows(const int8_t *query, const int8_t *rows, size_t stride, __m128i offset, int32_t *ret_dots)
{
    __m512i a = row_products(query, rows, stride);
    __m512i b = row_products(query, rows + stride, stride);
    __m512i c = row_products(query, rows + 2 * stride, stride);
    __m512i d = row_products(query, rows + 3 * stride, stride);
    _mm_storeu_si128((__m128i *) ret_dots, _mm_sub_epi32(totals(a, b, c, d), offset));
}

VNNI static void dots(const int8_t *query, const int8_t *rows, size_t stride, size_t count, int32_t *ret_dots)
{
    __m512i sum = _mm512_setzero_si512();
    for (size_t i = 0; i < stride; i += 64)
        sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8((char) 0x80), _mm512_load_si512(query + i));
    int32_t offset = _mm512_reduce_add_epi32(sum);
    size_t row = 0;
    for (; row + 4 <= count; row += 4)
        four_rows(query, rows + row * stride, stride, _mm_set1_epi32(offset), ret_dots + row);
    for (; row < count; row++)
        ret_dots[row] = _mm512_reduce_add_epi32(row_products(query, rows + row * stride, stride)) - offset;
}

const struct hs_search_kernel hs_search_avx512vnni = { "avx512vnni", usable, dots };
#endif
