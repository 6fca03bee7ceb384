/* Memory: size arithmetic with overflow checks, growing arrays, the memory use of this process. */
#ifndef HS_BASE_MEM_H
#define HS_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HS_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Computes *ret = a * b; returns false and leaves *ret untouched on overflow. */
static inline bool hs_size_mul(size_t a, size_t b, size_t *ret)
{
    size_t product;
    if (__builtin_mul_overflow(a, b, &product))
        return false;
    *ret = product;
    return true;
}

static inline bool hs_size_add(size_t a, size_t b, size_t *ret)
{
    size_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return false;
    *ret = sum;
    return true;
}

/* Makes room for `need` items in a growing array, at least doubling it: `items` is the pointer to its first item (NULL
 * with capacity 0), `capacity` a size_t. Returns false and changes nothing if out of memory. */
#define HS_ARRAY_RESERVE(items, capacity, need) hs_array_reserve(&(items), &(capacity), (need), sizeof(*(items)))
bool hs_array_reserve(void *items, size_t *capacity, size_t need, size_t item_size);

/* Overwrites the `size` bytes of `data` (NULL allowed), then frees it, so that no face embedding stays in freed
 * memory. */
void hs_mem_free_wiped(void *data, size_t size);

/* Keeps the memory of this process, which holds face embeddings, out of core dumps, and out of reach of other processes
 * of the same user (ptrace, /proc/PID/mem): RLIMIT_CORE is not enough, because a handler in kernel.core_pattern, such
 * as apport, may ignore it. A user with CAP_SYS_PTRACE can still read it. Does not apply to builds with a sanitizer,
 * which traces its own process. */
void hs_mem_forbid_dumps(void);

/* Returns the resident set size of this process in bytes; 0 if it is unknown. Any thread. */
int64_t hs_mem_resident(void);

#endif
