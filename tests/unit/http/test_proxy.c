#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "../alloc_fail.h"
#include "base/mem.h"
#include "http/proxy.h"

static struct hs_error err;

static void test_trust(void **state)
{
    static const char *const trusted[] = { "127.0.0.1", "::ffff:127.0.0.1", "10.2.3.4", "2001:db8::9" };
    static const char *const others[] = { "127.0.0.2", "11.0.0.0", "2001:db9::", "unix:0", "-", "" };
    struct hs_proxies proxies;
    (void) state;
    assert_int_equal(hs_proxies_init(&proxies, "127.0.0.1 10.0.0.0/8  2001:db8::/32", &err), 0);
    for (size_t i = 0; i < HS_ARRAY_LEN(trusted); i++)
        assert_true(hs_proxies_trust(&proxies, trusted[i]));
    for (size_t i = 0; i < HS_ARRAY_LEN(others); i++)
        assert_false(hs_proxies_trust(&proxies, others[i]));
    hs_proxies_finish(&proxies);
    assert_int_equal(hs_proxies_init(&proxies, "unix", &err), 0);
    assert_true(hs_proxies_trust(&proxies, "unix:1000"));
    assert_false(hs_proxies_trust(&proxies, "127.0.0.1"));
    hs_proxies_finish(&proxies);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(hs_proxies_init(&proxies, i ? "" : NULL, &err), 0);
        assert_false(hs_proxies_trust(&proxies, "127.0.0.1"));
        hs_proxies_finish(&proxies);
    }
}

static void test_bad_lists(void **state)
{
    struct hs_proxies proxies;
    char list[HS_PROXIES_MAX * 4 + 16] = "";
    (void) state;
    assert_int_equal(hs_proxies_init(&proxies, "::1 proxy.example", &err), HS_EINVAL);
    assert_string_equal(err.message, "server.trusted_proxies: proxy.example is not an address, a range or \"unix\"");
    for (size_t i = 0; i <= HS_PROXIES_MAX; i++) {
        if (i == HS_PROXIES_MAX) {
            assert_int_equal(hs_proxies_init(&proxies, list, &err), 0);
            assert_int_equal(proxies.count, HS_PROXIES_MAX);
            hs_proxies_finish(&proxies);
        }
        memcpy(list + 4 * i, "::1 ", 5);
    }
    assert_int_equal(hs_proxies_init(&proxies, list, &err), HS_EINVAL);
    assert_string_equal(err.message, "server.trusted_proxies has more than 256 items");
    hs_alloc_fail_arm(1);
    assert_int_equal(hs_proxies_init(&proxies, "::1", &err), HS_ENOMEM);
    assert_true(hs_alloc_fail_disarm());
}

static void test_clients(void **state)
{
    static const struct {
        const char *headers[3], *client;
    } rows[] = {
        { { NULL }, "10.0.0.1" },
        { { "203.0.113.7" }, "203.0.113.7" },
        { { "198.51.100.1, 203.0.113.7" }, "203.0.113.7" },
        { { "203.0.113.7 ,\t10.1.1.1,10.2.2.2 " }, "203.0.113.7" },
        { { "198.51.100.1", "203.0.113.7", "10.1.1.1" }, "203.0.113.7" },
        { { "198.51.100.1,", "10.1.1.1" }, "10.1.1.1" },
        { { "", "203.0.113.7" }, "203.0.113.7" },
        { { "10.3.3.3, 10.2.2.2" }, "10.3.3.3" },
        { { "[2001:db8::1]:443" }, "2001:db8::1" },
        { { "[2001:db8::1]" }, "2001:db8::1" },
        { { "2001:DB8::1" }, "2001:db8::1" },
        { { "203.0.113.7:99" }, "203.0.113.7" },
        { { "[2001:db8::1]x" }, "10.0.0.1" },
        { { "[2001:db8::1" }, "10.0.0.1" },
        { { "203.0.113.7, _hidden" }, "10.0.0.1" },
        { { "unix:0" }, "10.0.0.1" },
        { { "1111111111111111111111111111111111111111111111111111111111111111111111" }, "10.0.0.1" },
    };
    struct hs_proxies proxies;
    char client[HS_ADDRESS_SIZE];
    (void) state;
    assert_int_equal(hs_proxies_init(&proxies, "10.0.0.0/8", &err), 0);
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        size_t count = 0;
        while (count < 3 && rows[i].headers[count])
            count++;
        hs_proxies_find_client(&proxies, "10.0.0.1", rows[i].headers, count, client);
        assert_string_equal(client, rows[i].client);
    }
    hs_proxies_finish(&proxies);
}

/* A header of any length costs a bounded number of steps. */
static void test_long_chains(void **state)
{
    struct hs_proxies proxies;
    char client[HS_ADDRESS_SIZE], list[32 * 10 + 40] = "203.0.113.7";
    const char *headers[] = { list };
    (void) state;
    assert_int_equal(hs_proxies_init(&proxies, "10.0.0.0/8", &err), 0);
    for (int hops = 1; hops <= 32; hops++) {
        memcpy(list + strlen(list), ",10.0.0.9", 10);
        hs_proxies_find_client(&proxies, "10.0.0.1", headers, 1, client);
        assert_string_equal(client, hops < 32 ? "203.0.113.7" : "10.0.0.9");
    }
    hs_proxies_finish(&proxies);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trust),
        cmocka_unit_test(test_bad_lists),
        cmocka_unit_test(test_clients),
        cmocka_unit_test(test_long_chains),
    };
    return HS_RUN_TESTS(tests);
}
