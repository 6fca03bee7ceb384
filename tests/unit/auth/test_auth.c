#include "../unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <utime.h>

#include "../alloc_fail.h"
#include "auth/auth.h"
#include "auth/key_file.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

static char folder[] = "/tmp/hs-auth-XXXXXX", path[64];
static char camera[HS_KEY_TEXT_SIZE], admin[HS_KEY_TEXT_SIZE];

struct added {
    const char *name;
    unsigned scopes;
    int64_t expires_s;
    double rate;
    char *text;
};

static int add(struct hs_keyring *ring, void *arg, struct hs_error *err)
{
    const struct added *added = arg;
    struct hs_key key;
    hs_key_create(ring, time(NULL), &key, added->text);
    hs_str_copy(key.name, sizeof(key.name), added->name);
    key.scopes = added->scopes;
    key.expires_s = added->expires_s;
    key.requests_per_second = added->rate;
    return hs_keyring_add(ring, &key, err);
}

static void add_key(const char *name, unsigned scopes, int64_t expires_s, double rate, char *text)
{
    struct added added = { name, scopes, expires_s, rate, text };
    struct hs_error err;
    if (hs_key_file_change(path, true, add, &added, &err) < 0)
        fail_msg("%s", err.message);
}

static int remove_all(struct hs_keyring *ring, void *arg, struct hs_error *err)
{
    (void) arg;
    (void) err;
    ring->count = 0;
    return 0;
}

static int set_up(void **state)
{
    (void) state;
    unlink(path);
    add_key("camera", hs_scope_bit(HS_SCOPE_DETECT), 0, -1, camera);
    add_key("admin", hs_scope_bit(HS_SCOPE_ADMIN), 0, -1, admin);
    return 0;
}

static struct hs_auth *make(enum hs_auth_mode mode, double rate, int burst)
{
    struct hs_auth_options options = { mode, path, rate, burst };
    struct hs_auth *auth = NULL;
    struct hs_error err;
    if (hs_auth_create(&options, &auth, &err) < 0)
        fail_msg("%s", err.message);
    return auth;
}

static struct hs_auth_result result;
static struct hs_error error;

static int ask(struct hs_auth *auth, const char *authorization, const char *api_key, enum hs_scope scope)
{
    const struct hs_auth_request request = {
        .authorization = authorization,
        .api_key = api_key,
        .address = "192.0.2.1",
        .scope = scope,
        .is_limited = true,
    };
    return hs_auth_check(auth, &request, &result, &error);
}

static void keys_are_accepted_in_both_headers(void **state)
{
    (void) state;
    struct hs_auth *auth = make(HS_AUTH_AUTO, 0, 0);
    char bearer[80], lower[80], basic[] = "Basic dXNlcjpwYXNz";
    hs_str_format(bearer, sizeof(bearer), "Bearer %s", camera);
    hs_str_format(lower, sizeof(lower), "bearer  %s", camera);
    assert_int_equal(ask(auth, bearer, NULL, HS_SCOPE_DETECT), 0);
    assert_string_equal(result.failed_id, "");
    assert_memory_equal(result.key_id, camera + 3, 8);
    assert_int_equal(result.scopes, hs_scope_bit(HS_SCOPE_DETECT));
    assert_int_equal(ask(auth, lower, NULL, HS_SCOPE_NONE), 0);
    assert_int_equal(ask(auth, NULL, camera, HS_SCOPE_NONE), 0);
    assert_int_equal(ask(auth, basic, camera, HS_SCOPE_NONE), 0); /* a proxy's own login */
    assert_int_equal(ask(auth, basic, NULL, HS_SCOPE_NONE), HS_EUNAUTHORIZED);
    assert_int_equal(result.failure, HS_AUTH_MISSING);
    assert_int_equal(ask(auth, "Bearer x", camera, HS_SCOPE_NONE), HS_EUNAUTHORIZED); /* Bearer takes precedence */
    assert_int_equal(ask(auth, camera, NULL, HS_SCOPE_NONE), HS_EUNAUTHORIZED);
    hs_auth_destroy(auth);
}

static void a_missing_scope_is_named(void **state)
{
    (void) state;
    struct hs_auth *auth = make(HS_AUTH_AUTO, 0, 0);
    assert_int_equal(ask(auth, NULL, camera, HS_SCOPE_GALLERY_WRITE), HS_EFORBIDDEN);
    assert_string_equal(error.message, "The API key does not have the scope gallery:write");
    assert_int_equal(ask(auth, NULL, admin, HS_SCOPE_DETECT), HS_EFORBIDDEN); /* admin contains no other scope */
    assert_int_equal(ask(auth, NULL, admin, HS_SCOPE_ADMIN), 0);
    hs_auth_destroy(auth);
}

static void without_a_file_no_key_is_needed(void **state)
{
    (void) state;
    unlink(path);
    struct hs_auth *auth = make(HS_AUTH_AUTO, 0, 0);
    assert_false(hs_auth_needs_keys(auth, NULL));
    assert_false(hs_auth_is_active(auth));
    assert_int_equal(ask(auth, "Bearer anything", NULL, HS_SCOPE_ADMIN), 0);
    assert_int_equal(hs_auth_watch(auth, &error), 0);
    add_key("first", 0, 0, -1, camera);
    assert_int_equal(hs_auth_watch(auth, &error), 1);
    assert_true(hs_auth_needs_keys(auth, NULL));
    assert_int_equal(ask(auth, NULL, NULL, HS_SCOPE_NONE), HS_EUNAUTHORIZED);
    hs_auth_destroy(auth);
}

static void mode_keys_needs_keys_without_a_file(void **state)
{
    (void) state;
    unlink(path);
    struct hs_auth *auth = make(HS_AUTH_KEYS, 0, 0);
    size_t count = 5;
    assert_true(hs_auth_needs_keys(auth, &count));
    assert_int_equal(count, 0);
    assert_int_equal(ask(auth, NULL, camera, HS_SCOPE_NONE), HS_EUNAUTHORIZED);
    hs_auth_destroy(auth);
}

static void mode_off_needs_none(void **state)
{
    (void) state;
    struct hs_auth *auth = make(HS_AUTH_OFF, 0, 0);
    assert_int_equal(ask(auth, NULL, NULL, HS_SCOPE_ADMIN), 0);
    assert_int_equal(hs_auth_watch(auth, &error), 0);
    hs_auth_destroy(auth);
}

static void removed_keys_and_files_never_open_the_service(void **state)
{
    (void) state;
    struct hs_auth *auth = make(HS_AUTH_AUTO, 0, 0);
    assert_int_equal(ask(auth, NULL, camera, HS_SCOPE_NONE), 0);
    assert_int_equal(hs_key_file_change(path, false, remove_all, NULL, &error), 0);
    assert_int_equal(hs_auth_watch(auth, &error), 1);
    assert_int_equal(ask(auth, NULL, camera, HS_SCOPE_NONE), HS_EUNAUTHORIZED);
    assert_int_equal(ask(auth, NULL, NULL, HS_SCOPE_NONE), HS_EUNAUTHORIZED);
    set_up(NULL);
    assert_int_equal(hs_auth_watch(auth, &error), 1);
    assert_int_equal(ask(auth, NULL, camera, HS_SCOPE_NONE), 0);
    unlink(path);
    assert_int_equal(hs_auth_watch(auth, &error), 1);
    assert_int_equal(ask(auth, NULL, camera, HS_SCOPE_NONE), HS_EUNAUTHORIZED);
    assert_int_equal(hs_auth_watch(auth, &error), 0);
    hs_auth_destroy(auth);
}

static void a_damaged_file_keeps_the_keys_and_is_reported_once(void **state)
{
    (void) state;
    struct hs_auth *auth = make(HS_AUTH_AUTO, 0, 0);
    assert_int_equal(hs_file_write_atomic(path, "{", 1, 0600, &error), 0);
    assert_int_equal(hs_auth_watch(auth, &error), HS_EINVAL);
    assert_int_equal(hs_auth_watch(auth, &error), 0);
    assert_int_equal(ask(auth, NULL, camera, HS_SCOPE_NONE), 0);
    set_up(NULL);
    chmod(path, 0644);
    assert_int_equal(hs_auth_watch(auth, &error), HS_EFORBIDDEN);
    assert_non_null(strstr(error.message, "chmod 600"));
    chmod(path, 0600);
    assert_int_equal(hs_auth_watch(auth, &error), 1);
    assert_int_equal(ask(auth, NULL, camera, HS_SCOPE_NONE), 0);
    hs_auth_destroy(auth);
}

static void a_change_applies_after_a_failure_has_passed(void **state)
{
    (void) state;
    struct hs_auth *auth = make(HS_AUTH_AUTO, 0, 0);
    assert_int_equal(hs_key_file_change(path, false, remove_all, NULL, &error), 0);
    hs_alloc_fail_arm(1);
    assert_int_equal(hs_auth_watch(auth, &error), HS_ENOMEM);
    assert_true(hs_alloc_fail_disarm());
    hs_alloc_fail_arm(1);
    assert_int_equal(hs_auth_watch(auth, &error), 0); /* reported already */
    assert_true(hs_alloc_fail_disarm());
    assert_int_equal(ask(auth, NULL, camera, HS_SCOPE_NONE), 0);
    assert_int_equal(hs_auth_watch(auth, &error), 1);
    assert_int_equal(ask(auth, NULL, camera, HS_SCOPE_NONE), HS_EUNAUTHORIZED);
    hs_auth_destroy(auth);
}

static void bad_files_prevent_the_start(void **state)
{
    (void) state;
    struct hs_auth *auth = NULL;
    struct hs_auth_options options = { HS_AUTH_AUTO, path, 0, 0 };
    chmod(path, 0604);
    assert_int_equal(hs_auth_create(&options, &auth, &error), HS_EFORBIDDEN);
    assert_int_equal(hs_file_write_atomic(path, "{}", 2, 0600, &error), 0);
    assert_int_equal(hs_auth_create(&options, &auth, &error), HS_EINVAL);
    options.keys_file = "credential:keys";
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_int_equal(hs_auth_create(&options, &auth, &error), HS_ENOTFOUND);
    options.keys_file = "relative.json";
    assert_int_equal(hs_auth_create(&options, &auth, &error), HS_EINVAL);
    options = (struct hs_auth_options) { HS_AUTH_KEYS, "", 0, 0 };
    assert_int_equal(hs_auth_create(&options, &auth, &error), HS_EINVAL);
    assert_null(auth);
}

static void a_credential_of_systemd_is_read(void **state)
{
    (void) state;
    struct hs_auth *auth = NULL;
    struct hs_auth_options options = { HS_AUTH_AUTO, "credential:keys.json", 0, 0 };
    chmod(folder, 0700);
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    assert_int_equal(hs_auth_create(&options, &auth, &error), 0);
    assert_int_equal(ask(auth, NULL, camera, HS_SCOPE_DETECT), 0);
    assert_int_equal(ask(auth, NULL, NULL, HS_SCOPE_DETECT), HS_EUNAUTHORIZED);
    unsetenv("CREDENTIALS_DIRECTORY");
    hs_auth_destroy(auth);
}

static void a_reload_changes_all_or_nothing(void **state)
{
    (void) state;
    struct hs_auth *auth = make(HS_AUTH_AUTO, 0, 0);
    struct hs_auth_options off = { HS_AUTH_OFF, path, 0, 0 }, limited = { HS_AUTH_AUTO, path, 0.01, 1 };
    struct hs_auth_options bad = { HS_AUTH_AUTO, "relative", 0, 0 }, gone = { HS_AUTH_AUTO, "/nonexistent/k", 0, 0 };
    assert_int_equal(hs_auth_prepare(auth, &bad, &error), HS_EINVAL);
    assert_int_equal(hs_auth_prepare(auth, &off, &error), 0);
    hs_auth_abandon(auth);
    assert_int_equal(ask(auth, NULL, NULL, HS_SCOPE_NONE), HS_EUNAUTHORIZED);
    assert_int_equal(hs_auth_prepare(auth, &gone, &error), 0); /* keys stay needed */
    hs_auth_commit(auth);
    assert_int_equal(ask(auth, NULL, camera, HS_SCOPE_NONE), HS_EUNAUTHORIZED);
    assert_int_equal(hs_auth_prepare(auth, &limited, &error), 0);
    hs_auth_commit(auth);
    assert_int_equal(ask(auth, NULL, camera, HS_SCOPE_NONE), 0);
    assert_int_equal(ask(auth, NULL, camera, HS_SCOPE_NONE), HS_ERATE);
    assert_int_equal(hs_auth_prepare(auth, &off, &error), 0);
    hs_auth_commit(auth);
    assert_int_equal(ask(auth, NULL, NULL, HS_SCOPE_ADMIN), 0);
    hs_auth_destroy(auth);
}

static void failed_attempts_are_slowed_and_valid_keys_are_not(void **state)
{
    (void) state;
    struct hs_auth *auth = make(HS_AUTH_AUTO, 0, 0);
    char wrong[HS_KEY_TEXT_SIZE];
    memcpy(wrong, camera, sizeof(wrong));
    wrong[HS_KEY_TEXT_SIZE - 2] = wrong[HS_KEY_TEXT_SIZE - 2] == 'a' ? 'b' : 'a';
    for (int i = 0; i < HS_AUTH_ATTEMPTS; i++) {
        assert_int_equal(ask(auth, NULL, wrong, HS_SCOPE_DETECT), HS_EUNAUTHORIZED);
        assert_int_equal(result.failure, HS_AUTH_INVALID);
        assert_memory_equal(result.failed_id, camera + 3, 8);
    }
    assert_int_equal(ask(auth, NULL, wrong, HS_SCOPE_DETECT), HS_ERATE);
    assert_int_equal(result.failure, HS_AUTH_ATTEMPTED);
    assert_in_range(result.retry_after_s, 1, HS_AUTH_ATTEMPT_S);
    assert_int_equal(ask(auth, NULL, camera, HS_SCOPE_DETECT), 0);
    assert_int_equal(ask(auth, NULL, NULL, HS_SCOPE_DETECT), HS_EUNAUTHORIZED); /* a missing key does not count */
    const struct hs_auth_request other = { .api_key = wrong, .address = "192.0.2.2" };
    assert_int_equal(hs_auth_check(auth, &other, &result, &error), HS_EUNAUTHORIZED);
    assert_int_equal(hs_auth_take_refused(auth), HS_AUTH_ATTEMPTS + 2);
    assert_int_equal(hs_auth_take_refused(auth), 0);
    hs_auth_destroy(auth);
}

static void open_routes_are_answered_without_a_key(void **state)
{
    (void) state;
    struct hs_auth *auth = make(HS_AUTH_AUTO, 0.001, 1);
    struct hs_auth_request request = { .address = "192.0.2.1", .is_open = true };
    for (int i = 0; i < 2 * HS_AUTH_ATTEMPTS; i++) {
        request.api_key = i % 2 ? "wrong" : NULL;
        assert_int_equal(hs_auth_check(auth, &request, &result, &error), 0);
        assert_true(result.needs_keys);
        assert_string_equal(result.key_id, "");
    }
    request.api_key = camera;
    assert_int_equal(hs_auth_check(auth, &request, &result, &error), 0);
    assert_memory_equal(result.key_id, camera + 3, 8);
    hs_auth_destroy(auth);
}

static void rates_are_per_key_or_address(void **state)
{
    (void) state;
    char fast[HS_KEY_TEXT_SIZE], free_of_limits[HS_KEY_TEXT_SIZE];
    add_key("fast", 0, 0, 0.002, fast);
    add_key("unlimited", 0, 0, 0, free_of_limits);
    struct hs_auth *auth = make(HS_AUTH_AUTO, 0.001, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ask(auth, NULL, camera, HS_SCOPE_NONE), 0);
        assert_true(result.limited);
        assert_float_equal(result.rate.burst, 2, 0);
        assert_float_equal(result.state.left, 1 - i, 0.01);
    }
    assert_int_equal(ask(auth, NULL, camera, HS_SCOPE_NONE), HS_ERATE);
    assert_in_range(result.retry_after_s, 990, 1000);
    assert_int_equal(ask(auth, NULL, admin, HS_SCOPE_NONE), 0); /* another key of the same address */
    assert_int_equal(ask(auth, NULL, fast, HS_SCOPE_NONE), 0);
    assert_int_equal(ask(auth, NULL, fast, HS_SCOPE_NONE), HS_ERATE);
    assert_in_range(result.retry_after_s, 490, 500);
    for (int i = 0; i < 20; i++)
        assert_int_equal(ask(auth, NULL, free_of_limits, HS_SCOPE_NONE), 0);
    assert_false(result.limited);
    assert_int_equal(ask(auth, NULL, NULL, HS_SCOPE_NONE), HS_EUNAUTHORIZED);
    assert_int_equal(ask(auth, NULL, NULL, HS_SCOPE_NONE), HS_EUNAUTHORIZED);
    assert_int_equal(ask(auth, NULL, NULL, HS_SCOPE_NONE), HS_ERATE);
    hs_auth_destroy(auth);
}

static void an_expired_key_is_refused(void **state)
{
    (void) state;
    char old[HS_KEY_TEXT_SIZE];
    add_key("old", 0, time(NULL) - 1, -1, old);
    struct hs_auth *auth = make(HS_AUTH_AUTO, 0, 0);
    assert_int_equal(ask(auth, NULL, old, HS_SCOPE_NONE), HS_EUNAUTHORIZED);
    assert_string_equal(error.message, "The API key has expired");
    assert_string_equal(result.key_id, "");
    hs_auth_destroy(auth);
}

static void the_file_is_private_and_changes_are_whole(void **state)
{
    (void) state;
    struct stat st;
    char missing[96];
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    chmod(path, 0666);
    assert_int_equal(hs_key_file_change(path, false, remove_all, NULL, &error), 0);
    stat(path, &st);
    assert_int_equal(st.st_mode & 07777, 0600);
    hs_str_format(missing, sizeof(missing), "%s/none.json", folder);
    assert_int_equal(hs_key_file_change(missing, false, remove_all, NULL, &error), HS_ENOTFOUND);
    assert_false(hs_file_exists(missing));
    hs_file_write_atomic(path, "{", 1, 0600, &error);
    assert_int_equal(hs_key_file_change(path, true, remove_all, NULL, &error), HS_EINVAL); /* not overwritten */
    stat(path, &st);
    assert_int_equal(st.st_size, 1);
}

/* A service that lacks memory does not start, rather than to start without its keys. */
static int create_and_ask(void *arg)
{
    (void) arg;
    struct hs_auth_options options = { HS_AUTH_AUTO, path, 1000, 0 };
    struct hs_auth *auth = NULL;
    int r = hs_auth_create(&options, &auth, &error);
    if (r < 0)
        return r;
    assert_true(hs_auth_needs_keys(auth, NULL));
    assert_int_equal(ask(auth, NULL, camera, HS_SCOPE_DETECT), 0);
    r = hs_auth_prepare(auth, &options, &error);
    if (r == 0)
        hs_auth_commit(auth);
    assert_int_equal(ask(auth, NULL, NULL, HS_SCOPE_DETECT), HS_EUNAUTHORIZED);
    hs_auth_destroy(auth);
    return r;
}

static int change_file(void *arg)
{
    (void) arg;
    char text[HS_KEY_TEXT_SIZE];
    struct added added = { "more", 0, 0, -1, text };
    return hs_key_file_change(path, true, add, &added, &error);
}

static void failed_allocations_are_reported(void **state)
{
    (void) state;
    assert_in_range(hs_fail_each_allocation(create_and_ask, NULL), 10, 1000);
    assert_in_range(hs_fail_each_allocation(change_file, NULL), 5, 1000);
    struct hs_keyring ring = { 0 };
    assert_int_equal(hs_key_file_list(path, &ring, &error), 0); /* whole after all of them */
    assert_true(ring.count >= 3);
    hs_keyring_finish(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(keys_are_accepted_in_both_headers, set_up),
        cmocka_unit_test_setup(a_missing_scope_is_named, set_up),
        cmocka_unit_test_setup(without_a_file_no_key_is_needed, set_up),
        cmocka_unit_test_setup(mode_keys_needs_keys_without_a_file, set_up),
        cmocka_unit_test_setup(mode_off_needs_none, set_up),
        cmocka_unit_test_setup(removed_keys_and_files_never_open_the_service, set_up),
        cmocka_unit_test_setup(a_damaged_file_keeps_the_keys_and_is_reported_once, set_up),
        cmocka_unit_test_setup(a_change_applies_after_a_failure_has_passed, set_up),
        cmocka_unit_test_setup(bad_files_prevent_the_start, set_up),
        cmocka_unit_test_setup(a_credential_of_systemd_is_read, set_up),
        cmocka_unit_test_setup(a_reload_changes_all_or_nothing, set_up),
        cmocka_unit_test_setup(failed_attempts_are_slowed_and_valid_keys_are_not, set_up),
        cmocka_unit_test_setup(open_routes_are_answered_without_a_key, set_up),
        cmocka_unit_test_setup(rates_are_per_key_or_address, set_up),
        cmocka_unit_test_setup(an_expired_key_is_refused, set_up),
        cmocka_unit_test_setup(the_file_is_private_and_changes_are_whole, set_up),
        cmocka_unit_test_setup(failed_allocations_are_reported, set_up),
    };
    if (!mkdtemp(folder))
        return 1;
    hs_str_format(path, sizeof(path), "%s/keys.json", folder);
    int r = HS_RUN_TESTS(tests);
    char lock[96];
    hs_str_format(lock, sizeof(lock), "%s.lock", path);
    unlink(path);
    unlink(lock);
    rmdir(folder);
    return r;
}
