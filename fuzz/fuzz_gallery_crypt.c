/* Stored vectors and wrapped keys from a file that anyone may have written. The data themselves must not open, unless
 * they are what we sealed. A vector made of them must open unchanged in its row, and not after a change of one byte,
 * which the first bytes select. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "gallery/crypt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { FLOATS = 64 };

static const uint8_t data_key[HS_CRYPT_KEY_SIZE] = "a key of thirty-two known bytes";

static void check(bool truth)
{
    if (!truth)
        abort();
}

static void open_foreign(const uint8_t *data, size_t len)
{
    size_t dimension = hs_crypt_dimension(data, len);
    check(dimension * sizeof(float) <= len);
    check(!hs_crypt_is_sealed(data, len, NULL) || len % sizeof(float) != 0);
    float *values = calloc(dimension + 1, sizeof(float));
    if (!values)
        return;
    check(!hs_crypt_open(data_key, (struct hs_crypt_row) { 1, 2 }, data, len, values));
    free(values);
}

static void unwrap_foreign(const uint8_t *data, size_t len)
{
    static uint8_t key_bytes[HS_CRYPT_KEY_SIZE] = "another key of thirty-two bytes";
    const struct hs_crypt_key key = { .bytes = key_bytes };
    uint8_t got[HS_CRYPT_KEY_SIZE];
    check(!hs_crypt_unwrap(&key, 7, data, len, got));
}

static void open_own(const uint8_t *data, size_t len)
{
    uint8_t sealed[HS_CRYPT_OVERHEAD + FLOATS * sizeof(float)];
    float values[FLOATS], got[FLOATS];
    size_t dimension = len / sizeof(float) < FLOATS ? len / sizeof(float) : FLOATS;
    size_t size = HS_CRYPT_OVERHEAD + dimension * sizeof(float);
    memcpy(values, data, dimension * sizeof(float));
    const struct hs_crypt_row row = { (int64_t) len, data[0] };
    hs_crypt_seal(data_key, 1 + data[1], row, values, dimension, sealed);
    check(hs_crypt_dimension(sealed, size) == dimension);
    check(hs_crypt_open(data_key, row, sealed, size, got));
    check(memcmp(got, values, dimension * sizeof(float)) == 0);
    sealed[((size_t) data[2] << 8 | data[3]) % size] ^= (uint8_t) (data[4] ? data[4] : 1);
    check(!hs_crypt_open(data_key, row, sealed, size, got));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (sodium_init() < 0)
        abort();
    open_foreign(data, len);
    unwrap_foreign(data, len);
    if (len >= 5)
        open_own(data, len);
    return 0;
}
