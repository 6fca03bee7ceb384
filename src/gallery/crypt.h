/* Encryption of stored vectors: the formats of key files, wrapped keys and sealed vectors.
 *
 * Two kinds of keys. A *data key* is random, made by the gallery, and seals the vectors. A *key-encryption key* is in a
 * file or a credential outside of the gallery, and wraps the data keys, which the gallery stores wrapped. So another
 * key-encryption key takes effect at once, without a change of any vector.
 *
 * Both use XChaCha20-Poly1305 (libsodium's crypto_aead_xchacha20poly1305_ietf) with a random nonce for each value.
 * Thread-safe. */
#ifndef HS_GALLERY_CRYPT_H
#define HS_GALLERY_CRYPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

enum {
    HS_CRYPT_KEY_SIZE = 32,
    HS_CRYPT_ID_SIZE = 17,                /* 16 hexadecimal digits and NUL */
    HS_CRYPT_WRAPPED_SIZE = 24 + 32 + 16, /* nonce, encrypted key, tag */
    HS_CRYPT_HEAD_SIZE = 1 + 8,           /* version, number of the data key */
    HS_CRYPT_OVERHEAD = 1 + 8 + 24 + 16,  /* head, nonce, tag */
};

/* ---- key-encryption keys ---- */

/* `bytes` is locked in memory and surrounded by inaccessible pages (sodium_malloc). `id` is a fingerprint, which may be
 * shown and stored. */
struct hs_crypt_key {
    uint8_t *bytes;
    char id[HS_CRYPT_ID_SIZE];
};

/* Reads a key from a source as of hs_credential_read: 64 hexadecimal digits. Caller frees *ret with
 * hs_crypt_key_finish. HS_EKEY: the source cannot be read or is not a key; the message names the source, never its
 * content. HS_ENOMEM. */
int hs_crypt_key_read(const char *source, struct hs_crypt_key *ret, struct hs_error *err);
void hs_crypt_key_finish(struct hs_crypt_key *key); /* wipes; a zeroed key is allowed */

/* Writes a new random key to a new file of mode 0600. HS_ECONFLICT: the file exists, and is left unchanged. */
int hs_crypt_key_generate(const char *path, char ret_id[HS_CRYPT_ID_SIZE], struct hs_error *err);

/* ---- data keys ---- */

/* Allocates memory for a data key, as in struct hs_crypt_key. The caller frees it with sodium_free, which wipes it.
 * NULL: no memory. */
uint8_t *hs_crypt_alloc(void);

/* The number of the data key is authenticated with the key. */
void hs_crypt_wrap(const struct hs_crypt_key *key, int64_t number, const uint8_t *data_key,
                   uint8_t ret_wrapped[HS_CRYPT_WRAPPED_SIZE]);
bool hs_crypt_unwrap(const struct hs_crypt_key *key, int64_t number, const void *wrapped, size_t size,
                     uint8_t *ret_data_key); /* false: the key is wrong or the text was changed */

/* ---- sealed vectors ---- */

/* The row that a vector belongs to. The vector is authenticated together with it, so a vector copied to another row, or
 * a row moved to another identity, cannot be opened. */
struct hs_crypt_row {
    int64_t id, identity_id;
};

/* Returns true if the bytes have the form of a sealed vector; *ret_number (may be NULL) is the number of its data key.
 * Plain vectors never have this form: their size is a multiple of 4, and that of a sealed vector is not. */
bool hs_crypt_is_sealed(const void *data, size_t size, int64_t *ret_number);

/* Returns the number of floats in a stored vector, sealed or plain; 0: neither. */
size_t hs_crypt_dimension(const void *data, size_t size);

/* Writes HS_CRYPT_OVERHEAD + 4 * dimension bytes. */
void hs_crypt_seal(const uint8_t *data_key, int64_t number, struct hs_crypt_row row, const float *values,
                   size_t dimension, uint8_t *ret_sealed);

/* Opens a sealed vector; writes hs_crypt_dimension floats. Returns false, with zeros written, if it was made with
 * another key or for another row, or was changed. */
bool hs_crypt_open(const uint8_t *data_key, struct hs_crypt_row row, const void *sealed, size_t size,
                   float *ret_values);

#endif
