#include "../unit.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "auth/rate_limit.h"
#include "base/clock.h"
#include "base/mem.h"

static const struct hs_rate two_per_second = { .per_second = 2, .burst = 3 };

static int64_t ms(int64_t count)
{
    return count * HS_NS_PER_MS;
}

static void a_burst_then_the_rate(void **state)
{
    (void) state;
    struct hs_rate_table *table = hs_rate_table_create(4);
    struct hs_rate_state s = { 0 };
    for (int i = 0; i < 3; i++) {
        s = hs_rate_take(table, "a", two_per_second, ms(0));
        assert_true(s.allowed);
        assert_float_equal(s.left, 2 - i, 1e-9);
    }
    assert_float_equal(s.reset_s, 1.5, 1e-9);
    s = hs_rate_take(table, "a", two_per_second, ms(400));
    assert_false(s.allowed);
    assert_float_equal(s.wait_s, 0.1, 1e-9); /* 0.8 tokens */
    assert_true(hs_rate_take(table, "b", two_per_second, ms(400)).allowed);
    assert_true(hs_rate_take(table, "a", two_per_second, ms(500)).allowed);
    assert_false(hs_rate_take(table, "a", two_per_second, ms(500)).allowed);
    assert_true(hs_rate_take(table, "a", two_per_second, ms(100000)).allowed);
    assert_true(hs_rate_take(table, "a", two_per_second, ms(100000)).allowed);
    assert_true(hs_rate_take(table, "a", two_per_second, ms(100000)).allowed);
    assert_false(hs_rate_take(table, "a", two_per_second, ms(100000)).allowed);
    hs_rate_table_destroy(table);
}

static void time_that_goes_back_gives_nothing(void **state)
{
    (void) state;
    struct hs_rate_table *table = hs_rate_table_create(4);
    for (int i = 0; i < 3; i++)
        hs_rate_take(table, "a", two_per_second, ms(1000));
    assert_false(hs_rate_take(table, "a", two_per_second, ms(10)).allowed);
    hs_rate_table_destroy(table);
}

static void the_least_recently_used_client_is_forgotten(void **state)
{
    (void) state;
    const struct hs_rate one = { .per_second = 0.001, .burst = 1 };
    struct hs_rate_table *table = hs_rate_table_create(3);
    assert_true(hs_rate_take(table, "a", one, 0).allowed);
    assert_true(hs_rate_take(table, "b", one, 0).allowed);
    assert_true(hs_rate_take(table, "c", one, 0).allowed);
    assert_false(hs_rate_take(table, "a", one, 0).allowed); /* used again: b is the oldest */
    assert_true(hs_rate_take(table, "d", one, 0).allowed);
    assert_false(hs_rate_take(table, "a", one, 0).allowed);
    assert_false(hs_rate_take(table, "c", one, 0).allowed);
    assert_true(hs_rate_take(table, "b", one, 0).allowed);
    hs_rate_table_destroy(table);
}

/* Compares the table with a plain list, over many more clients than it holds. */
static void many_clients_keep_the_table_whole(void **state)
{
    (void) state;
    enum { SLOTS = 64, STEPS = 20000, CLIENTS = 90 };
    const struct hs_rate one = { .per_second = 1e-6, .burst = 1 };
    struct hs_rate_table *table = hs_rate_table_create(SLOTS);
    unsigned recent[SLOTS], count = 0, random = 1;
    for (int step = 0; step < STEPS; step++) {
        char name[16];
        random = random * 1103515245 + 12345;
        unsigned client = (random >> 16) % CLIENTS, at = 0;
        while (at < count && recent[at] != client)
            at++;
        bool known = at < count;
        snprintf(name, sizeof(name), "10.0.0.%u", client);
        assert_int_equal(hs_rate_take(table, name, one, 0).allowed, !known);
        if (!known && count < SLOTS)
            count++;
        at = at < count ? at : count - 1;
        memmove(recent + 1, recent, at * sizeof(recent[0]));
        recent[0] = client;
    }
    hs_rate_table_destroy(table);
}

static void settings_make_rates(void **state)
{
    (void) state;
    assert_float_equal(hs_rate_of(0.1, 0).burst, 1, 0);
    assert_float_equal(hs_rate_of(2.5, 0).burst, 3, 0);
    assert_float_equal(hs_rate_of(2.5, 10).burst, 10, 0);
    assert_float_equal(hs_rate_of(2.5, 10).per_second, 2.5, 0);
}

static void one_host_is_one_client(void **state)
{
    (void) state;
    static const char *const cases[][2] = {
        { "192.0.2.7", "192.0.2.7" },
        { "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::" },
        { "2001:db8:1:2::1", "2001:db8:1:2::" },
        { "-", "-" },
        { "unix:1000", "unix:1000" },
    };
    char name[HS_RATE_CLIENT_SIZE];
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        hs_rate_client(cases[i][0], name);
        assert_string_equal(name, cases[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_then_the_rate),
        cmocka_unit_test(time_that_goes_back_gives_nothing),
        cmocka_unit_test(the_least_recently_used_client_is_forgotten),
        cmocka_unit_test(many_clients_keep_the_table_whole),
        cmocka_unit_test(settings_make_rates),
        cmocka_unit_test(one_host_is_one_client),
    };
    if (sodium_init() < 0)
        return 1;
    return HS_RUN_TESTS(tests);
}
