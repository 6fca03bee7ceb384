/* Dot products of eight-bit vectors: one query with many rows that lie one after the other. There is one kernel for
 * each kind of processor, chosen when the program runs; all give the same integers. */
#ifndef HS_GALLERY_SEARCH_KERNEL_H
#define HS_GALLERY_SEARCH_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Rows and queries are padded with zeros to a multiple of this many bytes, and begin at such an address. */
enum { HS_SEARCH_ALIGN = 64 };

/* ret_dots[i] = the dot product of `query` and row i; a row is `stride` bytes, a multiple of HS_SEARCH_ALIGN and at
 * most 8192. Components are within -127 and 127: -128 must not occur. */
typedef void (*hs_search_dots)(const int8_t *query, const int8_t *rows, size_t stride, size_t count, int32_t *ret_dots);

struct hs_search_kernel {
    const char *name;
    bool (*usable)(void); /* on this machine */
    hs_search_dots dots;
};

/* What this build has, best first, the plain one last, then NULL. */
const struct hs_search_kernel *const *hs_search_kernels(void);

/* The first usable one. */
const struct hs_search_kernel *hs_search_kernel_best(void);

/* In the file of the same name, where the compiler can make them. */
extern const struct hs_search_kernel hs_search_avx512vnni, hs_search_avx2, hs_search_dotprod, hs_search_neon,
    hs_search_plain;

/* Compilers before these cannot switch the dotprod instructions on for a single function. */
#if defined(__aarch64__) && (!defined(__clang__) || __clang_major__ >= 16)
#define HS_SEARCH_HAS_DOTPROD 1
#else
#define HS_SEARCH_HAS_DOTPROD 0
#endif

#endif
