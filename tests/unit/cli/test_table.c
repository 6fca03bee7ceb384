/* Tables on standard output. */
#include "cli/capture.h"

#include "alloc_fail.h"
#include "cli/table.h"

static struct capture seen;

static int print(const struct hs_table *table)
{
    struct hs_error err;
    capture_begin(&seen, -1);
    int r = hs_table_print(table, &err);
    capture_end(&seen);
    return r;
}

static void fill(struct hs_table *table)
{
    hs_table_init(table, 3, 1u << 1);
    hs_table_add(table, "NAME");
    hs_table_add(table, "FACES");
    hs_table_add(table, "NOTE");
    hs_table_add(table, "Zo\xc3\xab");
    hs_table_add(table, "%d", 12);
    hs_table_add(table, "%s", "a\n\xc2\x9b\x1b[31mb");
    hs_table_add(table, "\xe7\x8e\x8b\xe6\x98\x8e\xe6\x98\x8e"); /* three characters of two columns */
    hs_table_add(table, "%d", 3);
    hs_table_add(table, "%s", "");
}

static void columns_are_aligned(void **state)
{
    (void) state;
    struct hs_table table;
    fill(&table);
    assert_int_equal(print(&table), 0);
    assert_string_equal(seen.out, "NAME    FACES  NOTE\n"
                                  "Zo\xc3\xab        12  a\\n\\u009b\\x1b[31mb\n"
                                  "\xe7\x8e\x8b\xe6\x98\x8e\xe6\x98\x8e      3  \n");
    hs_table_add(&table, "a row that is not complete");
    assert_int_equal(print(&table), 0);
    assert_null(strstr(seen.out, "complete"));
    hs_table_finish(&table);
    assert_int_equal(print(&table), 0);
    assert_string_equal(seen.out, "");
}

static int fill_and_print(void *arg)
{
    struct hs_table table;
    (void) arg;
    fill(&table);
    int r = print(&table);
    if (r < 0)
        assert_string_equal(seen.out, "");
    hs_table_finish(&table);
    return r;
}

static void a_table_without_memory_prints_nothing(void **state)
{
    (void) state;
    assert_true(hs_fail_each_allocation(fill_and_print, NULL) > 1);
}

int main(void)
{
    hs_alloc_watch_leaks();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_aligned),
        cmocka_unit_test(a_table_without_memory_prints_nothing),
    };
    return HS_RUN_TESTS(tests);
}
