#include "unit.h"

#include "base/mem.h"
#include "http/trace_context.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

static void test_valid(void **state)
{
    (void) state;
    static const char *const values[] = {
        "00-" TRACE "-" PARENT "-01", "00-" TRACE "-" PARENT "-00",  "00-" TRACE "-" PARENT "-ff",
        "01-" TRACE "-" PARENT "-01", "cc-" TRACE "-" PARENT "-01-", "cc-" TRACE "-" PARENT "-01-more-of-it",
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(values); i++) {
        struct hs_trace_context context;
        assert_true(hs_trace_context_read(values[i], &context));
        assert_string_equal(context.trace_id, TRACE);
        assert_string_equal(context.parent_id, PARENT);
    }
}

static void test_invalid(void **state)
{
    (void) state;
    static const char *const values[] = {
        "",
        "00",
        "00-",
        "00-" TRACE,
        "00-" TRACE "-" PARENT,
        "00-" TRACE "-" PARENT "-",
        "00-" TRACE "-" PARENT "-0",
        "00-" TRACE "-" PARENT "-011",
        "00-" TRACE "-" PARENT "-01-",
        "00-" TRACE "-" PARENT "-01-x",
        "01-" TRACE "-" PARENT "-01x",
        "ff-" TRACE "-" PARENT "-01",
        "0-" TRACE "-" PARENT "-01",
        "0g-" TRACE "-" PARENT "-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01",
        "00-" TRACE "-00F067AA0BA902B7-01",
        "00-00000000000000000000000000000000-" PARENT "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-" TRACE "0-" PARENT "-01",
        "00-" TRACE "-" PARENT "0-01",
        "00_" TRACE "_" PARENT "_01",
        " 00-" TRACE "-" PARENT "-01",
        "00-" TRACE "-" PARENT "-01 ",
        "00-" TRACE "-" PARENT "-01, 00-" TRACE "-" PARENT "-01",
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(values); i++) {
        struct hs_trace_context context;
        if (hs_trace_context_read(values[i], &context))
            fail_msg("accepted: %s", values[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_valid), cmocka_unit_test(test_invalid) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
