#include "gallery/crypt.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/credential.h"
#include "base/file.h"

enum {
    VERSION = 1,
    NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    TAG = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    KEY_DIGITS = 2 * HS_CRYPT_KEY_SIZE,
    SOURCE_MAX = 4096, /* a file that is longer is not a key */
};

_Static_assert(crypto_aead_xchacha20poly1305_ietf_KEYBYTES == HS_CRYPT_KEY_SIZE, "size of a key");
_Static_assert((HS_CRYPT_ID_SIZE - 1) / 2 <= crypto_generichash_BYTES_MIN, "an id is part of a hash");
_Static_assert(HS_CRYPT_WRAPPED_SIZE == NONCE + HS_CRYPT_KEY_SIZE + TAG, "size of a wrapped key");
_Static_assert(HS_CRYPT_OVERHEAD == HS_CRYPT_HEAD_SIZE + NONCE + TAG, "size of a sealed vector");
_Static_assert(HS_CRYPT_OVERHEAD % sizeof(float) != 0, "a sealed vector never looks like a plain one");

static void write_number(uint8_t *at, int64_t number)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t) ((uint64_t) number >> 8 * i);
}

static int64_t read_number(const uint8_t *at)
{
    uint64_t number = 0;
    for (int i = 0; i < 8; i++)
        number |= (uint64_t) at[i] << 8 * i;
    return (int64_t) number;
}

/* ---- key-encryption keys ---- */

uint8_t *hs_crypt_alloc(void)
{
    return sodium_init() < 0 ? NULL : sodium_malloc(HS_CRYPT_KEY_SIZE);
}

/* A hash with a purpose of its own, so that the id reveals nothing about the key. */
static void make_id(struct hs_crypt_key *key)
{
    static const uint8_t purpose[] = "hailo-services gallery key id";
    uint8_t hash[crypto_generichash_BYTES_MIN];
    crypto_generichash(hash, sizeof(hash), purpose, sizeof(purpose), key->bytes, HS_CRYPT_KEY_SIZE);
    sodium_bin2hex(key->id, sizeof(key->id), hash, (HS_CRYPT_ID_SIZE - 1) / 2);
}

void hs_crypt_key_finish(struct hs_crypt_key *key)
{
    sodium_free(key->bytes);
    key->bytes = NULL;
}

int hs_crypt_key_read(const char *source, struct hs_crypt_key *ret, struct hs_error *err)
{
    struct hs_crypt_key key = { .bytes = hs_crypt_alloc() };
    struct hs_error why = { .message = "" };
    struct hs_buf text;
    size_t len = 0;
    if (!key.bytes)
        return hs_error_set(err, HS_ENOMEM, "no memory for the encryption key");
    int r = hs_credential_read(source, SOURCE_MAX, &text, &why);
    if (r < 0) {
        hs_crypt_key_finish(&key);
        return hs_error_set(err, r == HS_ENOMEM ? r : HS_EKEY, "the encryption key cannot be read: %s", why.message);
    }
    bool valid = text.len == KEY_DIGITS && sodium_hex2bin(key.bytes, HS_CRYPT_KEY_SIZE, (const char *) text.data,
                                                          text.len, NULL, &len, NULL) == 0;
    hs_buf_finish(&text);
    if (!valid || len != HS_CRYPT_KEY_SIZE) {
        hs_crypt_key_finish(&key);
        return hs_error_set(err, HS_EKEY,
                            "%s is not an encryption key: it must contain %d hexadecimal digits. `hailo-face db key "
                            "generate FILE` makes one",
                            source, KEY_DIGITS);
    }
    make_id(&key);
    *ret = key;
    return 0;
}

/* Writes and syncs the digits. 0, or -1 with errno. */
static int write_key(int fd, const uint8_t *key)
{
    char text[KEY_DIGITS + 2];
    sodium_bin2hex(text, KEY_DIGITS + 1, key, HS_CRYPT_KEY_SIZE);
    text[KEY_DIGITS] = '\n';
    int r = hs_file_write_all(fd, text, KEY_DIGITS + 1);
    sodium_memzero(text, sizeof(text));
    return r < 0 ? r : fsync(fd);
}

int hs_crypt_key_generate(const char *path, char ret_id[HS_CRYPT_ID_SIZE], struct hs_error *err)
{
    struct hs_crypt_key key = { .bytes = hs_crypt_alloc() };
    if (!key.bytes)
        return hs_error_set(err, HS_ENOMEM, "no memory for the encryption key");
    /* Never replaces a file: it could be the only copy of another key. */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        int reason = errno;
        hs_crypt_key_finish(&key);
        return hs_error_set(err, reason == EEXIST ? HS_ECONFLICT : HS_EIO, "cannot create %s: %s", path,
                            strerror(reason));
    }
    randombytes_buf(key.bytes, HS_CRYPT_KEY_SIZE);
    make_id(&key);
    int r = write_key(fd, key.bytes) < 0 ? hs_error_set(err, HS_EIO, "cannot write %s: %s", path, strerror(errno)) : 0;
    close(fd);
    if (r < 0)
        unlink(path);
    memcpy(ret_id, key.id, HS_CRYPT_ID_SIZE);
    hs_crypt_key_finish(&key);
    return r;
}

/* ---- data keys ---- */

enum { LABEL = 8 }; /* bytes that separate the purposes of encrypted values */

struct wrap_data {
    uint8_t bytes[LABEL + 8];
};

static struct wrap_data data_of_key(int64_t number)
{
    struct wrap_data data;
    memcpy(data.bytes, "hs-key-1", LABEL);
    write_number(data.bytes + LABEL, number);
    return data;
}

void hs_crypt_wrap(const struct hs_crypt_key *key, int64_t number, const uint8_t *data_key,
                   uint8_t ret_wrapped[HS_CRYPT_WRAPPED_SIZE])
{
    const struct wrap_data data = data_of_key(number);
    randombytes_buf(ret_wrapped, NONCE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(ret_wrapped + NONCE, NULL, data_key, HS_CRYPT_KEY_SIZE, data.bytes,
                                               sizeof(data.bytes), NULL, ret_wrapped, key->bytes);
}

bool hs_crypt_unwrap(const struct hs_crypt_key *key, int64_t number, const void *wrapped, size_t size,
                     uint8_t *ret_data_key)
{
    const struct wrap_data data = data_of_key(number);
    const uint8_t *at = wrapped;
    return at && size == HS_CRYPT_WRAPPED_SIZE &&
           crypto_aead_xchacha20poly1305_ietf_decrypt(ret_data_key, NULL, NULL, at + NONCE, size - NONCE, data.bytes,
                                                      sizeof(data.bytes), at, key->bytes) == 0;
}

/* ---- sealed vectors ---- */

struct row_data {
    uint8_t bytes[LABEL + 3 * 8];
};

/* The data keys are random for each gallery, so the id of the gallery is not needed here: it changes if a backup is
 * restored into another gallery. */
static struct row_data data_of_row(int64_t number, struct hs_crypt_row row)
{
    struct row_data data;
    memcpy(data.bytes, "hs-emb-1", LABEL);
    write_number(data.bytes + LABEL, number);
    write_number(data.bytes + LABEL + 8, row.id);
    write_number(data.bytes + LABEL + 16, row.identity_id);
    return data;
}

bool hs_crypt_is_sealed(const void *data, size_t size, int64_t *ret_number)
{
    const uint8_t *at = data;
    if (!at || size < HS_CRYPT_OVERHEAD || (size - HS_CRYPT_OVERHEAD) % sizeof(float) != 0 || at[0] != VERSION)
        return false;
    if (ret_number)
        *ret_number = read_number(at + 1);
    return true;
}

size_t hs_crypt_dimension(const void *data, size_t size)
{
    if (hs_crypt_is_sealed(data, size, NULL))
        return (size - HS_CRYPT_OVERHEAD) / sizeof(float);
    return data && size % sizeof(float) == 0 ? size / sizeof(float) : 0;
}

void hs_crypt_seal(const uint8_t *data_key, int64_t number, struct hs_crypt_row row, const float *values,
                   size_t dimension, uint8_t *ret_sealed)
{
    const struct row_data data = data_of_row(number, row);
    uint8_t *nonce = ret_sealed + HS_CRYPT_HEAD_SIZE;
    ret_sealed[0] = VERSION;
    write_number(ret_sealed + 1, number);
    randombytes_buf(nonce, NONCE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(nonce + NONCE, NULL, (const uint8_t *) values, dimension * sizeof(float),
                                               data.bytes, sizeof(data.bytes), NULL, nonce, data_key);
}

bool hs_crypt_open(const uint8_t *data_key, struct hs_crypt_row row, const void *sealed, size_t size, float *ret_values)
{
    int64_t number;
    if (!hs_crypt_is_sealed(sealed, size, &number))
        return false;
    const struct row_data data = data_of_row(number, row);
    const uint8_t *nonce = (const uint8_t *) sealed + HS_CRYPT_HEAD_SIZE;
    size_t len = size - HS_CRYPT_HEAD_SIZE - NONCE;
    bool valid = crypto_aead_xchacha20poly1305_ietf_decrypt((uint8_t *) ret_values, NULL, NULL, nonce + NONCE, len,
                                                            data.bytes, sizeof(data.bytes), nonce, data_key) == 0;
    if (!valid)
        memset(ret_values, 0, len - TAG);
    return valid;
}
