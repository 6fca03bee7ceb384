/* The data keys of a gallery in memory, and reading and writing stored vectors with them.
 *
 * Table `keys` has each data key, wrapped, once per key-encryption key that can unwrap it. The rows of one
 * key-encryption key are a *slot*; a rotation adds a slot, and a later opening with its key removes the older ones.
 * gallery.data_key is the number of the data key for new vectors; NULL: new vectors are plain. Numbers are random, so a
 * number always means the same key, also after another gallery's backup was restored.
 *
 * The key-encryption key is read from its source whenever data keys are loaded, and wiped afterwards. */
#ifndef HS_GALLERY_CRYPT_KEYS_H
#define HS_GALLERY_CRYPT_KEYS_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gallery/crypt.h"

/* Shared by the threads and connections of a gallery. */
struct hs_gallery_keys;

/* `source` (NULL or "": none) names the key-encryption key; copied. Caller frees with hs_gallery_keys_destroy, which
 * wipes the keys. HS_ENOMEM. */
int hs_gallery_keys_create(const char *source, struct hs_gallery_keys **ret_keys, struct hs_error *err);
void hs_gallery_keys_destroy(struct hs_gallery_keys *keys); /* NULL allowed */

bool hs_gallery_keys_have_source(struct hs_gallery_keys *keys);
void hs_gallery_keys_set_source(struct hs_gallery_keys *keys, char *source); /* takes the text */

/* Reads the key-encryption key from the source. Caller frees *ret with hs_crypt_key_finish. HS_EINVAL: no source is
 * configured; errors of hs_crypt_key_read. */
int hs_gallery_keys_read_source(struct hs_gallery_keys *keys, struct hs_crypt_key *ret, struct hs_error *err);

/* Loads all data keys of a file. Does nothing if the file has none (also with an older schema). HS_EKEY: the file has
 * data keys, but no source is configured, or its key cannot unwrap all of them; the message names the ids of the keys
 * expected and given. */
int hs_gallery_keys_load(struct hs_gallery_keys *keys, sqlite3 *db, struct hs_error *err);

/* Makes sure that the key with this number is in memory. HS_EKEY. */
int hs_gallery_keys_need(struct hs_gallery_keys *keys, sqlite3 *db, int64_t number, struct hs_error *err);

/* Adds a random data key in memory; *ret_number is its number, not 0. HS_ENOMEM. */
int hs_gallery_keys_add(struct hs_gallery_keys *keys, int64_t *ret_number, struct hs_error *err);

/* Inside a transaction: stores the data key `number`, wrapped with `key`, in the slot. The data key must be in memory,
 * otherwise HS_EKEY. */
int hs_gallery_keys_store(struct hs_gallery_keys *keys, sqlite3 *db, int64_t slot, int64_t number,
                          const struct hs_crypt_key *key, struct hs_error *err);

/* Reads the vector in the column of the current row. Returns 1 and writes *ret_dimension floats; or 0 if the value is
 * not a vector or cannot be opened: then *ret_dimension is its dimension by its size, 0 if it is not a whole number of
 * floats or more than `max`. HS_EKEY: the key is needed but not available; HS_ENOMEM. */
int hs_gallery_read_floats(struct hs_gallery_keys *keys, sqlite3_stmt *stmt, int column, struct hs_crypt_row row,
                           float *ret_values, size_t max, size_t *ret_dimension, struct hs_error *err);

/* Seals a vector with the data key `number`, which must be in memory. Writes HS_CRYPT_OVERHEAD + 4 * dimension bytes.
 * HS_EKEY. */
int hs_gallery_seal(struct hs_gallery_keys *keys, int64_t number, struct hs_crypt_row row, const float *values,
                    size_t dimension, uint8_t *ret_sealed, struct hs_error *err);

/* Returns the number of the data key for new vectors; 0: new vectors are plain. For files of any schema. */
int hs_gallery_current_key(sqlite3 *db, int64_t *ret_number, struct hs_error *err);

#endif
