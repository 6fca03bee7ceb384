/* Key files, wrapped keys and sealed vectors. */
#include "../unit.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "gallery/crypt.h"

enum { DIMENSION = 8, SEALED = HS_CRYPT_OVERHEAD + DIMENSION * sizeof(float) };

static const float vector[DIMENSION] = { 0.5F, -0.5F, 0.5F, 0, 0, 0.25F, 1e-30F, -0.0F };
static const struct hs_crypt_row row = { 7, 3 };

static uint8_t *random_key(void)
{
    uint8_t *key = hs_crypt_alloc();
    assert_non_null(key);
    randombytes_buf(key, HS_CRYPT_KEY_SIZE);
    return key;
}

static void test_sealing(void **state)
{
    (void) state;
    uint8_t *key = random_key(), sealed[SEALED], again[SEALED];
    float values[DIMENSION];
    int64_t number;
    hs_crypt_seal(key, INT64_MAX - 2, row, vector, DIMENSION, sealed);
    hs_crypt_seal(key, INT64_MAX - 2, row, vector, DIMENSION, again);
    assert_memory_not_equal(sealed, again, SEALED); /* another nonce */
    assert_null(memmem(sealed, SEALED, vector, sizeof(float)));
    assert_true(hs_crypt_is_sealed(sealed, SEALED, &number));
    assert_true(number == INT64_MAX - 2);
    assert_int_equal(hs_crypt_dimension(sealed, SEALED), DIMENSION);
    assert_true(hs_crypt_open(key, row, sealed, SEALED, values));
    assert_memory_equal(values, vector, sizeof(vector));
    sodium_free(key);
}

static void refused(const uint8_t *key, struct hs_crypt_row at, const void *sealed, size_t size)
{
    float values[DIMENSION];
    for (int i = 0; i < DIMENSION; i++)
        values[i] = 0;
    assert_false(hs_crypt_open(key, at, sealed, size, values));
    for (int i = 0; i < DIMENSION; i++)
        assert_true(values[i] == 0);
}

static void test_changed_vectors(void **state)
{
    (void) state;
    uint8_t *key = random_key(), *other = random_key(), sealed[SEALED];
    hs_crypt_seal(key, 5, row, vector, DIMENSION, sealed);
    refused(other, row, sealed, SEALED);
    refused(key, (struct hs_crypt_row) { 8, 3 }, sealed, SEALED);
    refused(key, (struct hs_crypt_row) { 7, 4 }, sealed, SEALED);
    for (size_t i = 0; i < SEALED; i++) {
        sealed[i] ^= 0x10;
        refused(key, row, sealed, SEALED);
        sealed[i] ^= 0x10;
    }
    for (size_t size = 0; size < SEALED; size++)
        refused(key, row, sealed, size);
    sodium_free(key);
    sodium_free(other);
}

/* A plain vector is never taken for a sealed one, whatever its bytes are. */
static void test_plain_vectors(void **state)
{
    (void) state;
    uint8_t bytes[SEALED + 16];
    memset(bytes, 1, sizeof(bytes));
    for (size_t size = 0; size <= sizeof(bytes); size += sizeof(float)) {
        assert_false(hs_crypt_is_sealed(bytes, size, NULL));
        assert_int_equal(hs_crypt_dimension(bytes, size), size / sizeof(float));
    }
    assert_int_equal(hs_crypt_dimension(bytes, 7), 0);
    assert_int_equal(hs_crypt_dimension(NULL, 0), 0);
    assert_false(hs_crypt_is_sealed(NULL, SEALED, NULL));
}

static void test_wrapping(void **state)
{
    (void) state;
    struct hs_crypt_key key = { .bytes = random_key() }, other = { .bytes = random_key() };
    uint8_t *data_key = random_key(), *got = hs_crypt_alloc(), wrapped[HS_CRYPT_WRAPPED_SIZE];
    hs_crypt_wrap(&key, 9, data_key, wrapped);
    assert_true(hs_crypt_unwrap(&key, 9, wrapped, sizeof(wrapped), got));
    assert_memory_equal(got, data_key, HS_CRYPT_KEY_SIZE);
    assert_false(hs_crypt_unwrap(&other, 9, wrapped, sizeof(wrapped), got));
    assert_false(hs_crypt_unwrap(&key, 10, wrapped, sizeof(wrapped), got));
    assert_false(hs_crypt_unwrap(&key, 9, NULL, 0, got));
    for (size_t size = 0; size < sizeof(wrapped); size++)
        assert_false(hs_crypt_unwrap(&key, 9, wrapped, size, got));
    for (size_t i = 0; i < sizeof(wrapped); i++) {
        wrapped[i] ^= 1;
        assert_false(hs_crypt_unwrap(&key, 9, wrapped, sizeof(wrapped), got));
        wrapped[i] ^= 1;
    }
    sodium_free(data_key);
    sodium_free(got);
    hs_crypt_key_finish(&key);
    hs_crypt_key_finish(&other);
}

static void test_key_files(void **state)
{
    (void) state;
    char dir[] = "/tmp/hs-crypt-XXXXXX", path[64], id[HS_CRYPT_ID_SIZE];
    struct hs_crypt_key key;
    struct hs_error err;
    struct stat st;
    assert_non_null(mkdtemp(dir));
    hs_path_join(path, sizeof(path), dir, "key");
    assert_int_equal(hs_crypt_key_generate(path, id, &err), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(hs_crypt_key_read(path, &key, &err), 0);
    assert_string_equal(key.id, id);
    assert_int_equal(strlen(id), HS_CRYPT_ID_SIZE - 1);
    uint8_t first[HS_CRYPT_KEY_SIZE];
    memcpy(first, key.bytes, sizeof(first));
    hs_crypt_key_finish(&key);
    /* Never replaces a key. */
    assert_int_equal(hs_crypt_key_generate(path, id, &err), HS_ECONFLICT);
    assert_int_equal(hs_crypt_key_read(path, &key, &err), 0);
    assert_memory_equal(key.bytes, first, sizeof(first));
    hs_crypt_key_finish(&key);
    hs_path_join(path, sizeof(path), dir, "missing/key");
    assert_int_equal(hs_crypt_key_generate(path, id, &err), HS_EIO);
    hs_path_join(path, sizeof(path), dir, "key");
    unlink(path);
    rmdir(dir);
}

/* Messages name the source, never its content. */
static void test_bad_key_files(void **state)
{
    (void) state;
    static const char digits[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    static const struct {
        const char *text;
        size_t len;
        mode_t mode;
    } cases[] = { { "", 0, 0600 },
                  { digits, 63, 0600 },
                  { digits, 62, 0600 },
                  { "00112233445566778899aabbccddeeff00112233445566778899aabbccddeefg", 64, 0600 },
                  { "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00", 66, 0600 },
                  { digits, 64, 0640 | 04 } };
    char dir[] = "/tmp/hs-crypt-XXXXXX", path[64];
    struct hs_crypt_key key;
    assert_non_null(mkdtemp(dir));
    hs_path_join(path, sizeof(path), dir, "key");
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        struct hs_error err = { 0 };
        assert_int_equal(hs_file_write_atomic(path, cases[i].text, cases[i].len, 0600, NULL), 0);
        assert_int_equal(chmod(path, cases[i].mode), 0);
        assert_int_equal(hs_crypt_key_read(path, &key, &err), HS_EKEY);
        assert_non_null(strstr(err.message, path));
        assert_null(strstr(err.message, "001122"));
    }
    unlink(path);
    struct hs_error err;
    assert_int_equal(hs_crypt_key_read(path, &key, &err), HS_EKEY);
    assert_int_equal(hs_crypt_key_read("relative", &key, &err), HS_EKEY);
    assert_int_equal(hs_crypt_key_read("credential:no-such", &key, &err), HS_EKEY);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sealing),  cmocka_unit_test(test_changed_vectors), cmocka_unit_test(test_plain_vectors),
        cmocka_unit_test(test_wrapping), cmocka_unit_test(test_key_files),       cmocka_unit_test(test_bad_key_files),
    };
    return HS_RUN_TESTS(tests);
}
