/* The linker redirects allocations here (--wrap, tests/unit/meson.build), but only those of our own
 * objects. */
#include "alloc_fail.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

#include "hs/status.h"
#include "unit.h"

enum { ALLOCATIONS_MAX = 20000, LIVE_BITS = 16, LIVE_MAX = 1 << LIVE_BITS };

/* Number of allocations up to the failing one; 0 or below: not armed, or already failed. */
static atomic_int left;

/* ---- Live blocks ---- */

static atomic_bool watching;
static pthread_mutex_t live_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the variables below */
static const void *live[LIVE_MAX];                            /* hash table with linear probing */
static size_t live_count;

static size_t place_of(const void *block)
{
    return (size_t) (((uint64_t) (uintptr_t) block * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - LIVE_BITS));
}

static void *note_live(void *block)
{
    if (!block || !atomic_load(&watching))
        return block;
    pthread_mutex_lock(&live_lock);
    size_t at = place_of(block);
    while (live[at] && live_count < LIVE_MAX - 1)
        at = (at + 1) % LIVE_MAX;
    live[at] = block;
    live_count++;
    pthread_mutex_unlock(&live_lock);
    return block;
}

/* Ignores blocks that were allocated earlier, or by a library. */
static void note_freed(const void *block)
{
    if (!block || !atomic_load(&watching))
        return;
    pthread_mutex_lock(&live_lock);
    size_t at = place_of(block);
    while (live[at] && live[at] != block)
        at = (at + 1) % LIVE_MAX;
    if (live[at]) {
        live_count--;
        live[at] = NULL;
        /* Move later entries back if this slot is nearer to their home slot. */
        for (size_t next = (at + 1) % LIVE_MAX; live[next]; next = (next + 1) % LIVE_MAX) {
            size_t home = place_of(live[next]);
            if (((next - home) % LIVE_MAX) >= ((next - at) % LIVE_MAX)) {
                live[at] = live[next];
                live[next] = NULL;
                at = next;
            }
        }
    }
    pthread_mutex_unlock(&live_lock);
}

size_t hs_alloc_live(void)
{
    pthread_mutex_lock(&live_lock);
    size_t count = live_count;
    pthread_mutex_unlock(&live_lock);
    return count;
}

void hs_alloc_watch_leaks(void)
{
    atomic_store(&watching, true);
}

/* ---- Failures ---- */

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
    if (atomic_load(&watching))
        assert_int_equal(scenario(arg), 0);
    size_t before = hs_alloc_live();
    for (int nth = 1; nth <= ALLOCATIONS_MAX; nth++) {
        hs_alloc_fail_arm(nth);
        int r = scenario(arg);
        if (hs_alloc_live() != before) {
            hs_alloc_fail_disarm();
            fail_msg("%zu blocks before, %zu after, with allocation %d failing", before, hs_alloc_live(), nth);
        }
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

/* ---- Wrapped functions ---- */

void *__real_malloc(size_t size);
void __real_free(void *block);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **ret, size_t alignment, size_t size);
char *__real_strdup(const char *text);
int __real_vasprintf(char **ret, const char *format, va_list args);
void *__wrap_malloc(size_t size);
void __wrap_free(void *block);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **ret, size_t alignment, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strdup(const char *text);
int __wrap_vasprintf(char **ret, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

void *__wrap_malloc(size_t size)
{
    return hs_alloc_fails() ? NULL : note_live(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return hs_alloc_fails() ? NULL : note_live(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size)
{
    if (hs_alloc_fails())
        return NULL;
    note_freed(old);
    void *block = __real_realloc(old, size);
    note_live(block ? block : old);
    return block;
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? NULL : __wrap_realloc(old, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return hs_alloc_fails() ? NULL : note_live(__real_aligned_alloc(alignment, size));
}

int __wrap_posix_memalign(void **ret, size_t alignment, size_t size)
{
    int failed = hs_alloc_fails() ? ENOMEM : __real_posix_memalign(ret, alignment, size);
    if (!failed)
        note_live(*ret);
    return failed;
}

char *__wrap_strdup(const char *text)
{
    return hs_alloc_fails() ? NULL : note_live(__real_strdup(text));
}

int __wrap_vasprintf(char **ret, const char *format, va_list args)
{
    int len = hs_alloc_fails() ? -1 : __real_vasprintf(ret, format, args);
    if (len >= 0)
        note_live(*ret);
    return len;
}

void __wrap_free(void *block)
{
    note_freed(block);
    __real_free(block);
}
