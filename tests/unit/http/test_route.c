#include "unit.h"

#include <string.h>

#include "http/route.h"

static void handle(struct hs_http_request *req)
{
    (void) req;
}

static const struct hs_http_route routes[] = {
    { "GET", "/health", handle, 0, HS_BODY_NONE, { 0 } },
    { "POST", "/v1/detect", handle, 0, HS_BODY_JSON, { 0 } },
    { "PUT", "/v1/detect", handle, 0, HS_BODY_JSON, { 0 } },
    { "GET", "/items/{id}", handle, 0, HS_BODY_NONE, { 0 } },
    { "GET", "/items/special", handle, 0, HS_BODY_NONE, { 0 } },
};

static int find(const char *method, const char *path, const char **ret_param, char allow[HS_HTTP_ALLOW_SIZE])
{
    const struct hs_http_route *route = NULL;
    int r = hs_http_route_find(routes, 5, method, path, &route, ret_param, allow);
    return r < 0 ? r : (int) (route - routes);
}

static void test_find(void **state)
{
    (void) state;
    const char *param = NULL;
    char allow[HS_HTTP_ALLOW_SIZE];
    assert_int_equal(find("GET", "/health", &param, allow), 0);
    assert_null(param);
    assert_int_equal(find("HEAD", "/health", &param, allow), 0);
    assert_int_equal(find("POST", "/v1/detect", &param, allow), 1);
    assert_int_equal(find("PUT", "/v1/detect", &param, allow), 2);
    assert_int_equal(find("GET", "/items/a b", &param, allow), 3);
    assert_string_equal(param, "a b");
    assert_int_equal(find("GET", "/items/", &param, allow), HS_ENOTFOUND);
    assert_int_equal(find("GET", "/items", &param, allow), HS_ENOTFOUND);
    assert_int_equal(find("GET", "/items/a/b", &param, allow), HS_ENOTFOUND);
    assert_int_equal(find("GET", "/healthy", &param, allow), HS_ENOTFOUND);
    assert_int_equal(find("GET", "", &param, allow), HS_ENOTFOUND);
}

static void test_allow(void **state)
{
    (void) state;
    const char *param;
    char allow[HS_HTTP_ALLOW_SIZE];
    assert_int_equal(find("POST", "/health", &param, allow), HS_EMETHOD);
    assert_string_equal(allow, "GET, HEAD");
    assert_int_equal(find("GET", "/v1/detect", &param, allow), HS_EMETHOD);
    assert_string_equal(allow, "POST, PUT");
    assert_int_equal(find("HEAD", "/v1/detect", &param, allow), HS_EMETHOD);
    /* Methods are case-sensitive. */
    assert_int_equal(find("get", "/health", &param, allow), HS_EMETHOD);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_find), cmocka_unit_test(test_allow) };
    return HS_RUN_TESTS(tests);
}
