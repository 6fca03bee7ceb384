#include "../unit.h"

#include <stdio.h>
#include <string.h>

#include "assert_message.h"
#include "convert/zip_stored.h"
#include "zip_bytes.h"

static void build(struct zip_bytes *zip, bool wide, bool later)
{
    *zip = (struct zip_bytes) { .wide = wide, .later = later };
    zip_add(zip, "b/two", "zwei", 4);
    zip_add(zip, "a/one", "eins und mehr", 13);
    zip_add(zip, "empty", "", 0);
    zip_end(zip, "");
}

static int open_bytes(const struct zip_bytes *bytes, struct hs_zip **ret_zip, struct hs_error *err)
{
    *err = (struct hs_error) { 0 };
    *ret_zip = NULL;
    int r = hs_zip_open(zip_path(bytes->data, bytes->len), ret_zip, err);
    assert_int_equal(r, err->code);
    assert_true((r == 0) == (*ret_zip != NULL));
    return r;
}

static void assert_refused(const struct zip_bytes *bytes, const char *reason)
{
    struct hs_zip *zip;
    struct hs_error err;
    assert_int_equal(open_bytes(bytes, &zip, &err), HS_EMODEL);
    assert_message(err.message, reason);
}

static int read_member(const struct zip_bytes *bytes, const char *name, size_t len, char *dst, struct hs_error *err)
{
    struct hs_zip *zip;
    assert_int_equal(open_bytes(bytes, &zip, err), 0);
    struct hs_zip_member *member = hs_zip_find(zip, name);
    assert_non_null(member);
    int r = hs_zip_read(zip, member, 0, dst, len, err);
    assert_int_equal(r, err->code);
    hs_zip_close(zip);
    return r;
}

/* Checks that the file opens, but the member is refused. */
static void assert_member_refused(const struct zip_bytes *bytes, const char *name, const char *reason)
{
    struct hs_error err;
    char content[16];
    assert_int_equal(read_member(bytes, name, 1, content, &err), HS_EMODEL);
    assert_message(err.message, reason);
}

static void check_content(const struct zip_bytes *bytes)
{
    struct hs_zip *zip;
    struct hs_error err;
    char content[16] = "";
    assert_int_equal(open_bytes(bytes, &zip, &err), 0);
    assert_int_equal(hs_zip_count(zip), 3);
    assert_int_equal(hs_zip_file_size(zip), bytes->len);
    assert_string_equal(hs_zip_at(zip, 0)->name, "a/one");
    assert_string_equal(hs_zip_at(zip, 1)->name, "b/two");
    assert_string_equal(hs_zip_at(zip, 2)->name, "empty");
    assert_null(hs_zip_at(zip, 3));
    assert_null(hs_zip_find(zip, "a/on"));
    struct hs_zip_member *one = hs_zip_find(zip, "a/one");
    assert_int_equal(one->size, 13);
    assert_int_equal(hs_zip_read(zip, one, 5, content, 3, &err), 0);
    assert_string_equal(content, "und");
    assert_int_equal(hs_zip_read(zip, one, 0, content, 13, &err), 0);
    assert_string_equal(content, "eins und mehr");
    assert_int_equal(hs_zip_read(zip, one, 13, content, 0, &err), 0);
    assert_int_equal(hs_zip_read(zip, one, 13, content, 1, &err), HS_EMODEL);
    assert_int_equal(hs_zip_read(zip, one, 14, content, 0, &err), HS_EMODEL);
    assert_int_equal(hs_zip_read(zip, one, UINT64_MAX, content, 2, &err), HS_EMODEL);
    assert_int_equal(hs_zip_read(zip, hs_zip_find(zip, "empty"), 0, content, 0, &err), 0);
    hs_zip_close(zip);
}

static void stored_members_are_read(void **state)
{
    (void) state;
    for (int i = 0; i < 4; i++) {
        struct zip_bytes bytes;
        build(&bytes, i & 1, i & 2);
        check_content(&bytes);
    }
}

static void a_comment_may_follow(void **state)
{
    (void) state;
    struct zip_bytes bytes = { 0 };
    struct hs_zip *zip;
    struct hs_error err;
    zip_add(&bytes, "a", "x", 1);
    zip_end(&bytes, "a comment, with PK\5\6 in it, as long as an end record");
    assert_int_equal(open_bytes(&bytes, &zip, &err), 0);
    hs_zip_close(zip);
    bytes.len--;
    assert_refused(&bytes, "not a zip file, or a truncated one");
}

static void an_empty_zip_file_has_no_members(void **state)
{
    (void) state;
    struct zip_bytes bytes = { 0 };
    struct hs_zip *zip;
    struct hs_error err;
    zip_end(&bytes, "");
    assert_int_equal(open_bytes(&bytes, &zip, &err), 0);
    assert_int_equal(hs_zip_count(zip), 0);
    assert_null(hs_zip_find(zip, "a"));
    hs_zip_close(zip);
    hs_zip_close(NULL);
}

static void open_errors_state_the_reason(void **state)
{
    (void) state;
    struct hs_zip *zip;
    struct hs_error err;
    assert_int_equal(hs_zip_open("/nonexistent/file", &zip, &err), HS_ENOTFOUND);
    assert_string_equal(err.message, "cannot open the file: No such file or directory");
    assert_int_equal(hs_zip_open("/", &zip, &err), HS_EIO);
    struct zip_bytes bytes = { .len = 100 };
    assert_refused(&bytes, "not a zip file");
    bytes.len = 0;
    assert_refused(&bytes, "not a zip file");
}

static void truncated_files_are_rejected(void **state)
{
    (void) state;
    for (int wide = 0; wide < 2; wide++) {
        struct zip_bytes bytes;
        build(&bytes, wide, false);
        for (size_t len = bytes.len; len-- > 0;) {
            bytes.len = len;
            assert_refused(&bytes, "");
        }
    }
}

/* A changed byte in the data is detected; elsewhere too, unless the byte has no meaning. */
static void a_changed_byte_never_gives_wrong_content(void **state)
{
    (void) state;
    for (int i = 0; i < 4; i++) {
        struct zip_bytes bytes;
        build(&bytes, i & 1, i & 2);
        for (size_t at = 0; at < bytes.len; at++) {
            struct hs_zip *zip;
            struct hs_error err;
            char content[13];
            bytes.data[at] ^= 0x10;
            if (open_bytes(&bytes, &zip, &err) == 0) {
                struct hs_zip_member *one = hs_zip_find(zip, "a/one");
                int r = one ? hs_zip_read(zip, one, 0, content, 13, &err) : HS_EMODEL;
                if (r == 0)
                    assert_memory_equal(content, "eins und mehr", 13);
                if (at >= bytes.contents[1] && at < bytes.contents[1] + 13)
                    assert_int_equal(r, HS_EMODEL);
                hs_zip_close(zip);
            }
            bytes.data[at] ^= 0x10;
        }
    }
}

static void a_wrong_crc_is_refused(void **state)
{
    (void) state;
    struct zip_bytes bytes;
    struct hs_error err;
    char content[16] = "";
    build(&bytes, false, false);
    bytes.data[bytes.contents[1]] ^= 1;
    assert_member_refused(&bytes, "a/one", "\"a/one\" in the zip file has a wrong CRC-32");
    assert_int_equal(read_member(&bytes, "b/two", 4, content, &err), 0);
    assert_string_equal(content, "zwei");
    zip_update_crc(&bytes, 1);
    assert_int_equal(read_member(&bytes, "a/one", 4, content, &err), 0);
    assert_string_equal(content, "dins");
}

static void compressed_and_encrypted_members_are_refused_when_read(void **state)
{
    (void) state;
    static const struct {
        size_t at, value;
        const char *reason;
    } samples[] = {
        { 10, 8, "is compressed" },
        { 10, 12, "is compressed" },
        { 8, 1, "is encrypted" },
        { 8, 0x41, "is encrypted" },
    };
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct zip_bytes bytes;
        build(&bytes, false, false);
        zip_put(&bytes, bytes.entries[1] + samples[i].at, 2, samples[i].value);
        assert_member_refused(&bytes, "a/one", samples[i].reason);
        zip_put(&bytes, bytes.headers[1] + samples[i].at - 2, 2, samples[i].value);
        assert_member_refused(&bytes, "a/one", samples[i].reason);
    }
}

static void local_headers_must_match_the_directory(void **state)
{
    (void) state;
    static const struct {
        size_t at, size, value;
        const char *reason;
    } samples[] = {
        { 0, 4, 0, "has a wrong position in the directory" },
        { 26, 2, 4, "has a wrong position in the directory" },
        { 6, 2, 2, "has a header that differs from the directory" },
        { 8, 2, 8, "has a header that differs from the directory" },
        { 14, 4, 7, "has a header that differs from the directory" },
        { 14, 4, 0, "has a header that differs from the directory" },
        { 18, 4, 12, "has a header that differs from the directory" },
        { 22, 4, 12, "has a header that differs from the directory" },
        { 22, 4, 0, "has a header that differs from the directory" },
        { 22, 4, UINT32_MAX, "has a header that differs from the directory" },
        { 30, 1, 'A', "has a header that differs from the directory" },
        { 28, 2, 6, "overlaps the next member" },
        { 28, 2, 65535, "overlaps the next member" },
    };
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct zip_bytes bytes;
        build(&bytes, false, false);
        zip_put(&bytes, bytes.headers[1] + samples[i].at, samples[i].size, samples[i].value);
        assert_member_refused(&bytes, "a/one", samples[i].reason);
    }
}

static void an_inconsistent_directory_is_rejected(void **state)
{
    (void) state;
    static const struct {
        size_t at, size, value;
        const char *reason;
    } samples[] = {
        { 0, 4, 0, "invalid directory entry" },
        { 20, 4, 12, "a stored member has two sizes" },
        { 24, 4, UINT32_MAX, "a stored member has two sizes" }, /* zip64 without a zip64 field */
        { 28, 2, 65535, "the directory is truncated" },
        { 30, 2, 65535, "the directory is truncated" },
        { 32, 2, 65535, "the directory is truncated" },
        { 34, 2, 1, "invalid directory entry" },
        { 42, 4, 0, "members overlap" },
        { 42, 4, 3, "members overlap" },
        { 42, 4, 0x7fffffff, "members overlap" },
        { 47, 1, 0, "invalid directory entry" }, /* a name that contains a NUL */
    };
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct zip_bytes bytes;
        build(&bytes, false, false);
        zip_put(&bytes, bytes.entries[1] + samples[i].at, samples[i].size, samples[i].value);
        assert_refused(&bytes, samples[i].reason);
    }
}

static void sizes_beyond_the_file_are_refused(void **state)
{
    (void) state;
    static const uint64_t sizes[] = { 400, 0x7fffffff, UINT32_MAX - 1 };
    for (size_t i = 0; i < 3; i++) {
        struct zip_bytes bytes;
        build(&bytes, false, false);
        zip_put(&bytes, bytes.entries[1] + 20, 4, sizes[i]);
        zip_put(&bytes, bytes.entries[1] + 24, 4, sizes[i]);
        assert_refused(&bytes, "members overlap");
    }
    static const uint64_t wide_sizes[] = { 400, INT64_MAX, UINT64_MAX, UINT64_MAX - 30 };
    for (size_t i = 0; i < 4; i++) {
        struct zip_bytes bytes;
        build(&bytes, true, false);
        size_t field = bytes.entries[1] + 46 + 5 + 4;
        zip_put(&bytes, field, 8, wide_sizes[i]);
        zip_put(&bytes, field + 8, 8, wide_sizes[i]);
        assert_refused(&bytes, "members overlap");
        build(&bytes, true, false);
        zip_put(&bytes, field + 16, 8, wide_sizes[i]);
        assert_refused(&bytes, "members overlap");
    }
}

static void names_are_unique(void **state)
{
    (void) state;
    struct zip_bytes bytes = { 0 };
    zip_add(&bytes, "a", "x", 1);
    zip_add(&bytes, "b", "y", 1);
    zip_add(&bytes, "a", "z", 1);
    zip_end(&bytes, "");
    assert_refused(&bytes, "two members have the same name");
}

static void hostile_names_are_quoted_in_messages(void **state)
{
    (void) state;
    static char longest[4001];
    struct zip_bytes bytes = { 0 };
    memset(longest, '\x1b', 4000);
    zip_add(&bytes, "../\n\xff", "x", 1);
    zip_add(&bytes, longest, "y", 1);
    zip_end(&bytes, "");
    bytes.data[bytes.contents[0]] ^= 1;
    bytes.data[bytes.contents[1]] ^= 1;
    assert_member_refused(&bytes, "../\n\xff", "\"../\\x0a\\xff\" in the zip file has a wrong CRC-32");
    assert_member_refused(&bytes, longest, "\" in the zip file has a wrong CRC-32");
}

static void an_inconsistent_end_record_is_rejected(void **state)
{
    (void) state;
    static const struct {
        size_t at, size, value;
        const char *reason;
    } samples[] = {
        { 4, 2, 1, "archives in several parts are not supported" },
        { 6, 2, 1, "archives in several parts are not supported" },
        { 8, 2, 2, "archives in several parts are not supported" },
        { 8, 4, 2 | 2 << 16, "wrong length of the directory" },
        { 8, 4, 4 | 4 << 16, "the directory is truncated" },
        { 8, 4, 999 | 999 << 16, "the directory is truncated" },
        { 12, 4, 1, "wrong position of the directory" },
        { 12, 4, UINT32_MAX, "wrong position of the directory" },
        { 16, 4, 0, "wrong position of the directory" },
        { 16, 4, UINT32_MAX, "wrong position of the directory" },
    };
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct zip_bytes bytes;
        build(&bytes, false, false);
        zip_put(&bytes, bytes.end + samples[i].at, samples[i].size, samples[i].value);
        assert_refused(&bytes, samples[i].reason);
    }
}

static void an_inconsistent_zip64_record_is_rejected(void **state)
{
    (void) state;
    static const struct {
        bool locator;
        size_t at, size, value;
        const char *reason;
    } samples[] = {
        { true, 8, 8, 0, "wrong position of the zip64 record" },
        { true, 8, 8, 1 << 20, "unexpected end" },
        { true, 8, 8, UINT64_MAX, "unexpected end" },
        { true, 4, 4, 1, "archives in several parts are not supported" },
        { true, 16, 4, 2, "archives in several parts are not supported" },
        { true, 0, 4, 0, "wrong position of the directory" },
        { false, 0, 4, 0, "wrong position of the zip64 record" },
        { false, 4, 8, 43, "wrong position of the zip64 record" },
        { false, 4, 8, UINT64_MAX, "wrong position of the zip64 record" },
        { false, 16, 4, 1, "archives in several parts are not supported" },
        { false, 20, 4, 1, "archives in several parts are not supported" },
        { false, 24, 8, 2, "archives in several parts are not supported" },
        { false, 40, 8, 0, "wrong position of the directory" },
        { false, 40, 8, UINT64_MAX, "wrong position of the directory" },
        { false, 48, 8, 0, "wrong position of the directory" },
        { false, 48, 8, UINT64_MAX, "wrong position of the directory" },
    };
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct zip_bytes bytes;
        build(&bytes, true, false);
        size_t base = samples[i].locator ? bytes.locator : bytes.end64;
        zip_put(&bytes, base + samples[i].at, samples[i].size, samples[i].value);
        assert_refused(&bytes, samples[i].reason);
    }
    struct zip_bytes bytes;
    build(&bytes, true, false);
    zip_put(&bytes, bytes.end64 + 24, 8, 1 << 20);
    zip_put(&bytes, bytes.end64 + 32, 8, 1 << 20);
    assert_refused(&bytes, "too many members");
    for (size_t at = 8; at <= 16; at += 4) {
        build(&bytes, true, false);
        zip_put(&bytes, bytes.end + at, 4, 5 | 5 << 16);
        assert_refused(&bytes, "the two end records differ");
    }
}

static void a_file_that_shrinks_meanwhile_is_an_error(void **state)
{
    (void) state;
    struct zip_bytes bytes;
    struct hs_zip *zip;
    struct hs_error err;
    char content[4];
    build(&bytes, false, false);
    const char *path = zip_path(bytes.data, bytes.len);
    assert_int_equal(hs_zip_open(path, &zip, &err), 0);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(hs_zip_read(zip, hs_zip_find(zip, "b/two"), 0, content, 4, &err), HS_EIO);
    hs_zip_close(zip);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stored_members_are_read),
        cmocka_unit_test(a_comment_may_follow),
        cmocka_unit_test(an_empty_zip_file_has_no_members),
        cmocka_unit_test(open_errors_state_the_reason),
        cmocka_unit_test(truncated_files_are_rejected),
        cmocka_unit_test(a_changed_byte_never_gives_wrong_content),
        cmocka_unit_test(a_wrong_crc_is_refused),
        cmocka_unit_test(compressed_and_encrypted_members_are_refused_when_read),
        cmocka_unit_test(local_headers_must_match_the_directory),
        cmocka_unit_test(an_inconsistent_directory_is_rejected),
        cmocka_unit_test(sizes_beyond_the_file_are_refused),
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(hostile_names_are_quoted_in_messages),
        cmocka_unit_test(an_inconsistent_end_record_is_rejected),
        cmocka_unit_test(an_inconsistent_zip64_record_is_rejected),
        cmocka_unit_test(a_file_that_shrinks_meanwhile_is_an_error),
    };
    return HS_RUN_TESTS(tests);
}
