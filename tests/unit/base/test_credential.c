#include "../unit.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/credential.h"
#include "base/file.h"

enum { MAX = 32 };

static char folder[] = "/tmp/hs-test-credential-XXXXXX";
static char secret[PATH_MAX];

static int make_folder(void **state)
{
    (void) state;
    return mkdtemp(folder) && hs_path_join(secret, sizeof(secret), folder, "secret") ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void) state;
    char command[PATH_MAX];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

static void write_secret(const char *text, int mode)
{
    struct hs_error err;
    assert_int_equal(hs_file_write_atomic(secret, text, strlen(text), mode, &err), 0);
    assert_int_equal(chmod(secret, (mode_t) mode), 0);
}

static void assert_reads(const char *source, const char *expected)
{
    struct hs_error err;
    struct hs_buf buf;
    assert_int_equal(hs_credential_read(source, MAX, &buf, &err), 0);
    assert_string_equal(hs_buf_str(&buf), expected);
    assert_true(buf.wipe);
    hs_buf_finish(&buf);
}

/* The message must name the source, and never the content. */
static void assert_refused(const char *source, int code, const char *words)
{
    struct hs_error err;
    struct hs_buf buf;
    assert_int_equal(hs_credential_read(source, MAX, &buf, &err), code);
    assert_non_null(strstr(err.message, words));
    assert_null(strstr(err.message, "swordfish"));
}

static void a_private_file_is_read_without_its_line_feed(void **state)
{
    (void) state;
    write_secret("swordfish\n", 0600);
    assert_reads(secret, "swordfish");
    write_secret("swordfish", 0400);
    assert_reads(secret, "swordfish");
    write_secret("swordfish\n\n", 0600);
    assert_reads(secret, "swordfish\n");
    write_secret("", 0600);
    assert_reads(secret, "");
}

static void a_file_open_to_others_is_refused(void **state)
{
    (void) state;
    write_secret("swordfish", 0644);
    assert_refused(secret, HS_EFORBIDDEN, "mode 0644");
    write_secret("swordfish", 0604);
    assert_refused(secret, HS_EFORBIDDEN, "mode 0604");
    write_secret("swordfish", 0660);
    assert_refused(secret, HS_EFORBIDDEN, "mode 0660");
    write_secret("swordfish", 0640);
    if (geteuid() == 0)
        assert_reads(secret, "swordfish"); /* root's file with a group, as Debian keeps keys of TLS */
    else
        assert_refused(secret, HS_EFORBIDDEN, "mode 0640");
}

static void a_file_of_another_user_is_refused(void **state)
{
    (void) state;
    if (geteuid() != 0)
        skip();
    write_secret("swordfish", 0600);
    assert_int_equal(chown(secret, 12345, 0), 0);
    assert_refused(secret, HS_EFORBIDDEN, "belongs to another user");
    assert_int_equal(unlink(secret), 0);
}

static void a_size_above_the_limit_is_refused(void **state)
{
    (void) state;
    write_secret("0123456789abcdef0123456789abcdef\n", 0600);
    assert_reads(secret, "0123456789abcdef0123456789abcdef");
    write_secret("0123456789abcdef0123456789abcdefg", 0600);
    assert_refused(secret, HS_ETOOLARGE, "32 bytes");
    write_secret("0123456789abcdef0123456789abcdef0123456789abcdef", 0600);
    assert_refused(secret, HS_ETOOLARGE, "32 bytes");
}

static void sources_that_are_not_files_are_refused(void **state)
{
    (void) state;
    assert_refused("relative/key", HS_EINVAL, "absolute path");
    assert_refused("", HS_EINVAL, "absolute path");
    assert_refused(folder, HS_EIO, "regular file");
    assert_refused("/nonexistent/key", HS_ENOTFOUND, "/nonexistent/key");
    assert_refused("credential:", HS_EINVAL, "names no credential");
    assert_refused("credential:../key", HS_EINVAL, "names no credential");
    assert_refused("credential:..", HS_EINVAL, "names no credential");
    assert_null(hs_credential_error("credential:tls-key"));
    assert_null(hs_credential_error("/etc/hailo/key"));
}

static void a_credential_is_read_from_its_folder(void **state)
{
    (void) state;
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_refused("credential:secret", HS_ENOTFOUND, "LoadCredential=secret:PATH");
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    write_secret("swordfish\n", 0440); /* systemd grants access by an access list, which shows as the group's bits */
    assert_reads("credential:secret", "swordfish");
    assert_refused("credential:absent", HS_ENOTFOUND, "absent");
    assert_int_equal(chmod(folder, 0755), 0);
    assert_refused("credential:secret", HS_EFORBIDDEN, "mode 0755");
    assert_int_equal(chmod(folder, 0550), 0);
    assert_reads("credential:secret", "swordfish");
    assert_int_equal(chmod(folder, 0700), 0);
    setenv("CREDENTIALS_DIRECTORY", "/nonexistent", 1);
    assert_refused("credential:secret", HS_ENOTFOUND, "/nonexistent");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_private_file_is_read_without_its_line_feed),
        cmocka_unit_test(a_file_open_to_others_is_refused),
        cmocka_unit_test(a_file_of_another_user_is_refused),
        cmocka_unit_test(a_size_above_the_limit_is_refused),
        cmocka_unit_test(sources_that_are_not_files_are_refused),
        cmocka_unit_test(a_credential_is_read_from_its_folder),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
