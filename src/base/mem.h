/* Memory: size arithmetic that detects overflow, growing arrays, the size of this process. */
#ifndef HS_BASE_MEM_H
#define HS_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HS_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* *ret = a * b; false (and *ret untouched) if that does not fit. */
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
 * with capacity 0), `capacity` a size_t. False without memory, and nothing changes. */
#define HS_ARRAY_RESERVE(items, capacity, need) hs_array_reserve(&(items), &(capacity), (need), sizeof(*(items)))
bool hs_array_reserve(void *items, size_t *capacity, size_t need, size_t item_size);

/* Frees `data` (NULL allowed) once its `size` bytes are overwritten: face vectors do not stay in freed memory. */
void hs_mem_free_wiped(void *data, size_t size);

/* The resident set of this process in bytes; 0 if it is not known. Any thread. */
int64_t hs_mem_resident(void);

#endif
