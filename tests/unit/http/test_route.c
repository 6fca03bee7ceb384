#include "unit.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "http/route.h"

static void handle(struct hs_http_request *req)
{
    (void) req;
}

static const struct hs_http_route routes[] = {
    { .method = "GET", .path = "/health", .handle = handle },
    { .method = "POST", .path = "/v1/detect", .handle = handle, .body = HS_BODY_JSON },
    { .method = "PUT", .path = "/v1/detect", .handle = handle, .body = HS_BODY_JSON },
    { .method = "GET", .path = "/items/{id}", .handle = handle },
    { .method = "GET", .path = "/items/special", .handle = handle },
    { .method = "DELETE", .path = "/items/{id}/parts/{part}", .handle = handle },
};

static char text[64];
static const char *params[HS_HTTP_PARAMS_MAX];

static int find(const char *method, const char *path, const char **ret_param, char allow[HS_HTTP_ALLOW_SIZE])
{
    const struct hs_http_route *route = NULL;
    hs_str_copy(text, sizeof(text), path);
    int r = hs_http_route_find(routes, HS_ARRAY_LEN(routes), method, text, &route, params, allow);
    if (r == 0)
        *ret_param = params[0];
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
    assert_int_equal(find("GET", "/items/a%20b", &param, allow), 3);
    assert_string_equal(param, "a b");
    assert_int_equal(find("GET", "/items/", &param, allow), HS_ENOTFOUND);
    assert_int_equal(find("GET", "/items", &param, allow), HS_ENOTFOUND);
    assert_int_equal(find("GET", "/items/a/b", &param, allow), HS_ENOTFOUND);
    assert_int_equal(find("GET", "/healthy", &param, allow), HS_ENOTFOUND);
    assert_int_equal(find("GET", "", &param, allow), HS_ENOTFOUND);
}

static void test_params(void **state)
{
    (void) state;
    const char *param = NULL;
    char allow[HS_HTTP_ALLOW_SIZE];
    assert_int_equal(find("DELETE", "/items/Ann%20B/parts/7", &param, allow), 5);
    assert_string_equal(params[0], "Ann B");
    assert_string_equal(params[1], "7");
    /* An encoded slash belongs to the name and is decoded only once. */
    assert_int_equal(find("GET", "/items/a%2Fb%252f", &param, allow), 3);
    assert_string_equal(param, "a/b%2f");
    assert_null(params[1]);
    assert_int_equal(find("GET", "/%69tems/x", &param, allow), 3);
    assert_int_equal(find("GET", "/items%2fx", &param, allow), HS_ENOTFOUND);
    assert_int_equal(find("DELETE", "/items/a/parts/", &param, allow), HS_ENOTFOUND);
    assert_int_equal(find("DELETE", "/items//parts/1", &param, allow), HS_ENOTFOUND);
    assert_int_equal(find("DELETE", "/items/a/parts/1/", &param, allow), HS_ENOTFOUND);
    assert_int_equal(find("DELETE", "/items/a/part/1", &param, allow), HS_ENOTFOUND);
    assert_int_equal(find("GET", "/items/a/parts/1", &param, allow), HS_EMETHOD);
    assert_string_equal(allow, "DELETE, OPTIONS");
    assert_int_equal(find("GET", "/items/%", &param, allow), 3);
    assert_string_equal(param, "%");
}

static void test_allow(void **state)
{
    (void) state;
    const char *param;
    char allow[HS_HTTP_ALLOW_SIZE];
    assert_int_equal(find("POST", "/health", &param, allow), HS_EMETHOD);
    assert_string_equal(allow, "GET, HEAD, OPTIONS");
    assert_int_equal(find("GET", "/v1/detect", &param, allow), HS_EMETHOD);
    assert_string_equal(allow, "POST, PUT, OPTIONS");
    assert_int_equal(find("HEAD", "/v1/detect", &param, allow), HS_EMETHOD);
    assert_int_equal(find("OPTIONS", "/items/special", &param, allow), HS_EMETHOD);
    assert_string_equal(allow, "GET, HEAD, OPTIONS"); /* two routes, each method once */
    assert_int_equal(find("OPTIONS", "/nothing", &param, allow), HS_ENOTFOUND);
    assert_int_equal(find("OPTIONS", "*", &param, allow), HS_EMETHOD);
    assert_string_equal(allow, "GET, HEAD, POST, PUT, DELETE, OPTIONS");
    assert_int_equal(find("GET", "*", &param, allow), HS_EMETHOD);
    /* Methods are case-sensitive. */
    assert_int_equal(find("get", "/health", &param, allow), HS_EMETHOD);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_find), cmocka_unit_test(test_params),
                                        cmocka_unit_test(test_allow) };
    return HS_RUN_TESTS(tests);
}
