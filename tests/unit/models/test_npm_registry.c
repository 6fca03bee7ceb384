#include "../unit.h"

#include "base/mem.h"
#include "folder.h"
#include "models/npm_registry.h"

static struct hs_npm_location found;
static struct hs_error err;

/* npm's user configuration is <folder>/user, the global one <folder>/global; NULL: the file does
 * not exist. */
static int locate(const char *folder, const char *user, const char *global, const char *package)
{
    if (user)
        folder_write(folder, "user", user, strlen(user));
    if (global)
        folder_write(folder, "global", global, strlen(global));
    setenv("npm_config_userconfig", folder_path(folder, "user"), 1);
    setenv("npm_config_globalconfig", folder_path(folder, "global"), 1);
    found = (struct hs_npm_location) { 0 };
    err = (struct hs_error) { 0 };
    return hs_npm_locate(package, "1.2.3", &found, &err);
}

static int forget_environment(void **state)
{
    static const char *const names[] = { "npm_config_registry", "NPM_CONFIG_REGISTRY", "npm_config_https_proxy",
                                         "npm_config_proxy",    "npm_config_noproxy",  "npm_config_cafile" };
    for (size_t i = 0; i < HS_ARRAY_LEN(names); i++)
        unsetenv(names[i]);
    return folder_make(state);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, forget_environment, folder_remove)

static void the_public_registry(void **state)
{
    assert_int_equal(locate(*state, NULL, NULL, "some-thing"), 0);
    assert_string_equal(found.url, "https://" HS_NPM_HOST "/some-thing/-/some-thing-1.2.3.tgz");
    assert_string_equal(found.authorization, "");
    assert_string_equal(found.proxy, "");
    assert_int_equal(locate(*state, NULL, NULL, "@some/thing"), 0);
    assert_string_equal(found.url, "https://" HS_NPM_HOST "/@some/thing/-/thing-1.2.3.tgz");
}

static void file_precedence(void **state)
{
    const char *user = "; a comment\n# registry=https://no.example/\n registry = \"https://user.example/npm//\" \r\n",
               *global = "registry=https://global.example/\nproxy=http://proxy.example:3128\ncafile=/ca.pem\n";
    assert_int_equal(locate(*state, NULL, global, "a"), 0);
    assert_string_equal(found.url, "https://global.example/a/-/a-1.2.3.tgz");
    assert_int_equal(locate(*state, user, global, "a"), 0);
    assert_string_equal(found.url, "https://user.example/npm/a/-/a-1.2.3.tgz");
    assert_string_equal(found.proxy, "http://proxy.example:3128");
    assert_string_equal(found.ca_file, "/ca.pem");
    setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:4873", 1);
    setenv("npm_config_https_proxy", "http://secure.example", 1);
    setenv("npm_config_noproxy", "localhost", 1);
    assert_int_equal(locate(*state, user, global, "a"), 0);
    assert_string_equal(found.url, "http://127.0.0.1:4873/a/-/a-1.2.3.tgz");
    assert_string_equal(found.proxy, "http://proxy.example:3128");
    assert_string_equal(found.no_proxy, "localhost");
    unsetenv("NPM_CONFIG_REGISTRY");
    assert_int_equal(locate(*state, user, global, "a"), 0);
    assert_string_equal(found.proxy, "http://secure.example");
}

static void unset_values(void **state)
{
    assert_int_equal(locate(*state, "proxy=null\nnoproxy=\ncafile = null ; comment\nregistry\n", NULL, "a"), 0);
    assert_string_equal(found.proxy, "");
    assert_string_equal(found.no_proxy, "");
    assert_string_equal(found.ca_file, "");
}

static void scopes_and_tokens(void **state)
{
    const char *user = "@own:registry=https://own.example:8443/deep/er\n"
                       "//own.example:8443/deep/:_authToken=${HS_TEST_TOKEN}\n"
                       "//own.example:8443/:_authToken=wrong\n"
                       "//" HS_NPM_HOST "/:_auth=dXNlcjpwdw==\n";
    setenv("HS_TEST_TOKEN", "s3cret=", 1);
    assert_int_equal(locate(*state, user, NULL, "@own/a"), 0);
    assert_string_equal(found.url, "https://own.example:8443/deep/er/@own/a/-/a-1.2.3.tgz");
    assert_string_equal(found.authorization, "Authorization: Bearer s3cret=");
    assert_int_equal(locate(*state, user, NULL, "@owner/a"), 0);
    assert_string_equal(found.authorization, "Authorization: Basic dXNlcjpwdw==");
    /* An unset variable is not expanded; a token cannot inject a header. */
    unsetenv("HS_TEST_TOKEN");
    assert_int_equal(locate(*state, user, NULL, "@own/a"), 0);
    assert_string_equal(found.authorization, "Authorization: Bearer ${HS_TEST_TOKEN}");
    setenv("HS_TEST_TOKEN", "a\r\nX: y", 1);
    assert_int_equal(locate(*state, user, NULL, "@own/a"), HS_EINVAL);
    assert_non_null(strstr(err.message, "//own.example:8443/deep/:_authToken"));
    assert_null(strstr(err.message, "X: y"));
    unsetenv("HS_TEST_TOKEN");
}

static void unusable_settings_are_rejected(void **state)
{
    char line[HS_NPM_TEXT_SIZE + 100];
    assert_int_equal(locate(*state, "registry=file:///etc", NULL, "a"), HS_EINVAL);
    assert_non_null(strstr(err.message, "npm's setting registry"));
    assert_int_equal(locate(*state, "@own:registry=none", NULL, "@own/a"), HS_EINVAL);
    assert_non_null(strstr(err.message, "@own:registry"));
    /* A line too long for an address; an empty file; a file without a final newline. */
    memset(line, 'x', sizeof(line));
    memcpy(line, "registry=https://", strlen("registry=https://"));
    line[sizeof(line) - 1] = '\0';
    assert_int_equal(locate(*state, line, NULL, "a"), 0);
    assert_string_equal(found.url, "https://" HS_NPM_HOST "/a/-/a-1.2.3.tgz");
    static const char *const odd[] = { "", "=", "registry", "registry=", "\n\n=\n", "registry=${", "registry=\"" };
    for (size_t i = 0; i < HS_ARRAY_LEN(odd); i++) {
        int r = locate(*state, odd[i], NULL, "a");
        assert_true(r == 0 || r == HS_EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_public_registry),
        TEST(file_precedence),
        TEST(unset_values),
        TEST(scopes_and_tokens),
        TEST(unusable_settings_are_rejected),
    };
    return HS_RUN_TESTS(tests);
}
