#include "gallery/crypt_keys.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "gallery/gallery_internal.h"

/* More keys than one file has: one, or two while it is encrypted again. When the table is full, the oldest is dropped;
 * a reader that still needs it loads it again. */
enum { KEYS_MAX = 16 };

struct data_key {
    int64_t number;
    uint8_t *bytes;
};

struct hs_gallery_keys {
    pthread_rwlock_t lock; /* guards the fields below */
    char *source;
    struct data_key items[KEYS_MAX];
    size_t count;
};

int hs_gallery_keys_create(const char *source, struct hs_gallery_keys **ret_keys, struct hs_error *err)
{
    struct hs_gallery_keys *keys = calloc(1, sizeof(*keys));
    char *copy = strdup(source ? source : "");
    if (!keys || !copy) {
        free(keys);
        free(copy);
        return hs_gallery_no_memory(err);
    }
    keys->source = copy;
    pthread_rwlock_init(&keys->lock, NULL);
    *ret_keys = keys;
    return 0;
}

void hs_gallery_keys_destroy(struct hs_gallery_keys *keys)
{
    if (!keys)
        return;
    for (size_t i = 0; i < keys->count; i++)
        sodium_free(keys->items[i].bytes);
    pthread_rwlock_destroy(&keys->lock);
    free(keys->source);
    free(keys);
}

bool hs_gallery_keys_have_source(struct hs_gallery_keys *keys)
{
    pthread_rwlock_rdlock(&keys->lock);
    bool have = keys->source[0];
    pthread_rwlock_unlock(&keys->lock);
    return have;
}

void hs_gallery_keys_set_source(struct hs_gallery_keys *keys, char *source)
{
    pthread_rwlock_wrlock(&keys->lock);
    char *former = keys->source;
    keys->source = source;
    pthread_rwlock_unlock(&keys->lock);
    free(former);
}

int hs_gallery_keys_read_source(struct hs_gallery_keys *keys, struct hs_crypt_key *ret, struct hs_error *err)
{
    pthread_rwlock_rdlock(&keys->lock);
    char *source = strdup(keys->source);
    pthread_rwlock_unlock(&keys->lock);
    if (!source)
        return hs_gallery_no_memory(err);
    int r = source[0] ? hs_crypt_key_read(source, ret, err)
                      : hs_error_set(err, HS_EINVAL, "no encryption key is configured; set database.encryption_key");
    free(source);
    return r;
}

/* Call with the lock held. NULL: not in memory. */
static const uint8_t *find(const struct hs_gallery_keys *keys, int64_t number)
{
    for (size_t i = 0; i < keys->count; i++)
        if (keys->items[i].number == number)
            return keys->items[i].bytes;
    return NULL;
}

static bool has(struct hs_gallery_keys *keys, int64_t number)
{
    pthread_rwlock_rdlock(&keys->lock);
    bool found = find(keys, number);
    pthread_rwlock_unlock(&keys->lock);
    return found;
}

/* Takes `bytes`. */
static void put(struct hs_gallery_keys *keys, int64_t number, uint8_t *bytes)
{
    pthread_rwlock_wrlock(&keys->lock);
    if (find(keys, number)) {
        sodium_free(bytes); /* another thread was faster */
    } else {
        if (keys->count == KEYS_MAX) {
            sodium_free(keys->items[0].bytes);
            memmove(keys->items, keys->items + 1, --keys->count * sizeof(keys->items[0]));
        }
        keys->items[keys->count++] = (struct data_key) { number, bytes };
    }
    pthread_rwlock_unlock(&keys->lock);
}

/* ---- the stored keys ---- */

/* A schema from before encryption has neither the table nor the column. */
static int has_table(sqlite3 *db, bool *ret_has, struct hs_error *err)
{
    int64_t count;
    int r = hs_sql_int(db, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'keys'", &count, err);
    *ret_has = r == 0 && count > 0;
    return r;
}

int hs_gallery_current_key(sqlite3 *db, int64_t *ret_number, struct hs_error *err)
{
    bool any;
    int r = has_table(db, &any, err);
    *ret_number = 0;
    return r < 0 || !any ? r : hs_sql_int(db, "SELECT coalesce(data_key, 0) FROM gallery", ret_number, err);
}

/* Unwraps the keys of the rows that `key` wrapped; *ret_count is their number. */
static int unwrap_all(struct hs_gallery_keys *keys, sqlite3 *db, const struct hs_crypt_key *key, int64_t *ret_count,
                      struct hs_error *err)
{
    sqlite3_stmt *stmt;
    *ret_count = 0;
    int r = hs_sql_prepare(db, "SELECT number, wrapped FROM keys WHERE key_id = ?1 ORDER BY slot LIMIT 16", &stmt, err);
    if (r < 0)
        return r;
    sqlite3_bind_text(stmt, 1, key->id, -1, SQLITE_STATIC);
    while (r >= 0 && (r = hs_sql_step(stmt, err)) > 0) {
        int64_t number = sqlite3_column_int64(stmt, 0);
        const void *wrapped = sqlite3_column_blob(stmt, 1);
        ++*ret_count;
        if (has(keys, number))
            continue;
        uint8_t *bytes = hs_crypt_alloc();
        if (!bytes) {
            r = hs_gallery_no_memory(err);
        } else if (hs_crypt_unwrap(key, number, wrapped, (size_t) sqlite3_column_bytes(stmt, 1), bytes)) {
            put(keys, number, bytes);
        } else {
            sodium_free(bytes);
            r = hs_error_set(err, HS_EKEY,
                             "the key stored in the gallery cannot be decrypted with the key %s: the "
                             "file was changed. Restore a backup",
                             key->id);
        }
    }
    sqlite3_finalize(stmt);
    return r;
}

/* `given` is the id of the configured key; NULL: none is configured. */
static int refuse(sqlite3 *db, const char *given, struct hs_error *err)
{
    char ids[3 * HS_CRYPT_ID_SIZE + 16];
    int r = hs_sql_text(db,
                        "SELECT group_concat(key_id, ' or ') FROM (SELECT key_id FROM keys GROUP BY key_id"
                        " ORDER BY max(slot) DESC LIMIT 2)",
                        ids, sizeof(ids), err);
    if (r < 0)
        return r;
    hs_str_make_line(ids);
    if (given)
        return hs_error_set(err, HS_EKEY,
                            "the gallery is encrypted with the key %s, but database.encryption_key is "
                            "the key %s",
                            ids, given);
    return hs_error_set(err, HS_EKEY, "the gallery is encrypted with the key %s; set database.encryption_key to it",
                        ids);
}

int hs_gallery_keys_load(struct hs_gallery_keys *keys, sqlite3 *db, struct hs_error *err)
{
    struct hs_crypt_key key;
    int64_t total = 0, current = 0, unwrapped;
    bool any;
    int r = has_table(db, &any, err);
    if (r == 0 && any)
        r = hs_sql_int(db, "SELECT count(DISTINCT number) FROM keys", &total, err);
    if (r == 0)
        r = hs_gallery_current_key(db, &current, err);
    if (r < 0 || (total == 0 && current == 0))
        return r;
    if (total == 0)
        return hs_error_set(err, HS_EKEY,
                            "the gallery is encrypted, but its stored keys were deleted. Restore a backup");
    if (!hs_gallery_keys_have_source(keys))
        return refuse(db, NULL, err);
    r = hs_gallery_keys_read_source(keys, &key, err);
    if (r < 0)
        return r;
    r = unwrap_all(keys, db, &key, &unwrapped, err);
    if (r == 0 && unwrapped < total)
        r = refuse(db, key.id, err);
    hs_crypt_key_finish(&key);
    return r;
}

int hs_gallery_keys_need(struct hs_gallery_keys *keys, sqlite3 *db, int64_t number, struct hs_error *err)
{
    int r = has(keys, number) ? 0 : hs_gallery_keys_load(keys, db, err);
    if (r == 0 && !has(keys, number))
        r = hs_error_set(err, HS_EKEY, "the gallery has no key for its new faces. Restore a backup");
    return r;
}

int hs_gallery_keys_add(struct hs_gallery_keys *keys, int64_t *ret_number, struct hs_error *err)
{
    uint8_t *bytes = hs_crypt_alloc();
    if (!bytes)
        return hs_gallery_no_memory(err);
    int64_t number = 0;
    while (number == 0) {
        randombytes_buf(&number, sizeof(number));
        number &= INT64_MAX;
    }
    randombytes_buf(bytes, HS_CRYPT_KEY_SIZE);
    put(keys, number, bytes);
    *ret_number = number;
    return 0;
}

int hs_gallery_keys_store(struct hs_gallery_keys *keys, sqlite3 *db, int64_t slot, int64_t number,
                          const struct hs_crypt_key *key, struct hs_error *err)
{
    uint8_t wrapped[HS_CRYPT_WRAPPED_SIZE];
    sqlite3_stmt *stmt;
    pthread_rwlock_rdlock(&keys->lock);
    const uint8_t *bytes = find(keys, number);
    if (bytes)
        hs_crypt_wrap(key, number, bytes, wrapped);
    pthread_rwlock_unlock(&keys->lock);
    if (!bytes)
        return hs_error_set(err, HS_EKEY, "a key of the gallery is not loaded; try again");
    int r = hs_sql_prepare(db, "INSERT INTO keys (slot, number, key_id, wrapped) VALUES (?1, ?2, ?3, ?4)", &stmt, err);
    if (r < 0)
        return r;
    sqlite3_bind_int64(stmt, 1, slot);
    sqlite3_bind_int64(stmt, 2, number);
    sqlite3_bind_text(stmt, 3, key->id, -1, SQLITE_STATIC);
    sqlite3_bind_blob64(stmt, 4, wrapped, sizeof(wrapped), SQLITE_STATIC);
    r = hs_sql_run(stmt, err);
    sqlite3_finalize(stmt);
    return r;
}

/* ---- vectors ---- */

static int open_with(struct hs_gallery_keys *keys, int64_t number, struct hs_crypt_row row, const void *sealed,
                     size_t size, float *ret_values, bool *ret_known)
{
    pthread_rwlock_rdlock(&keys->lock);
    const uint8_t *bytes = find(keys, number);
    bool valid = bytes && hs_crypt_open(bytes, row, sealed, size, ret_values);
    pthread_rwlock_unlock(&keys->lock);
    *ret_known = bytes;
    return valid;
}

/* A row that names a key which the gallery does not have is damaged. If the gallery has it, the file was encrypted
 * again by another process, and the key is loaded now. */
static int open_sealed(struct hs_gallery_keys *keys, sqlite3 *db, int64_t number, struct hs_crypt_row row,
                       const void *sealed, size_t size, float *ret_values, struct hs_error *err)
{
    char sql[80];
    int64_t stored;
    bool known, any;
    int valid = open_with(keys, number, row, sealed, size, ret_values, &known);
    if (known)
        return valid;
    hs_str_format(sql, sizeof(sql), "SELECT count(*) FROM keys WHERE number = %lld", (long long) number);
    int r = has_table(db, &any, err);
    if (r < 0 || !any)
        return r;
    r = hs_sql_int(db, sql, &stored, err);
    if (r < 0 || stored == 0)
        return r;
    r = hs_gallery_keys_need(keys, db, number, err);
    return r < 0 ? r : open_with(keys, number, row, sealed, size, ret_values, &known);
}

int hs_gallery_read_floats(struct hs_gallery_keys *keys, sqlite3_stmt *stmt, int column, struct hs_crypt_row row,
                           float *ret_values, size_t max, size_t *ret_dimension, struct hs_error *err)
{
    const void *blob = sqlite3_column_blob(stmt, column);
    size_t size = (size_t) sqlite3_column_bytes(stmt, column), dimension = hs_crypt_dimension(blob, size);
    int64_t number;
    *ret_dimension = dimension > max ? 0 : dimension;
    if (!blob && sqlite3_errcode(sqlite3_db_handle(stmt)) == SQLITE_NOMEM)
        return hs_gallery_no_memory(err);
    if (*ret_dimension == 0)
        return 0;
    if (hs_crypt_is_sealed(blob, size, &number))
        return open_sealed(keys, sqlite3_db_handle(stmt), number, row, blob, size, ret_values, err);
    memcpy(ret_values, blob, size);
    return 1;
}

int hs_gallery_seal(struct hs_gallery_keys *keys, int64_t number, struct hs_crypt_row row, const float *values,
                    size_t dimension, uint8_t *ret_sealed, struct hs_error *err)
{
    pthread_rwlock_rdlock(&keys->lock);
    const uint8_t *bytes = find(keys, number);
    if (bytes)
        hs_crypt_seal(bytes, number, row, values, dimension, ret_sealed);
    pthread_rwlock_unlock(&keys->lock);
    return bytes ? 0 : hs_error_set(err, HS_EKEY, "the key of the gallery is not loaded; try again");
}
