#include "unit.h"

#include "base/mem.h"
#include "base/origin.h"
#include "base/str.h"

static void test_origins(void **state)
{
    (void) state;
    static const struct {
        const char *text, *scheme, *host; /* scheme NULL: invalid */
        int port;
    } rows[] = {
        { "http://pi.local", "http", "pi.local", 80 },
        { "HTTPS://PI.Example:8443", "https", "pi.example", 8443 },
        { "https://pi.example.", "https", "pi.example", 443 },
        { "http://[::1]:80", "http", "[::1]", 80 },
        { "http://[2001:DB8:0:0::1]", "http", "[2001:db8::1]", 80 },
        { "chrome-extension://abcdefghij", "chrome-extension", "abcdefghij", 0 },
        { "null", NULL, NULL, 0 },
        { "", NULL, NULL, 0 },
        { "*", NULL, NULL, 0 },
        { "pi.example", NULL, NULL, 0 },
        { "http://", NULL, NULL, 0 },
        { "://pi", NULL, NULL, 0 },
        { "http://pi/", NULL, NULL, 0 },
        { "http://pi/x", NULL, NULL, 0 },
        { "http://user@pi", NULL, NULL, 0 },
        { "http://pi:", NULL, NULL, 0 },
        { "http://pi:0", NULL, NULL, 0 },
        { "http://pi:65536", NULL, NULL, 0 },
        { "http://pi:80x", NULL, NULL, 0 },
        { "http://[::1", NULL, NULL, 0 },
        { "http://[::1]x", NULL, NULL, 0 },
        { "http://[pi]", NULL, NULL, 0 },
        { "http://pi..", NULL, NULL, 0 },
        { "http://.", NULL, NULL, 0 },
        { "http://a b", NULL, NULL, 0 },
        { "http://a, http://b", NULL, NULL, 0 },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        struct hs_origin origin;
        bool read = hs_origin_parse(rows[i].text, &origin);
        if (read != (rows[i].scheme != NULL))
            fail_msg("%s", rows[i].text);
        if (!read)
            continue;
        assert_string_equal(origin.scheme, rows[i].scheme);
        assert_string_equal(origin.host, rows[i].host);
        assert_int_equal(hs_origin_port(&origin), rows[i].port);
    }
}

static void test_hosts(void **state)
{
    (void) state;
    static const struct {
        const char *text;
        bool address;
    } rows[] = { { "pi", false },    { "127.0.0.1", true },   { "127.0.0.1:80", true },    { "[fe80::1]:5002", true },
                 { "127.1", false }, { "0x7f.0.0.1", false }, { "1.2.3.4.example", false } };
    struct hs_origin host;
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        assert_true(hs_host_parse(rows[i].text, &host));
        assert_int_equal(hs_host_is_address(&host), rows[i].address);
    }
    assert_true(hs_host_parse("127.0.0.1:80", &host) && hs_host_is_loopback(&host));
    assert_true(hs_host_parse("[::1]:80", &host) && hs_host_is_loopback(&host));
    assert_true(hs_host_parse("[::]:80", &host) && !hs_host_is_loopback(&host));
    assert_true(hs_host_parse("0.0.0.0:80", &host) && !hs_host_is_loopback(&host));
    assert_false(hs_host_parse("", &host));
    assert_false(hs_host_parse("a/b", &host));
    assert_false(hs_host_parse("::1", &host));
}

static void test_loopback(void **state)
{
    (void) state;
    static const char *const own[] = { "127.0.0.1", "127.9.8.7", "::1", "::ffff:127.0.0.1", "unix:0", "unix:1000" };
    static const char *const others[] = {
        "128.0.0.1", "10.0.0.1", "::", "::2", "::ffff:10.0.0.1", "localhost", "", "-"
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(own); i++)
        assert_true(hs_address_is_loopback(own[i]));
    for (size_t i = 0; i < HS_ARRAY_LEN(others); i++)
        assert_false(hs_address_is_loopback(others[i]));
}

static void test_complaints(void **state)
{
    (void) state;
    assert_null(hs_origin_error("*"));
    assert_null(hs_origin_error("https://pi.example"));
    assert_non_null(hs_origin_error("pi.example"));
    assert_non_null(hs_origin_error("https://pi.example/"));
    assert_non_null(hs_origin_error("null"));
    assert_null(hs_host_error("pi.fritz.box"));
    assert_null(hs_host_error("[::1]"));
    assert_non_null(hs_host_error("pi:5002"));
    assert_non_null(hs_host_error("*"));
    assert_non_null(hs_host_error("http://pi"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_complaints),
    };
    return HS_RUN_TESTS(tests);
}
