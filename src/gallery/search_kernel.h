/* Dot products of eight-bit vectors: one query against many consecutive rows. There is one kernel
 * per processor feature, selected at run time; all of them compute the same integers. */
#ifndef HS_GALLERY_SEARCH_KERNEL_H
#define HS_GALLERY_SEARCH_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Rows and queries are zero-padded to a multiple of this many bytes, and aligned to it. */
enum { HS_SEARCH_ALIGN = 64 };

/* Sets ret_dots[i] to the dot product of `query` and row i. A row has `stride` bytes, a multiple of
 * HS_SEARCH_ALIGN, at most 8192. Components are in -127..127; -128 must not occur. */
typedef void (*hs_search_dots)(const int8_t *query, const int8_t *rows, size_t stride, size_t count, int32_t *ret_dots);

struct hs_search_kernel {
    const char *name;
    bool (*usable)(void); /* returns true if this machine supports the kernel */
    hs_search_dots dots;
};

/* Returns the kernels in this build, best first, the portable one last, then NULL. */
const struct hs_search_kernel *const *hs_search_kernels(void);

/* Returns the first usable kernel. */
const struct hs_search_kernel *hs_search_kernel_best(void);

/* Each SIMD kernel is defined in the file of its name, if the compiler supports the instructions. */
extern const struct hs_search_kernel hs_search_avx512vnni, hs_search_avx2, hs_search_dotprod, hs_search_neon,
    hs_search_portable;

/* Older compilers cannot enable the dotprod instructions for a single function. */
#if defined(__aarch64__) && (!defined(__clang__) || __clang_major__ >= 16)
#define HS_SEARCH_HAS_DOTPROD 1
#else
#define HS_SEARCH_HAS_DOTPROD 0
#endif

#endif
