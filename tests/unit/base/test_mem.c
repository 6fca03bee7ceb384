#include "../unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/mem.h"

static void overflowing_sizes_are_reported(void **state)
{
    (void) state;
    size_t ret = 7;
    assert_true(hs_size_mul(6, 7, &ret));
    assert_int_equal(ret, 42);
    assert_false(hs_size_mul(SIZE_MAX, 2, &ret));
    assert_false(hs_size_add(SIZE_MAX, 1, &ret));
    assert_int_equal(ret, 42);
    assert_true(hs_size_add(40, 3, &ret));
    assert_int_equal(ret, 43);
}

static void written_memory_is_resident(void **state)
{
    (void) state;
    const size_t size = 64 << 20;
    int64_t before = hs_mem_resident();
    assert_true(before > 0);
    char *block = malloc(size);
    assert_non_null(block);
    memset(block, 1, size);
    assert_true(hs_mem_resident() - before > (int64_t) size / 2);
    assert_int_equal(block[size / 2], 1);
    free(block);
}

/* The kernel's count cannot be read if the process has no free file descriptor. */
static void resident_memory_is_unknown_without_a_free_descriptor(void **state)
{
    (void) state;
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit) { .rlim_cur = 0, .rlim_max = before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int64_t bytes = hs_mem_resident();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(bytes, 0);
    assert_true(hs_mem_resident() > 0);
}

static void arrays_double_or_stay_unchanged(void **state)
{
    (void) state;
    struct {
        uint32_t *items;
        size_t capacity;
    } list = { NULL, 0 };
    for (uint32_t i = 0; i < 1000; i++) {
        assert_true(HS_ARRAY_RESERVE(list.items, list.capacity, i + 1));
        list.items[i] = i;
    }
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(list.items[i], i);
    assert_int_equal(list.capacity, 1024);
    assert_true(HS_ARRAY_RESERVE(list.items, list.capacity, 5000));
    assert_int_equal(list.capacity, 5000);
    uint32_t *before = list.items;
    assert_false(HS_ARRAY_RESERVE(list.items, list.capacity, SIZE_MAX / 2)); /* the size in bytes overflows size_t */
    assert_false(HS_ARRAY_RESERVE(list.items, list.capacity, SIZE_MAX / 8)); /* more memory than the system has */
    assert_ptr_equal(list.items, before);
    assert_int_equal(list.capacity, 5000);
    assert_int_equal(list.items[999], 999);
    free(list.items);
}

/* In a child, because it cannot be undone. */
static void dumps_are_forbidden(void **state)
{
    (void) state;
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit limit = { 1, 1 };
        hs_mem_forbid_dumps();
        bool none = getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 && limit.rlim_max == 0;
        _exit(none && prctl(PR_GET_DUMPABLE) == (HS_SANITIZED ? 1 : 0) ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overflowing_sizes_are_reported),
        cmocka_unit_test(arrays_double_or_stay_unchanged),
        cmocka_unit_test(dumps_are_forbidden),
        cmocka_unit_test(written_memory_is_resident),
        cmocka_unit_test(resident_memory_is_unknown_without_a_free_descriptor),
    };
    return HS_RUN_TESTS(tests);
}
