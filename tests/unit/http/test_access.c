/* Tests which requests may change data, which clients are administrators, and which pages may read
 * responses. */
#include "unit.h"

#include <string.h>

#include "base/mem.h"
#include "http/access.h"

#define LOOPBACK "127.0.0.1"

static const struct hs_http_access plain = { .own_host = "0.0.0.0", .machine = "pi", .admin = HS_HTTP_ADMIN_LOCAL };
static const struct hs_http_access listed = { .origins = "https://app.example http://web.example:8080 *",
                                              .hosts = "faces.example cam.example",
                                              .own_host = "faces.lan",
                                              .machine = "pi.lan",
                                              .admin = HS_HTTP_ADMIN_ALL };

static const struct row {
    const struct hs_http_access *access;
    struct hs_http_source source;
    const char *refused; /* text in the error message; NULL: allowed */
} rows[] = {
#define HOST(text) .host = (text)
#define FROM(text) .origin = (text)
#define SITE(text) .fetch_site = (text)
#define REFERER(text) .referer = (text)
    /* Not a browser: any host is allowed. */
    { &plain, { HOST("127.0.0.1:5002") }, NULL },
    { &plain, { HOST("faces.example") }, NULL },
    { &plain, { .host = NULL }, NULL },
    { &listed, { HOST("other.example") }, NULL },
    /* A page of the service itself, under the default hosts. */
    { &plain, { HOST("127.0.0.1:5002"), FROM("http://127.0.0.1:5002") }, NULL },
    { &plain, { HOST("192.168.1.5:5002"), FROM("http://192.168.1.5:5002") }, NULL },
    { &plain, { HOST("[fe80::1]:5002"), FROM("http://[FE80::1]:5002") }, NULL },
    { &plain, { HOST("localhost:5002"), FROM("http://localhost:5002"), SITE("same-origin") }, NULL },
    { &plain, { HOST("LOCALHOST.:5002"), FROM("http://localhost:5002") }, NULL },
    { &plain, { HOST("pi:5002"), FROM("http://pi:5002") }, NULL },
    { &plain, { HOST("pi.local:5002"), FROM("http://pi.local:5002") }, NULL },
    { &listed, { HOST("faces.example"), FROM("http://faces.example") }, NULL },
    { &listed, { HOST("faces.example"), FROM("https://faces.example") }, NULL }, /* a proxy terminates TLS */
    { &listed, { HOST("faces.example:443"), FROM("https://faces.example") }, NULL },
    { &listed, { HOST("cam.example"), FROM("http://cam.example:80") }, NULL },
    { &plain, { HOST("127.0.0.1:5002"), SITE("none") }, NULL },
    /* Another origin. */
    { &plain, { HOST("127.0.0.1:5002"), FROM("http://evil.example") }, "\"http://evil.example\"" },
    { &plain, { HOST("127.0.0.1:5002"), FROM("http://evil.example"), SITE("cross-site") }, "server.cors_origins" },
    { &plain, { HOST("127.0.0.1:5002"), FROM("http://127.0.0.1:8080") }, "server.cors_origins" },
    { &plain, { HOST("127.0.0.1:5002"), FROM("http://127.0.0.1") }, "server.cors_origins" },
    { &plain, { HOST("127.0.0.1"), FROM("http://127.0.0.1:5002") }, "server.cors_origins" },
    { &plain, { HOST("127.0.0.1:5002"), FROM("null") }, "\"null\"" },
    { &plain, { HOST("127.0.0.1:5002"), FROM("") }, "server.cors_origins" },
    { &plain, { HOST("127.0.0.1:5002"), FROM("file://") }, "server.cors_origins" },
    { &plain, { HOST("127.0.0.1:5002"), FROM("http://127.0.0.1:5002.evil.example") }, "server.cors_origins" },
    { &plain, { HOST("127.0.0.1:5002"), FROM("http://127.0.0.1:5002@evil.example") }, "server.cors_origins" },
    { &plain, { FROM("http://evil.example") }, "server.cors_origins" },
    { &plain, { HOST("127.0.0.1:5002"), SITE("cross-site") }, "server.cors_origins" },
    { &plain, { HOST("127.0.0.1:5002"), SITE("same-site") }, "server.cors_origins" },
    { &plain, { HOST("127.0.0.1:5002"), SITE("SAME-ORIGIN") }, "server.cors_origins" },
    { &plain, { HOST("pi.local"), FROM("http://pi.local"), SITE("same-site") }, "server.cors_origins" },
    { &plain, { HOST("127.0.0.1:5002"), REFERER("http://evil.example/form.html") }, "another site" },
    { &plain, { HOST("127.0.0.1:5002"), REFERER("http://127.0.0.1:5002/?a=http://evil.example") }, NULL },
    { &plain, { HOST("127.0.0.1:5002"), REFERER("nonsense") }, "another site" },
    /* A listed origin: scheme and port must match, and "*" allows only reading. */
    { &listed, { HOST("faces.example"), FROM("https://app.example"), SITE("cross-site") }, NULL },
    { &listed, { HOST("faces.example"), FROM("https://APP.example:443") }, NULL },
    { &listed, { HOST("10.0.0.1:5002"), FROM("http://web.example:8080") }, NULL },
    { &listed, { HOST("faces.example"), FROM("http://app.example") }, "server.cors_origins" },
    { &listed, { HOST("faces.example"), FROM("https://app.example:8443") }, "server.cors_origins" },
    { &listed, { HOST("faces.example"), FROM("https://sub.app.example") }, "server.cors_origins" },
    { &listed, { HOST("faces.example"), FROM("http://web.example") }, "server.cors_origins" },
    { &listed, { HOST("app.example"), FROM("http://app.example") }, NULL }, /* host of a listed origin */
    /* A proxy changes Host: the browser reports the same origin. */
    { &plain, { HOST("127.0.0.1:5002"), FROM("https://faces.example"), SITE("same-origin") }, NULL },
    /* DNS rebinding: the page has the same origin, under a host that is not allowed. */
    { &plain, { HOST("evil.example:5002"), FROM("http://evil.example:5002") }, "server.allowed_hosts" },
    { &plain, { HOST("evil.example:5002"), FROM("http://evil.example:5002"), SITE("same-origin") }, "\"evil.example" },
    { &plain, { HOST("pi.evil.example"), SITE("same-origin") }, "server.allowed_hosts" },
    { &plain, { HOST("127.0.0.1.evil.example"), SITE("same-origin") }, "server.allowed_hosts" },
    { &plain, { HOST("a b"), SITE("same-origin") }, "server.allowed_hosts" },
    /* A list of hosts replaces the default hosts. */
    { &listed, { HOST("localhost"), FROM("http://localhost") }, "server.allowed_hosts" },
    { &listed, { HOST("10.0.0.1"), FROM("http://10.0.0.1") }, "server.allowed_hosts" },
    { &listed, { HOST("pi"), FROM("http://pi") }, "server.allowed_hosts" },
};

static void test_changes(void **state)
{
    (void) state;
    assert_true(HS_ARRAY_LEN(rows) >= 30);
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        struct hs_error err = { 0 };
        int r = hs_access_check_change(rows[i].access, &rows[i].source, &err);
        if (r != (rows[i].refused ? HS_EFORBIDDEN : 0) || !strstr(err.message, rows[i].refused ? rows[i].refused : ""))
            fail_msg("row %zu: %d %s", i, r, err.message);
    }
}

/* Accepts the machine name with and without its domain, and the host of the setting. */
static void test_own_names(void **state)
{
    (void) state;
    struct hs_http_access access = { .own_host = "faces.lan", .machine = "raspberrypi.fritz.box" };
    static const char *const own[] = { "raspberrypi.fritz.box", "raspberrypi", "raspberrypi.local", "faces.lan:5002" };
    struct hs_http_source source = { .fetch_site = "same-origin" };
    for (size_t i = 0; i < HS_ARRAY_LEN(own); i++) {
        source.host = own[i];
        assert_int_equal(hs_access_check_change(&access, &source, NULL), 0);
    }
    source.host = "fritz.box";
    assert_int_equal(hs_access_check_change(&access, &source, NULL), HS_EFORBIDDEN);
    access.machine[0] = '\0';
    source.host = ".local";
    assert_int_equal(hs_access_check_change(&access, &source, NULL), HS_EFORBIDDEN);
}

static void test_admin(void **state)
{
    (void) state;
    static const struct {
        enum hs_http_admin admin;
        struct hs_http_source source;
        const char *refused;
    } cases[] = {
        { HS_HTTP_ADMIN_LOCAL, { .address = LOOPBACK }, NULL },
        { HS_HTTP_ADMIN_LOCAL, { .address = "::1" }, NULL },
        { HS_HTTP_ADMIN_LOCAL, { .address = "192.168.1.7" }, "server.admin is local" },
        { HS_HTTP_ADMIN_LOCAL, { .address = "" }, "server.admin is local" },
        { HS_HTTP_ADMIN_LOCAL, { .address = LOOPBACK, .proxied = true }, "server.admin is local" },
        { HS_HTTP_ADMIN_OFF, { .address = LOOPBACK }, "server.admin is off" },
        /* With API keys, the scope decides, not the place. */
        { HS_HTTP_ADMIN_LOCAL, { .address = "192.168.1.7", .keyed = true, .admin_key = true }, NULL },
        { HS_HTTP_ADMIN_LOCAL, { .address = LOOPBACK, .proxied = true, .keyed = true, .admin_key = true }, NULL },
        { HS_HTTP_ADMIN_LOCAL, { .address = LOOPBACK, .keyed = true }, "scope admin" },
        { HS_HTTP_ADMIN_ALL, { .address = LOOPBACK, .keyed = true }, "scope admin" },
        { HS_HTTP_ADMIN_OFF, { .address = LOOPBACK, .keyed = true, .admin_key = true }, "server.admin is off" },
        { HS_HTTP_ADMIN_ALL,
          { .address = LOOPBACK, .keyed = true, .admin_key = true, HOST("127.0.0.1"), FROM("http://evil.example") },
          "server.cors_origins" },
        { HS_HTTP_ADMIN_ALL, { .address = "192.168.1.7" }, NULL },
        { HS_HTTP_ADMIN_ALL, { .address = "192.168.1.7", .proxied = true }, NULL },
        /* A page in a browser on this machine is not an administrator. */
        { HS_HTTP_ADMIN_LOCAL,
          { .address = LOOPBACK, HOST("localhost"), FROM("http://evil.example") },
          "cors_origins" },
        { HS_HTTP_ADMIN_ALL, { .address = LOOPBACK, HOST("localhost"), FROM("http://evil.example") }, "cors_origins" },
        { HS_HTTP_ADMIN_ALL, { .address = LOOPBACK, HOST("evil.example"), SITE("same-origin") }, "allowed_hosts" },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        const struct hs_http_access access = { .admin = cases[i].admin };
        struct hs_error err = { 0 };
        int r = hs_access_check_admin(&access, &cases[i].source, &err);
        if (r != (cases[i].refused ? HS_EFORBIDDEN : 0) ||
            !strstr(err.message, cases[i].refused ? cases[i].refused : ""))
            fail_msg("case %zu: %d %s", i, r, err.message);
    }
}

static void test_allow_origin(void **state)
{
    (void) state;
    const struct hs_http_access some = { .origins = "https://app.example" };
    assert_null(hs_access_allow_origin(&plain, "https://app.example"));
    assert_string_equal(hs_access_allow_origin(&some, "https://app.example"), "https://app.example");
    assert_null(hs_access_allow_origin(&some, "https://other.example"));
    assert_null(hs_access_allow_origin(&some, "null"));
    assert_null(hs_access_allow_origin(&some, NULL));
    assert_string_equal(hs_access_allow_origin(&listed, "https://app.example"), "https://app.example");
    assert_string_equal(hs_access_allow_origin(&listed, "https://other.example"), "*");
    assert_string_equal(hs_access_allow_origin(&listed, "null"), "*");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_own_names),
        cmocka_unit_test(test_admin),
        cmocka_unit_test(test_allow_origin),
    };
    return HS_RUN_TESTS(tests);
}
