#include "unit.h"

#include <string.h>

#include "base/address.h"
#include "base/mem.h"

static void test_texts(void **state)
{
    static const struct {
        const char *text, *canonical; /* NULL: not an address */
    } rows[] = {
        { "192.0.2.1", "192.0.2.1" },
        { "::ffff:192.0.2.1", "192.0.2.1" },
        { "2001:DB8:0:0::1", "2001:db8::1" },
        { "::", "::" },
        { "0.0.0.0", "0.0.0.0" },
        { "", NULL },
        { "192.0.2", NULL },
        { "192.0.2.1 ", NULL },
        { "[::1]", NULL },
        { "192.0.2.256", NULL },
        { "localhost", NULL },
        { "fe80::1%eth0", NULL },
    };
    (void) state;
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        struct hs_address address;
        char text[HS_ADDRESS_TEXT_SIZE];
        assert_int_equal(hs_address_parse(rows[i].text, &address), rows[i].canonical != NULL);
        if (!rows[i].canonical)
            continue;
        hs_address_write(&address, text);
        assert_string_equal(text, rows[i].canonical);
    }
}

static void test_ranges(void **state)
{
    static const struct {
        const char *range, *inside[3], *outside[3];
    } rows[] = {
        { "192.0.2.1", { "192.0.2.1", "::ffff:192.0.2.1" }, { "192.0.2.2", "192.0.2.0", "::192.0.2.1" } },
        { "10.0.0.0/8", { "10.0.0.0", "10.255.255.255" }, { "11.0.0.0", "9.255.255.255", "::a00:0" } },
        { "192.0.2.64/27", { "192.0.2.64", "192.0.2.95" }, { "192.0.2.63", "192.0.2.96" } },
        { "0.0.0.0/0", { "0.0.0.0", "255.255.255.255" }, { "::", "2001:db8::1" } },
        { "::/0", { "::", "10.0.0.1", "ffff::" }, { NULL } },
        { "2001:db8::/33", { "2001:db8::1", "2001:db8:7fff::" }, { "2001:db8:8000::", "2001:db9::" } },
        { "::1", { "::1" }, { "::2", "127.0.0.1" } },
        { "::1/128", { "::1" }, { "::" } },
        { "192.0.2.1/32", { "192.0.2.1" }, { "192.0.2.0" } },
    };
    (void) state;
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        struct hs_address_range range;
        struct hs_address address;
        assert_true(hs_address_range_parse(rows[i].range, &range));
        for (size_t k = 0; k < 3; k++) {
            if (rows[i].inside[k]) {
                assert_true(hs_address_parse(rows[i].inside[k], &address));
                assert_true(hs_address_range_contains(&range, &address));
            }
            if (rows[i].outside[k]) {
                assert_true(hs_address_parse(rows[i].outside[k], &address));
                assert_false(hs_address_range_contains(&range, &address));
            }
        }
    }
}

static void test_bad_ranges(void **state)
{
    static const char *const bad[] = { "",
                                       "10.0.0.0/",
                                       "10.0.0.0/33",
                                       "10.0.0.0/-1",
                                       "10.0.0.0/ 8",
                                       "10.0.0.1/8",
                                       "10.0.0.0/8x",
                                       "::1/129",
                                       "::1/64",
                                       "/8",
                                       "10.0.0.0/8/8",
                                       "10.0.0.0/+8",
                                       "10.0.0.0/0008",
                                       "host/8",
                                       "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb" };
    struct hs_address_range range;
    (void) state;
    for (size_t i = 0; i < HS_ARRAY_LEN(bad); i++)
        assert_false(hs_address_range_parse(bad[i], &range));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_bad_ranges),
    };
    return HS_RUN_TESTS(tests);
}
