#include "../unit.h"

#include <string.h>

#include <sodium.h>

#include "auth/keyring.h"
#include "base/mem.h"
#include "base/str.h"

enum { NOW = 1796000000 };

static void add(struct hs_keyring *ring, const char *name, unsigned scopes, char ret_text[HS_KEY_TEXT_SIZE])
{
    struct hs_key key;
    struct hs_error err;
    hs_key_create(ring, NOW, &key, ret_text);
    hs_str_copy(key.name, sizeof(key.name), name);
    key.scopes = scopes;
    assert_int_equal(hs_keyring_add(ring, &key, &err), 0);
}

static void a_key_is_long_random_text(void **state)
{
    (void) state;
    struct hs_keyring ring = { 0 };
    char a[HS_KEY_TEXT_SIZE], b[HS_KEY_TEXT_SIZE];
    add(&ring, "a", 0, a);
    add(&ring, "b", 0, b);
    assert_int_equal(strlen(a), HS_KEY_TEXT_SIZE - 1);
    assert_true(hs_str_starts(a, "hs_"));
    assert_int_equal(a[11], '_');
    assert_string_not_equal(ring.keys[0].id, ring.keys[1].id);
    assert_string_not_equal(a + 12, b + 12);
    assert_int_equal(strspn(a + 12, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"), 43);
    hs_keyring_finish(&ring);
}

static void only_the_exact_text_is_valid(void **state)
{
    (void) state;
    struct hs_keyring ring = { 0 };
    const struct hs_key *key;
    char text[HS_KEY_TEXT_SIZE], other[HS_KEY_TEXT_SIZE];
    add(&ring, "other", 0, other);
    add(&ring, "camera", 0, text);
    assert_int_equal(hs_keyring_check(&ring, text, NOW, &key), HS_KEY_VALID);
    assert_string_equal(key->name, "camera");
    for (size_t i = 0; i < HS_KEY_TEXT_SIZE - 1; i++) {
        char changed[HS_KEY_TEXT_SIZE];
        memcpy(changed, text, sizeof(changed));
        changed[i] = changed[i] == 'x' ? 'y' : 'x';
        assert_int_not_equal(hs_keyring_check(&ring, changed, NOW, &key), HS_KEY_VALID);
        assert_null(key);
    }
    memcpy(other + 3, text + 3, 8); /* the secret of another key */
    assert_int_equal(hs_keyring_check(&ring, other, NOW, &key), HS_KEY_WRONG);
    hs_keyring_finish(&ring);
}

static void other_texts_are_malformed(void **state)
{
    (void) state;
    struct hs_keyring ring = { 0 };
    const struct hs_key *key;
    char text[HS_KEY_TEXT_SIZE], id[HS_KEY_ID_SIZE], longer[HS_KEY_TEXT_SIZE + 1];
    add(&ring, "a", 0, text);
    hs_str_format(longer, sizeof(longer), "%sx", text);
    static const char *const texts[] = { "",
                                         "hs_",
                                         "hs_12345678_",
                                         "a",
                                         "hs_1234567__0123456789012345678901234567890123456789012",
                                         "xx_12345678_0123456789012345678901234567890123456789012" };
    for (size_t i = 0; i < HS_ARRAY_LEN(texts); i++) {
        assert_int_equal(hs_keyring_check(&ring, texts[i], NOW, &key), HS_KEY_MALFORMED);
        hs_key_id_of(texts[i], id);
        assert_string_equal(id, "");
    }
    assert_int_equal(hs_keyring_check(&ring, longer, NOW, &key), HS_KEY_MALFORMED);
    text[HS_KEY_TEXT_SIZE - 2] = '\0';
    assert_int_equal(hs_keyring_check(&ring, text, NOW, &key), HS_KEY_MALFORMED);
    hs_keyring_finish(&ring);
}

static void an_all_zero_hash_matches_no_text(void **state)
{
    (void) state;
    struct hs_keyring ring = { 0 };
    const struct hs_key *key;
    char text[HS_KEY_TEXT_SIZE];
    add(&ring, "a", 0, text);
    memset(ring.keys[0].hash, 1, HS_KEY_HASH_SIZE);
    /* without a grace time, the old hash is all zero and must not count */
    assert_int_equal(hs_keyring_check(&ring, text, NOW, &key), HS_KEY_WRONG);
    hs_keyring_finish(&ring);
}

static void keys_expire(void **state)
{
    (void) state;
    struct hs_keyring ring = { 0 };
    const struct hs_key *key;
    char text[HS_KEY_TEXT_SIZE];
    add(&ring, "a", 0, text);
    ring.keys[0].expires_s = NOW + 10;
    assert_int_equal(hs_keyring_check(&ring, text, NOW + 9, &key), HS_KEY_VALID);
    assert_int_equal(hs_keyring_check(&ring, text, NOW + 10, &key), HS_KEY_EXPIRED);
    assert_non_null(key);
    hs_keyring_finish(&ring);
}

static void a_rotated_secret_is_valid_for_its_grace_time(void **state)
{
    (void) state;
    struct hs_keyring ring = { 0 };
    const struct hs_key *key;
    char first[HS_KEY_TEXT_SIZE], second[HS_KEY_TEXT_SIZE], third[HS_KEY_TEXT_SIZE];
    add(&ring, "a", 0, first);
    hs_key_rotate(&ring.keys[0], NOW + 60, second);
    assert_memory_equal(first, second, 12); /* the same id */
    assert_int_equal(hs_keyring_check(&ring, first, NOW + 59, &key), HS_KEY_VALID);
    assert_int_equal(hs_keyring_check(&ring, second, NOW + 59, &key), HS_KEY_VALID);
    assert_int_equal(hs_keyring_check(&ring, first, NOW + 60, &key), HS_KEY_EXPIRED);
    assert_int_equal(hs_keyring_check(&ring, second, NOW + 60, &key), HS_KEY_VALID);
    hs_key_rotate(&ring.keys[0], 0, third);
    assert_int_equal(hs_keyring_check(&ring, second, NOW, &key), HS_KEY_WRONG);
    assert_int_equal(hs_keyring_check(&ring, first, NOW, &key), HS_KEY_WRONG);
    assert_int_equal(hs_keyring_check(&ring, third, NOW, &key), HS_KEY_VALID);
    hs_keyring_finish(&ring);
}

static void a_file_reads_back_the_same(void **state)
{
    (void) state;
    struct hs_keyring ring = { 0 }, again = { 0 };
    struct hs_buf out, second;
    struct hs_error err;
    char text[HS_KEY_TEXT_SIZE], other[HS_KEY_TEXT_SIZE];
    const struct hs_key *key;
    add(&ring, "caméra \"1\"", hs_scope_bit(HS_SCOPE_DETECT) | hs_scope_bit(HS_SCOPE_ADMIN), text);
    add(&ring, "b", 0, other);
    ring.keys[0].requests_per_second = 2.5;
    ring.keys[0].burst = 7;
    ring.keys[1].expires_s = NOW + 5;
    hs_key_rotate(&ring.keys[1], NOW + 60, other);
    hs_buf_init(&out, 1 << 20);
    hs_buf_init(&second, 1 << 20);
    assert_int_equal(hs_keyring_write(&ring, &out), 0);
    assert_null(memmem(out.data, out.len, text + 12, 43)); /* no secret */
    assert_int_equal(hs_keyring_read((const char *) out.data, out.len, &again, &err), 0);
    assert_int_equal(again.count, 2);
    assert_memory_equal(&again.keys[0], &ring.keys[0], sizeof(struct hs_key));
    assert_int_equal(hs_keyring_check(&again, text, NOW, &key), HS_KEY_VALID);
    assert_int_equal(hs_keyring_check(&again, other, NOW, &key), HS_KEY_VALID);
    assert_int_equal(hs_keyring_write(&again, &second), 0);
    assert_int_equal(second.len, out.len);
    assert_memory_equal(second.data, out.data, out.len);
    hs_buf_finish(&out);
    hs_buf_finish(&second);
    hs_keyring_finish(&ring);
    hs_keyring_finish(&again);
}

#define HASH "5ab7797ca49933d298a1d69e901eaf46b534ea99d48b39325ec88064a1e7f809"
#define KEY(more) "{\"version\":1,\"keys\":[{\"id\":\"abcdefgh\",\"name\":\"n\",\"scopes\":[\"detect\"]," more "}]}"

static void damaged_files_are_refused(void **state)
{
    (void) state;
    static const struct {
        const char *text, *reason;
    } cases[] = {
        { "", "invalid JSON" },
        { "[]", "not a file of API keys" },
        { "{\"version\":2,\"keys\":[]}", "newer version" },
        { "{\"version\":1,\"keys\":[1]}", "key 1: not an object" },
        { KEY("\"hash\":\"12\""), "key 1: hash is not 64" },
        { KEY("\"hash\":\"" HASH "\",\"expires\":\"soon\""), "expires is not a time" },
        { KEY("\"hash\":\"" HASH "\",\"expires\":\"2026-02-30\""), "expires is not a time" },
        { KEY("\"hash\":\"" HASH "\",\"old_until\":\"2026-02-20\""), "old_hash is not 64" },
        { KEY("\"hash\":\"" HASH "\",\"burst\":-1"), "burst must be" },
        { KEY("\"hash\":\"" HASH "\",\"requests_per_second\":\"1\""), "requests_per_second must be" },
        { KEY("\"hash\":\"" HASH "\",\"expire\":\"2026-02-20\""), "\"expire\" is not a member" },
        { "{\"version\":1,\"keys\":[{\"id\":\"abcdefg\",\"name\":\"n\",\"scopes\":[],\"hash\":\"" HASH "\"}]}",
          "id is not 8" },
        { "{\"version\":1,\"keys\":[{\"id\":\"abcdefgh\",\"name\":\"n\",\"scopes\":[\"root\"],\"hash\":\"" HASH "\"}]}",
          "\"root\" is not a scope" },
        { "{\"version\":1,\"keys\":[{\"id\":\"abcdefgh\",\"name\":\"n\",\"scopes\":\"detect\",\"hash\":\"" HASH "\"}]}",
          "scopes is not a list" },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        struct hs_keyring ring = { 0 };
        struct hs_error err;
        assert_int_equal(hs_keyring_read(cases[i].text, strlen(cases[i].text), &ring, &err), HS_EINVAL);
        if (!strstr(err.message, cases[i].reason))
            fail_msg("%s: %s", cases[i].text, err.message);
        assert_null(ring.keys);
    }
}

static void two_keys_cannot_share_an_id(void **state)
{
    (void) state;
    static const char one[] = "{\"id\":\"abcdefgh\",\"name\":\"n\",\"scopes\":[],\"hash\":\"" HASH "\"}";
    struct hs_keyring ring = { 0 };
    struct hs_error err;
    char text[512];
    hs_str_format(text, sizeof(text), "{\"version\":1,\"keys\":[%s,%s]}", one, one);
    assert_int_equal(hs_keyring_read(text, strlen(text), &ring, &err), HS_EINVAL);
    assert_string_equal(err.message, "key 2: another key has its id");
}

static void the_number_of_keys_is_limited(void **state)
{
    (void) state;
    struct hs_keyring ring = { 0 };
    struct hs_error err;
    struct hs_key key;
    char text[HS_KEY_TEXT_SIZE];
    for (size_t i = 0; i < HS_KEYRING_MAX; i++)
        add(&ring, "k", 0, text);
    hs_key_create(&ring, NOW, &key, text);
    assert_int_equal(hs_keyring_add(&ring, &key, &err), HS_ECONFLICT);
    struct hs_buf out;
    hs_buf_init(&out, HS_KEYRING_BYTES);
    assert_int_equal(hs_keyring_write(&ring, &out), 0); /* fits the limit on the file */
    hs_buf_finish(&out);
    hs_keyring_finish(&ring);
}

static void times_are_exact(void **state)
{
    (void) state;
    static const char *const wrong[] = { "",
                                         "2026",
                                         "2026-13-01",
                                         "2026-02-29",
                                         "2026-1-1",
                                         "2026-01-01 ",
                                         "+2026-01-01",
                                         "2026-01-01T24:00:00Z",
                                         "2026-01-01T00:00:00" };
    struct hs_error err;
    char text[HS_KEY_TIME_SIZE];
    int64_t at = 0;
    assert_int_equal(hs_key_time_read("2028-02-29", &at, &err), 0);
    assert_string_equal(hs_key_time_write(at, text), "2028-02-29T00:00:00Z");
    assert_int_equal(hs_key_time_read("2026-11-30T14:44:31Z", &at, &err), 0);
    assert_string_equal(hs_key_time_write(at, text), "2026-11-30T14:44:31Z");
    for (size_t i = 0; i < HS_ARRAY_LEN(wrong); i++) {
        if (hs_key_time_read(wrong[i], &at, &err) != HS_EINVAL)
            fail_msg("%s is accepted", wrong[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_long_random_text),
        cmocka_unit_test(only_the_exact_text_is_valid),
        cmocka_unit_test(other_texts_are_malformed),
        cmocka_unit_test(an_all_zero_hash_matches_no_text),
        cmocka_unit_test(keys_expire),
        cmocka_unit_test(a_rotated_secret_is_valid_for_its_grace_time),
        cmocka_unit_test(a_file_reads_back_the_same),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(two_keys_cannot_share_an_id),
        cmocka_unit_test(the_number_of_keys_is_limited),
        cmocka_unit_test(times_are_exact),
    };
    if (sodium_init() < 0)
        return 1;
    return HS_RUN_TESTS(tests);
}
