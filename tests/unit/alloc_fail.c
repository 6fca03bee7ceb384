/* The linker sends the calls here (--wrap, tests/unit/meson.build), those of our own objects and no others. */
#include "alloc_fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

#include "hs/status.h"
#include "unit.h"

enum { ALLOCATIONS_MAX = 20000 };

/* Allocations up to the one that fails; 0 or below: none does, or it has. */
static atomic_int left;

bool hs_alloc_fails(void)
{
    if (atomic_load(&left) <= 0 || atomic_fetch_sub(&left, 1) != 1)
        return false;
    errno = ENOMEM;
    return true;
}

void hs_alloc_fail_arm(int nth)
{
    atomic_store(&left, nth);
}

bool hs_alloc_fail_disarm(void)
{
    return atomic_exchange(&left, 0) <= 0;
}

int hs_fail_each_allocation(int (*scenario)(void *arg), void *arg)
{
    for (int nth = 1; nth <= ALLOCATIONS_MAX; nth++) {
        hs_alloc_fail_arm(nth);
        int r = scenario(arg);
        if (!hs_alloc_fail_disarm()) {
            assert_int_equal(r, 0);
            return nth - 1;
        }
        if (r != 0 && r != HS_ENOMEM)
            fail_msg("allocation %d failed, and the result is %d", nth, r);
    }
    fail_msg("more than %d allocations", ALLOCATIONS_MAX);
    return 0;
}

/* ---- called instead ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **ret, size_t alignment, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);
int __real_vasprintf(char **ret, const char *format, va_list args);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **ret, size_t alignment, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strdup(const char *text);
int __wrap_vasprintf(char **ret, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

void *__wrap_malloc(size_t size)
{
    return hs_alloc_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return hs_alloc_fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return hs_alloc_fails() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
    return hs_alloc_fails() ? NULL : __real_reallocarray(old, count, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return hs_alloc_fails() ? NULL : __real_aligned_alloc(alignment, size);
}

int __wrap_posix_memalign(void **ret, size_t alignment, size_t size)
{
    return hs_alloc_fails() ? ENOMEM : __real_posix_memalign(ret, alignment, size);
}

char *__wrap_strdup(const char *text)
{
    return hs_alloc_fails() ? NULL : __real_strdup(text);
}

int __wrap_vasprintf(char **ret, const char *format, va_list args)
{
    return hs_alloc_fails() ? -1 : __real_vasprintf(ret, format, args);
}
