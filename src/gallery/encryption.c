#include "gallery/encryption.h"

#include <sodium.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"
#include "gallery/convert.h"

/* A change holds the lock of the file for some 10 ms. The pause lets other processes begin a change in between: they
 * poll the lock. */
enum { BATCH = 256, PAUSE_MS = 5 };

/* ---- stored vectors ---- */

/* Stores a vector of a file that may not be open as a gallery. */
static int store(sqlite3_stmt *update, struct hs_gallery_keys *keys, int64_t number, struct hs_crypt_row row,
                 const float *values, size_t dimension, struct hs_error *err)
{
    uint8_t sealed[HS_CRYPT_OVERHEAD + HS_GALLERY_DIMENSION_MAX * sizeof(float)];
    size_t size = dimension * sizeof(float);
    int r = number ? hs_gallery_seal(keys, number, row, values, dimension, sealed, err) : 0;
    if (r < 0)
        return r;
    sqlite3_bind_int64(update, 1, row.id);
    if (number)
        sqlite3_bind_blob64(update, 2, sealed, HS_CRYPT_OVERHEAD + size, SQLITE_STATIC);
    else
        sqlite3_bind_blob64(update, 2, values, size, SQLITE_STATIC);
    return hs_sql_run(update, err);
}

static int convert_row(sqlite3_stmt *row, sqlite3_stmt *update, struct hs_gallery_keys *keys, int64_t number,
                       struct hs_gallery_converted *done, struct hs_error *err)
{
    float values[HS_GALLERY_DIMENSION_MAX];
    const struct hs_crypt_row at = { sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1) };
    const void *blob = sqlite3_column_blob(row, 2);
    int64_t have = 0;
    size_t dimension;
    bool sealed = hs_crypt_is_sealed(blob, (size_t) sqlite3_column_bytes(row, 2), &have);
    if (number ? sealed && have == number : !sealed)
        return 0;
    int r = hs_gallery_read_floats(keys, row, 2, at, values, HS_GALLERY_DIMENSION_MAX, &dimension, err);
    if (r == 0)
        done->unreadable++;
    if (r > 0) {
        r = store(update, keys, number, at, values, dimension, err);
        done->vectors++;
        sodium_memzero(values, dimension * sizeof(float));
    }
    return r;
}

int hs_gallery_convert_some(struct hs_gallery_keys *keys, sqlite3 *db, int64_t number, int64_t *last, int64_t limit,
                            int64_t *ret_seen, struct hs_gallery_converted *done, struct hs_error *err)
{
    sqlite3_stmt *rows = NULL, *update = NULL;
    int r = hs_sql_prepare(db, "UPDATE embeddings SET embedding = ?2 WHERE id = ?1", &update, err);
    if (r == 0)
        r = hs_sql_prepare(db, "SELECT id, identity_id, embedding FROM embeddings WHERE id > ?1 ORDER BY id LIMIT ?2",
                           &rows, err);
    if (r == 0) {
        sqlite3_bind_int64(rows, 1, *last);
        sqlite3_bind_int64(rows, 2, limit);
    }
    *ret_seen = 0;
    while (r >= 0 && (r = hs_sql_step(rows, err)) > 0) {
        *last = sqlite3_column_int64(rows, 0);
        ++*ret_seen;
        r = convert_row(rows, update, keys, number, done, err);
    }
    sqlite3_finalize(rows);
    sqlite3_finalize(update);
    return r;
}

/* ---- stored keys ---- */

/* Inside a change or a read: the slot of a key, and the newest slot; 0: none. */
static int find_slots(sqlite3 *db, const char *key_id, int64_t *ret_slot, int64_t *ret_newest, struct hs_error *err)
{
    char sql[120];
    hs_str_format(sql, sizeof(sql), "SELECT coalesce(max(slot), 0) FROM keys WHERE key_id = '%s'", key_id);
    int r = hs_sql_int(db, sql, ret_slot, err);
    return r < 0 ? r : hs_sql_int(db, "SELECT coalesce(max(slot), 0) FROM keys", ret_newest, err);
}

static int set_data_key(sqlite3 *db, int64_t number, struct hs_error *err)
{
    char sql[80];
    hs_str_format(sql, sizeof(sql), "UPDATE gallery SET data_key = nullif(%lld, 0)", (long long) number);
    return hs_sql_exec(db, sql, err);
}

/* Every change of ours counts, so that search indexes do not take it for one by another program. No identity has the
 * id 0: no vector has another value. */
static int count_change(struct hs_gallery *gallery, struct hs_error *err)
{
    return hs_gallery_touch(gallery, 0, err);
}

/* If decryption was interrupted, its data key is used again. */
static int begin_in_txn(struct hs_gallery *gallery, const struct hs_crypt_key *key, struct hs_error *err)
{
    sqlite3 *db = gallery->writer->db;
    int64_t number;
    hs_audit_draft(gallery, "begin_encryption");
    hs_audit_text(gallery, "key", key->id);
    int r = hs_gallery_keys_load(gallery->keys, db, err);
    if (r == 0)
        r = hs_sql_int(db, "SELECT coalesce(max(number), 0) FROM keys", &number, err);
    if (r == 0 && number == 0) {
        r = hs_gallery_keys_add(gallery->keys, &number, err);
        if (r == 0)
            r = hs_gallery_keys_store(gallery->keys, db, 1, number, key, err);
    }
    if (r == 0)
        r = set_data_key(db, number, err);
    return r < 0 ? r : count_change(gallery, err);
}

int hs_gallery_begin_encryption(struct hs_gallery *gallery, bool *ret_added, struct hs_error *err)
{
    struct hs_crypt_key key;
    *ret_added = false;
    int r = hs_gallery_keys_read_source(gallery->keys, &key, err);
    if (r < 0)
        return r;
    r = hs_gallery_begin(gallery, err);
    if (r == 0) {
        *ret_added = gallery->data_key == 0;
        r = hs_gallery_end(gallery, *ret_added ? begin_in_txn(gallery, &key, err) : 0, false, err);
    }
    hs_crypt_key_finish(&key);
    return r;
}

static int remove_slots_in_txn(struct hs_gallery *gallery, const char *key_id, int64_t *ret_removed,
                               struct hs_error *err)
{
    sqlite3 *db = gallery->writer->db;
    int64_t slot, newest;
    char sql[100];
    int r = find_slots(db, key_id, &slot, &newest, err);
    if (r < 0 || slot == 0 || slot < newest)
        return r;
    hs_str_format(sql, sizeof(sql), "SELECT count(DISTINCT slot) FROM keys WHERE slot < %lld", (long long) slot);
    r = hs_sql_int(db, sql, ret_removed, err);
    if (r < 0 || *ret_removed == 0)
        return r;
    hs_audit_draft(gallery, "remove_former_keys");
    hs_audit_text(gallery, "key", key_id);
    hs_audit_number(gallery, "count", *ret_removed);
    hs_str_format(sql, sizeof(sql), "DELETE FROM keys WHERE slot < %lld", (long long) slot);
    r = hs_sql_exec(db, sql, err);
    return r < 0 ? r : count_change(gallery, err);
}

int hs_gallery_finish_rotation(struct hs_gallery *gallery, int64_t *ret_removed, struct hs_error *err)
{
    struct hs_crypt_key key;
    *ret_removed = 0;
    int r = hs_gallery_keys_read_source(gallery->keys, &key, err);
    if (r < 0)
        return r;
    r = hs_gallery_begin(gallery, err);
    if (r == 0) {
        r = remove_slots_in_txn(gallery, key.id, ret_removed, err);
        r = hs_gallery_end(gallery, r, *ret_removed > 0, err);
    }
    hs_crypt_key_finish(&key);
    return r;
}

/* ---- converting a gallery in use ---- */

struct conversion {
    struct hs_gallery *gallery;
    int64_t number; /* of the data key of all vectors; 0: plain */
    int64_t last, seen;
    int64_t change; /* the change before the first batch */
    struct hs_gallery_converted done;
};

/* A call in another process may have encrypted everything with another key, or decrypted it. A restored backup may have
 * vectors of former data keys among those that were converted already, even if its newest data key is the same. */
static int check_number(const struct conversion *conversion, struct hs_error *err)
{
    const struct hs_gallery *gallery = conversion->gallery;
    if (gallery->data_key != conversion->number)
        return hs_error_set(err, HS_ECONFLICT, "another process changed the encryption of the gallery; try again");
    if (gallery->change - conversion->change >= HS_GALLERY_RESTORE_CHANGES)
        return hs_error_set(err, HS_ECONFLICT, "a backup was restored meanwhile; try again");
    return 0;
}

static int convert_batch(struct conversion *conversion, bool *ret_more, struct hs_error *err)
{
    struct hs_gallery *gallery = conversion->gallery;
    struct hs_gallery_converted done = conversion->done;
    int64_t last = conversion->last, seen = 0;
    int r = hs_gallery_begin(gallery, err);
    if (r < 0)
        return r;
    if (conversion->seen == 0)
        conversion->change = gallery->change;
    r = check_number(conversion, err);
    if (r == 0)
        r = hs_gallery_convert_some(gallery->keys, gallery->writer->db, conversion->number, &last, BATCH, &seen, &done,
                                    err);
    bool changed = done.vectors > conversion->done.vectors;
    hs_audit_draft(gallery, conversion->number ? "encrypt" : "decrypt");
    hs_audit_number(gallery, "embeddings", done.vectors - conversion->done.vectors);
    if (r == 0 && changed)
        r = count_change(gallery, err);
    r = hs_gallery_end(gallery, r, changed, err);
    if (r < 0)
        return r;
    conversion->done = done;
    conversion->last = last;
    conversion->seen += seen;
    *ret_more = seen == BATCH;
    return 0;
}

/* The vectors all have the data key now, so the others are no longer needed. */
static int remove_data_keys(struct conversion *conversion, struct hs_error *err)
{
    struct hs_gallery *gallery = conversion->gallery;
    char sql[80];
    int64_t others;
    int r = hs_gallery_begin(gallery, err);
    if (r < 0)
        return r;
    hs_audit_draft(gallery, "remove_data_keys");
    r = check_number(conversion, err);
    hs_str_format(sql, sizeof(sql), "SELECT count(*) FROM keys WHERE number <> %lld", (long long) conversion->number);
    if (r == 0)
        r = hs_sql_int(gallery->writer->db, sql, &others, err);
    hs_str_format(sql, sizeof(sql), "DELETE FROM keys WHERE number <> %lld", (long long) conversion->number);
    if (r == 0 && others > 0)
        r = hs_sql_exec(gallery->writer->db, sql, err);
    if (r == 0 && others > 0)
        r = count_change(gallery, err);
    return hs_gallery_end(gallery, r, true, err);
}

static int convert_all(struct conversion *conversion, hs_gallery_progress progress, void *arg, struct hs_error *err)
{
    static const struct timespec pause = { .tv_nsec = PAUSE_MS * HS_NS_PER_MS };
    int64_t total = hs_gallery_get_counts(conversion->gallery).embeddings;
    bool more = true;
    int r = 0;
    conversion->last = INT64_MIN; /* other programs can store any id */
    while (r == 0 && more) {
        r = convert_batch(conversion, &more, err);
        if (r == 0 && progress)
            progress(arg, conversion->seen, total);
        if (r == 0 && more)
            nanosleep(&pause, NULL);
    }
    if (r == 0 && conversion->done.unreadable == 0)
        r = remove_data_keys(conversion, err);
    return r < 0 ? r : hs_gallery_finish_erasing(conversion->gallery, err);
}

/* The number of the data key for new vectors, read in a snapshot. */
static int read_number(struct hs_gallery *gallery, int64_t *ret_number, struct hs_error *err)
{
    struct hs_gallery_conn *conn;
    int r = hs_gallery_begin_read(gallery, &conn, err);
    if (r < 0)
        return r;
    r = hs_gallery_current_key(conn->db, ret_number, err);
    hs_gallery_end_read(gallery, conn);
    return r;
}

int hs_gallery_encrypt(struct hs_gallery *gallery, hs_gallery_progress progress, void *arg,
                       struct hs_gallery_converted *ret, struct hs_error *err)
{
    struct conversion conversion = { .gallery = gallery };
    int64_t removed;
    bool added;
    int r = hs_gallery_begin_encryption(gallery, &added, err);
    if (r == 0)
        r = hs_gallery_finish_rotation(gallery, &removed, err);
    if (r == 0)
        r = read_number(gallery, &conversion.number, err);
    conversion.done.continued = !added;
    if (r == 0)
        r = convert_all(&conversion, progress, arg, err);
    *ret = conversion.done;
    return r;
}

static int end_in_txn(struct hs_gallery *gallery, bool *ret_continued, struct hs_error *err)
{
    *ret_continued = gallery->data_key == 0;
    if (*ret_continued)
        return 0;
    hs_audit_draft(gallery, "end_encryption");
    int r = set_data_key(gallery->writer->db, 0, err);
    return r < 0 ? r : count_change(gallery, err);
}

int hs_gallery_decrypt(struct hs_gallery *gallery, hs_gallery_progress progress, void *arg,
                       struct hs_gallery_converted *ret, struct hs_error *err)
{
    struct conversion conversion = { .gallery = gallery };
    int r = hs_gallery_begin(gallery, err);
    if (r == 0)
        r = hs_gallery_end(gallery, end_in_txn(gallery, &conversion.done.continued, err), false, err);
    if (r == 0)
        r = convert_all(&conversion, progress, arg, err);
    *ret = conversion.done;
    return r;
}

/* ---- rotation ---- */

struct rotation {
    struct hs_gallery *gallery;
    struct hs_crypt_key old, new; /* new.bytes is NULL: the key stays */
    int64_t number;               /* of the data key for new vectors */
    bool continued;
};

/* Wraps all stored data keys with the new key, in a new slot. */
static int add_slot(struct rotation *rotation, int64_t slot, struct hs_error *err)
{
    struct hs_gallery *gallery = rotation->gallery;
    sqlite3 *db = gallery->writer->db;
    sqlite3_stmt *stmt;
    int64_t numbers[16];
    size_t count = 0;
    int r = hs_sql_prepare(db, "SELECT DISTINCT number FROM keys LIMIT 16", &stmt, err);
    while (r >= 0 && (r = hs_sql_step(stmt, err)) > 0)
        numbers[count++] = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = hs_gallery_keys_store(gallery->keys, db, slot, numbers[i], &rotation->new, err);
    return r;
}

/* Makes sure that the slots are those of the old and the new key. *ret_slot is the slot of the old key, *ret_new that
 * of the new one. */
static int prepare_slots(struct rotation *rotation, int64_t *ret_slot, int64_t *ret_new, struct hs_error *err)
{
    sqlite3 *db = rotation->gallery->writer->db;
    int64_t newest;
    int r = find_slots(db, rotation->old.id, ret_slot, &newest, err);
    *ret_new = 0;
    if (r == 0 && rotation->new.bytes)
        r = find_slots(db, rotation->new.id, ret_new, &newest, err);
    if (r < 0)
        return r;
    bool pending = newest != *ret_slot;
    if (pending && newest != *ret_new)
        return hs_error_set(err, HS_ECONFLICT,
                            "a rotation to another key has begun; set database.encryption_key to "
                            "that key, and start the service with it first");
    rotation->continued = pending;
    if (!rotation->new.bytes || pending)
        return 0;
    *ret_new = newest + 1;
    return add_slot(rotation, *ret_new, err);
}

/* Makes another data key, unless an interrupted call did. */
static int add_data_key(struct rotation *rotation, int64_t slot, int64_t new_slot, struct hs_error *err)
{
    struct hs_gallery *gallery = rotation->gallery;
    sqlite3 *db = gallery->writer->db;
    int64_t count;
    int r = hs_sql_int(db, "SELECT count(DISTINCT number) FROM keys", &count, err);
    if (r < 0 || count > 1) {
        rotation->continued = true;
        return r;
    }
    r = hs_gallery_keys_add(gallery->keys, &rotation->number, err);
    if (r == 0)
        r = hs_gallery_keys_store(gallery->keys, db, slot, rotation->number, &rotation->old, err);
    if (r == 0 && rotation->new.bytes)
        r = hs_gallery_keys_store(gallery->keys, db, new_slot, rotation->number, &rotation->new, err);
    return r < 0 ? r : set_data_key(db, rotation->number, err);
}

static int rotate_in_txn(struct rotation *rotation, bool new_data_key, struct hs_error *err)
{
    int64_t slot, new_slot;
    if (rotation->gallery->data_key == 0)
        return hs_error_set(err, HS_EINVAL, "the gallery is not encrypted. `hailo-face db encrypt` encrypts it");
    rotation->number = rotation->gallery->data_key;
    hs_audit_draft(rotation->gallery, new_data_key ? "rotate_data_key" : "rotate_key");
    hs_audit_text(rotation->gallery, "key", rotation->new.bytes ? rotation->new.id : rotation->old.id);
    int r = hs_gallery_keys_load(rotation->gallery->keys, rotation->gallery->writer->db, err);
    if (r == 0)
        r = prepare_slots(rotation, &slot, &new_slot, err);
    if (r == 0 && new_data_key)
        r = add_data_key(rotation, slot, new_slot, err);
    return r < 0 ? r : count_change(rotation->gallery, err);
}

static int rotate(struct rotation *rotation, bool new_data_key, struct hs_error *err)
{
    int64_t removed;
    /* If the configured key is the new one already. */
    int r = hs_gallery_finish_rotation(rotation->gallery, &removed, err);
    if (r == 0)
        r = hs_gallery_begin(rotation->gallery, err);
    return r < 0 ? r : hs_gallery_end(rotation->gallery, rotate_in_txn(rotation, new_data_key, err), false, err);
}

int hs_gallery_rotate_key(struct hs_gallery *gallery, const char *new_source, bool new_data_key,
                          hs_gallery_progress progress, void *arg, char ret_id[17], struct hs_gallery_converted *ret,
                          struct hs_error *err)
{
    struct rotation rotation = { .gallery = gallery };
    *ret = (struct hs_gallery_converted) { 0 };
    int r = hs_gallery_keys_read_source(gallery->keys, &rotation.old, err);
    if (r == 0 && new_source)
        r = hs_crypt_key_read(new_source, &rotation.new, err);
    if (r == 0 && new_source && strcmp(rotation.old.id, rotation.new.id) == 0)
        r = hs_error_set(err, HS_EINVAL, "the new key is the one that database.encryption_key names already");
    if (r == 0)
        r = rotate(&rotation, new_data_key, err);
    hs_str_copy(ret_id, HS_CRYPT_ID_SIZE, rotation.new.bytes ? rotation.new.id : rotation.old.id);
    hs_crypt_key_finish(&rotation.old);
    hs_crypt_key_finish(&rotation.new);
    if (r == 0 && new_data_key) {
        struct conversion conversion = { .gallery = gallery, .number = rotation.number };
        r = convert_all(&conversion, progress, arg, err);
        *ret = conversion.done;
    }
    ret->continued = rotation.continued;
    return r;
}

/* ---- the state ---- */

static int read_encryption(struct hs_gallery *gallery, sqlite3 *db, struct hs_gallery_encryption *ret,
                           struct hs_error *err)
{
    struct hs_crypt_key key;
    int64_t number, count, keys, slot, newest;
    int r = hs_gallery_current_key(db, &number, err);
    if (r == 0)
        r = hs_sql_int(db, "SELECT count(DISTINCT number) FROM keys", &count, err);
    if (r == 0)
        r = hs_sql_int(db, "SELECT count(DISTINCT slot) FROM keys", &keys, err);
    if (r < 0 || count == 0)
        return r;
    ret->on = number != 0;
    ret->keys = (int) keys;
    ret->data_keys = (int) count;
    r = hs_gallery_keys_read_source(gallery->keys, &key, err);
    if (r < 0)
        return r;
    hs_str_copy(ret->key_id, sizeof(ret->key_id), key.id);
    hs_crypt_key_finish(&key);
    r = find_slots(db, ret->key_id, &slot, &newest, err);
    if (r == 0 && slot < newest)
        r = hs_sql_text(db, "SELECT key_id FROM keys ORDER BY slot DESC LIMIT 1", ret->key_pending,
                        sizeof(ret->key_pending), err);
    return r;
}

int hs_gallery_get_encryption(struct hs_gallery *gallery, struct hs_gallery_encryption *ret, struct hs_error *err)
{
    struct hs_gallery_conn *conn;
    *ret = (struct hs_gallery_encryption) { 0 };
    int r = hs_gallery_begin_read(gallery, &conn, err);
    if (r < 0)
        return r;
    r = read_encryption(gallery, conn->db, ret, err);
    hs_gallery_end_read(gallery, conn);
    return r;
}

/* ---- another key for a gallery in use ---- */

int hs_gallery_check_key(struct hs_gallery *gallery, const char *source, struct hs_error *err)
{
    struct hs_gallery_keys *keys;
    struct hs_gallery_conn *conn;
    struct hs_crypt_key key;
    int r = hs_gallery_keys_create(source, &keys, err);
    if (r < 0)
        return r;
    /* Also if the gallery is not encrypted yet. */
    if (hs_gallery_keys_have_source(keys) && (r = hs_gallery_keys_read_source(keys, &key, err)) == 0)
        hs_crypt_key_finish(&key);
    if (r == 0)
        r = hs_gallery_begin_read(gallery, &conn, err);
    if (r == 0) {
        r = hs_gallery_keys_load(keys, conn->db, err);
        hs_gallery_end_read(gallery, conn);
    }
    hs_gallery_keys_destroy(keys);
    return r;
}

int hs_gallery_change_key(struct hs_gallery *gallery, char *source, bool *ret_added, int64_t *ret_removed,
                          struct hs_error *err)
{
    *ret_added = false;
    *ret_removed = 0;
    hs_gallery_keys_set_source(gallery->keys, source);
    if (!source[0])
        return 0;
    int r = hs_gallery_begin_encryption(gallery, ret_added, err);
    return r < 0 ? r : hs_gallery_finish_rotation(gallery, ret_removed, err);
}

/* ---- restoring ---- */

static int copy_keys(sqlite3 *from, sqlite3 *into, struct hs_error *err)
{
    sqlite3_stmt *rows = NULL, *insert = NULL;
    int r = hs_sql_exec(into, "DELETE FROM keys", err);
    if (r == 0)
        r = hs_sql_prepare(from, "SELECT slot, number, key_id, wrapped FROM keys", &rows, err);
    if (r == 0)
        r = hs_sql_prepare(into, "INSERT INTO keys (slot, number, key_id, wrapped) VALUES (?1, ?2, ?3, ?4)", &insert,
                           err);
    while (r >= 0 && (r = hs_sql_step(rows, err)) > 0) {
        for (int i = 0; i < 4; i++)
            sqlite3_bind_value(insert, i + 1, sqlite3_column_value(rows, i));
        r = hs_sql_run(insert, err);
    }
    sqlite3_finalize(rows);
    sqlite3_finalize(insert);
    return r;
}

int hs_gallery_keep_encryption(struct hs_gallery *gallery, sqlite3 *unpacked, struct hs_error *err)
{
    sqlite3 *own = gallery->writer->db;
    struct hs_gallery_converted done = { 0 };
    int64_t number, theirs, last = INT64_MIN, seen;
    int r = hs_gallery_keys_load(gallery->keys, unpacked, err);
    if (r == 0)
        r = hs_gallery_current_key(own, &number, err);
    if (r == 0)
        r = hs_gallery_current_key(unpacked, &theirs, err);
    if (r < 0 || number == 0 || theirs != 0)
        return r;
    r = hs_gallery_keys_need(gallery->keys, own, number, err);
    if (r == 0)
        r = hs_sql_exec(unpacked, "BEGIN IMMEDIATE", err);
    if (r == 0)
        r = hs_gallery_convert_some(gallery->keys, unpacked, number, &last, INT64_MAX, &seen, &done, err);
    if (r == 0)
        r = copy_keys(own, unpacked, err);
    if (r == 0)
        r = set_data_key(unpacked, number, err);
    if (r == 0)
        r = hs_sql_exec(unpacked, "COMMIT", err);
    if (r != 0 && !sqlite3_get_autocommit(unpacked))
        hs_sql_exec(unpacked, "ROLLBACK", NULL);
    return r;
}
