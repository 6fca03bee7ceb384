/* Galleries whose vectors are encrypted: keys, rotation, and files that other programs changed. */
#include "fixture.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "gallery/convert.h"
#include "gallery/export.h"
#include "gallery/files.h"

enum { BATCH = 256, MANY = 600 }; /* more than two batches of a conversion */

struct key {
    char path[128], id[HS_CRYPT_ID_SIZE];
};

static struct key make_key(const struct fixture *f, const char *name)
{
    struct key key;
    hs_path_join(key.path, sizeof(key.path), f->dir, name);
    assert_int_equal(hs_crypt_key_generate(key.path, key.id, NULL), 0);
    return key;
}

/* Opens the gallery with a key, as the service does. */
static struct hs_gallery *open_with(struct fixture *f, const struct key *key)
{
    fixture_close(f);
    f->options.key = key->path;
    f->options.encrypt = true;
    return fixture_open(f);
}

static int try_open(struct fixture *f, const char *key, struct hs_error *err)
{
    struct hs_gallery *gallery;
    fixture_close(f);
    f->options.key = key;
    int r = hs_gallery_open(&f->options, &gallery, NULL, err);
    if (r == 0)
        hs_gallery_close(gallery);
    return r;
}

/* The identity must have exactly the vectors of these seeds, in this order. */
static void assert_vectors(struct hs_gallery *g, const char *name, unsigned first, unsigned count)
{
    struct hs_gallery_person *person;
    float wanted[DIMENSION];
    assert_int_equal(hs_gallery_get(g, name, true, &person, NULL), 0);
    assert_int_equal(person->count, count);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(person->embeddings[i].dimension, DIMENSION);
        assert_memory_equal(person->embeddings[i].values, unit_vector(first + i, wanted), sizeof(wanted));
    }
    hs_gallery_person_destroy(person);
}

static void add_many(struct hs_gallery *g, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char name[16];
        hs_str_format(name, sizeof(name), "p%u", i / 3);
        add(g, name, 1000 + i);
    }
}

static void assert_many(struct hs_gallery *g, unsigned count)
{
    for (unsigned i = 0; i < count; i += 3) {
        char name[16];
        hs_str_format(name, sizeof(name), "p%u", i / 3);
        assert_vectors(g, name, 1000 + i, 3);
    }
    struct hs_gallery_audit audit = stats_of(g);
    assert_int_equal(audit.usability.embeddings[HS_GALLERY_USABLE], count);
}

static void assert_state(struct hs_gallery *g, bool on, int data_keys, const char *key, const char *pending)
{
    struct hs_gallery_encryption state;
    assert_int_equal(hs_gallery_get_encryption(g, &state, NULL), 0);
    assert_int_equal(state.on, on);
    assert_int_equal(state.data_keys, data_keys);
    assert_string_equal(state.key_id, key);
    assert_string_equal(state.key_pending, pending);
}

/* A file of the folder begins with this name. */
static bool folder_lists(const struct fixture *f, const char *start)
{
    DIR *dir = opendir(f->dir);
    assert_non_null(dir);
    struct dirent *entry;
    bool found = false;
    while ((entry = readdir(dir)))
        found |= hs_str_starts(entry->d_name, start);
    closedir(dir);
    return found;
}

/* The unpacked backup has the bytes of the vector. */
static bool backup_has(const struct fixture *f, const char *backup, unsigned seed)
{
    char path[PATH_MAX];
    hs_path_join(path, sizeof(path), f->dir, "unpacked");
    assert_int_equal(hs_gallery_make_file(path, NULL), 0);
    assert_int_equal(hs_gallery_uncompress(backup, path, NULL), 0);
    bool found = folder_has(f, seed);
    unlink(path);
    return found;
}

/* ---- a new gallery, and one that was plain ---- */

static void test_new_gallery(void **state)
{
    struct fixture *f = *state;
    const struct key key = make_key(f, "key");
    char backup[PATH_MAX];
    struct hs_gallery *g = open_with(f, &key);
    assert_true(f->opened.created && f->opened.key_added);
    assert_string_equal(f->opened.key_id, key.id);
    add(g, "a", 1);
    add(g, "a", 2);
    assert_false(folder_has(f, 1)); /* while the log still has the change */
    assert_vectors(g, "a", 1, 2);
    assert_int_equal(hs_gallery_backup(g, backup, NULL), 0);
    assert_false(backup_has(f, backup, 1));
    g = open_with(f, &key);
    assert_false(f->opened.key_added);
    assert_int_equal(f->opened.plain, 0);
    assert_vectors(g, "a", 1, 2);
    assert_state(g, true, 1, key.id, "");
    assert_int_equal(hs_gallery_check(g, NULL), 0);
}

static void touched(void *arg, int64_t identity_id)
{
    *(int *) arg += identity_id != 0;
}

static int each(void *arg, const struct hs_gallery_entry *entry)
{
    (void) entry;
    ++*(int *) arg;
    return 0;
}

/* Encrypting a plain gallery erases the plain vectors, and an index has nothing to read again. */
static void test_encrypt_and_decrypt(void **state)
{
    struct fixture *f = *state;
    const struct key key = make_key(f, "key");
    struct hs_gallery_converted done;
    struct hs_gallery_version before, after;
    struct hs_gallery *service, *g = fixture_open(f);
    add_many(g, MANY);
    assert_true(folder_has(f, 1000));
    service = open_with(f, &key);
    assert_true(f->opened.key_added);
    assert_int_equal(f->opened.plain, MANY);
    add(service, "new", 1);
    assert_false(folder_has(f, 1));
    assert_int_equal(hs_gallery_get_version(service, &before, NULL), 0);
    assert_int_equal(hs_gallery_open(&f->options, &g, NULL, NULL), 0);
    assert_int_equal(hs_gallery_encrypt(g, NULL, NULL, &done, NULL), 0);
    assert_int_equal(done.vectors, MANY);
    assert_int_equal(done.unreadable, 0);
    for (unsigned i = 0; i < MANY; i += 37)
        assert_false(folder_has(f, 1000 + i));
    int seen = 0;
    assert_int_equal(hs_gallery_for_each_since(service, &before, touched, each, &seen, &after, NULL), 0);
    assert_int_equal(seen, 0);
    assert_vectors(service, "new", 1, 1);
    assert_int_equal(hs_gallery_encrypt(g, NULL, NULL, &done, NULL), 0);
    assert_int_equal(done.vectors, 0);
    assert_true(done.continued);
    assert_int_equal(hs_gallery_decrypt(g, NULL, NULL, &done, NULL), 0);
    assert_int_equal(done.vectors, MANY + 1);
    assert_true(folder_has(f, 1) && folder_has(f, 1000));
    assert_state(g, false, 0, "", "");
    add(service, "new", 2); /* plain again */
    assert_vectors(service, "new", 1, 2);
    hs_gallery_close(g);
    assert_int_equal(try_open(f, NULL, NULL), 0);
}

/* A key that does not exist yet is refused before anything is created. */
static void test_no_key_file(void **state)
{
    struct fixture *f = *state;
    char path[128];
    struct hs_error err;
    hs_path_join(path, sizeof(path), f->dir, "missing");
    assert_int_equal(try_open(f, path, &err), HS_EKEY);
    assert_non_null(strstr(err.message, path));
    assert_false(hs_file_exists(f->path));
}

/* ---- keys that do not fit ---- */

static uint8_t *read_file(const char *path, size_t *ret_len)
{
    uint8_t *data;
    assert_int_equal(hs_file_read(path, SIZE_MAX / 2, &data, ret_len, NULL), 0);
    return data;
}

/* The gallery cannot be opened, nothing is changed, and nothing is set aside. */
static void assert_refused(struct fixture *f, const char *key, const char *text, const char *other)
{
    struct hs_error err;
    size_t before_len, after_len;
    fixture_close(f);
    uint8_t *before = read_file(f->path, &before_len);
    assert_int_equal(try_open(f, key, &err), HS_EKEY);
    if (!strstr(err.message, text) || !strstr(err.message, other))
        fail_msg("%s", err.message);
    uint8_t *after = read_file(f->path, &after_len);
    assert_int_equal(after_len, before_len);
    assert_memory_equal(after, before, before_len);
    assert_false(folder_lists(f, "faces.db.corrupt-"));
    free(before);
    free(after);
}

static void test_wrong_and_lost_keys(void **state)
{
    struct fixture *f = *state;
    const struct key key = make_key(f, "key"), other = make_key(f, "other");
    struct hs_gallery_audit audit;
    add(open_with(f, &key), "a", 1);
    assert_refused(f, other.path, key.id, other.id);
    assert_refused(f, NULL, key.id, "set database.encryption_key");
    assert_refused(f, "", key.id, "set database.encryption_key");
    assert_int_equal(hs_gallery_audit_file(f->path, NULL, 100, "test", DIMENSION, &audit, NULL), HS_EKEY);
    assert_int_equal(hs_gallery_audit_file(f->path, other.path, 100, "test", DIMENSION, &audit, NULL), HS_EKEY);
    assert_int_equal(hs_gallery_audit_file(f->path, key.path, 100, "test", DIMENSION, &audit, NULL), 0);
    assert_int_equal(audit.usability.embeddings[HS_GALLERY_USABLE], 1);
    assert_vectors(open_with(f, &key), "a", 1, 1);
    fixture_close(f);
    run_sql(f->path, "UPDATE keys SET wrapped = zeroblob(72)");
    assert_refused(f, key.path, "cannot be decrypted", key.id);
    run_sql(f->path, "DELETE FROM keys");
    assert_refused(f, key.path, "deleted", "backup");
}

static void overwrite_head(const char *path)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fwrite("damaged!", 1, 8, file), 8);
    fclose(file);
}

/* A damaged file is not replaced by a backup that the configured key cannot open, nor by an empty gallery. */
static void test_damage_and_wrong_key(void **state)
{
    struct fixture *f = *state;
    const struct key key = make_key(f, "key"), other = make_key(f, "other");
    struct hs_error err;
    add(open_with(f, &key), "a", 1);
    assert_int_equal(hs_gallery_backup(f->gallery, NULL, NULL), 0);
    fixture_close(f);
    overwrite_head(f->path);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(try_open(f, other.path, &err), HS_EKEY);
        assert_non_null(strstr(err.message, key.id));
        assert_true(hs_file_exists(f->path));
        assert_false(folder_lists(f, "faces.db.corrupt-"));
    }
    assert_int_equal(try_open(f, NULL, &err), HS_EKEY);
    assert_vectors(open_with(f, &key), "a", 1, 1);
    assert_string_not_equal(f->opened.set_aside, "");
    assert_string_not_equal(f->opened.restored_from, "");
}

/* ---- files that another program changed ---- */

/* Counts the vectors that can match, and those that cannot be decrypted. */
static void assert_usable(struct fixture *f, const struct key *key, int64_t usable, int64_t damaged)
{
    struct hs_gallery_audit audit = stats_of(open_with(f, key));
    assert_string_equal(f->opened.set_aside, "");
    assert_int_equal(audit.usability.embeddings[HS_GALLERY_USABLE], usable);
    assert_int_equal(audit.usability.embeddings[HS_GALLERY_DAMAGED], damaged);
    fixture_close(f);
}

static void test_changed_rows(void **state)
{
    struct fixture *f = *state;
    const struct key key = make_key(f, "key");
    add(open_with(f, &key), "a", 1);
    add(f->gallery, "a", 2);
    add(f->gallery, "b", 3);
    add(f->gallery, "c", 4);
    assert_usable(f, &key, 4, 0);
    run_sql(f->path, "CREATE TEMP TABLE t AS SELECT id, embedding FROM embeddings;"
                     "UPDATE embeddings SET embedding = (SELECT embedding FROM t WHERE t.id = 3 - embeddings.id)"
                     " WHERE id IN (1, 2)");
    assert_usable(f, &key, 2, 2);
    run_sql(f->path, "UPDATE embeddings SET identity_id = 3 WHERE id = 3");
    assert_usable(f, &key, 1, 3);
    run_sql(f->path, "UPDATE embeddings SET identity_id = 2 WHERE id = 3");
    assert_usable(f, &key, 2, 2);
    /* A number of a key that the gallery does not have. */
    run_sql(f->path, "UPDATE embeddings SET embedding = x'01ffffffffffffff7f' || substr(embedding, 10) WHERE id = 3");
    assert_usable(f, &key, 1, 3);
    for (int cut = 1; cut < 300; cut += 13) {
        char sql[120];
        hs_str_format(sql, sizeof(sql), "UPDATE embeddings SET embedding = substr(embedding, 1, %d) WHERE id = 3", cut);
        run_sql(f->path, sql);
        struct hs_gallery_audit audit = stats_of(open_with(f, &key));
        assert_int_equal(audit.usability.embeddings[HS_GALLERY_USABLE], 1);
        float values[DIMENSION];
        assert_int_equal(hs_gallery_read_vector(f->gallery, 3, values, DIMENSION, NULL), HS_ENOTFOUND);
        fixture_close(f);
    }
}

/* A vector that cannot be decrypted stays, and with it its key. */
static void test_unreadable_vectors(void **state)
{
    struct fixture *f = *state;
    const struct key key = make_key(f, "key");
    struct hs_gallery_converted done;
    char id[HS_CRYPT_ID_SIZE];
    add(open_with(f, &key), "a", 1);
    add(f->gallery, "b", 2);
    fixture_close(f);
    run_sql(f->path, "UPDATE embeddings SET identity_id = 2 WHERE id = 1");
    struct hs_gallery *g = open_with(f, &key);
    assert_int_equal(hs_gallery_rotate_key(g, NULL, true, NULL, NULL, id, &done, NULL), 0);
    assert_int_equal(done.vectors, 1);
    assert_int_equal(done.unreadable, 1);
    assert_state(g, true, 2, key.id, "");
    assert_int_equal(hs_gallery_remove_embedding(g, 1, NULL, NULL), 0);
    assert_int_equal(hs_gallery_rotate_key(g, NULL, true, NULL, NULL, id, &done, NULL), 0);
    assert_true(done.continued);
    assert_state(g, true, 1, key.id, "");
    assert_vectors(g, "b", 2, 1);
}

/* The older program wrote without a look at the version of the schema. */
static void test_plain_rows(void **state)
{
    struct fixture *f = *state;
    const struct key key = make_key(f, "key");
    struct hs_gallery_converted done;
    add(open_with(f, &key), "a", 1);
    struct hs_gallery *plain = NULL;
    fixture_close(f);
    char copy[PATH_MAX], sql[PATH_MAX + 200];
    hs_path_join(copy, sizeof(copy), f->dir, "plain.db");
    const struct hs_gallery_options options = { .path = copy, .busy_timeout_ms = 1000 };
    assert_int_equal(hs_gallery_open(&options, &plain, NULL, NULL), 0);
    add(plain, "x", 2);
    hs_gallery_close(plain);
    hs_str_format(sql, sizeof(sql),
                  "ATTACH '%s' AS p; INSERT INTO embeddings (identity_id, embedding, space)"
                  " SELECT 1, embedding, space FROM p.embeddings",
                  copy);
    run_sql(f->path, sql);
    unlink(copy);
    struct hs_gallery *g = open_with(f, &key);
    assert_int_equal(f->opened.plain, 1);
    assert_vectors(g, "a", 1, 2);
    struct hs_gallery_audit audit = stats_of(g);
    assert_int_equal(audit.sealed, 1);
    assert_int_equal(audit.plain, 1);
    assert_true(folder_has(f, 2));
    assert_int_equal(hs_gallery_encrypt(g, NULL, NULL, &done, NULL), 0);
    assert_int_equal(done.vectors, 1);
    assert_false(folder_has(f, 2));
    assert_vectors(g, "a", 1, 2);
}

/* ---- changes of an encrypted gallery ---- */

static int append(void *arg, const char *data, size_t len)
{
    return hs_buf_append(arg, data, len);
}

static void test_changes(void **state)
{
    struct fixture *f = *state;
    const struct key key = make_key(f, "key");
    struct hs_gallery_imported done;
    struct hs_buf file;
    f->options.max_embeddings_per_identity = 3;
    struct hs_gallery *g = open_with(f, &key);
    add(g, "a", 1);
    add(g, "b", 2);
    add(g, "b", 3);
    assert_int_equal(hs_gallery_merge(g, "b", "a", NULL), 0);
    assert_vectors(g, "a", 1, 3);
    assert_int_equal(add(g, "a", 1).embedding_dropped, 1); /* an equal vector: the older one is dropped */
    hs_buf_init(&file, 1 << 20);
    assert_int_equal(hs_gallery_export(g, NULL, append, &file, NULL), 0);
    assert_int_equal(hs_gallery_import(g, (const char *) file.data, file.len, &done, NULL), 0);
    assert_int_equal(done.present, 3);
    assert_int_equal(hs_gallery_rename(g, "a", "c", NULL), 0);
    assert_int_equal(hs_gallery_import(g, (const char *) file.data, file.len, &done, NULL), 0);
    assert_int_equal(done.added, 3);
    hs_buf_finish(&file);
    struct hs_gallery_audit audit = stats_of(g);
    assert_int_equal(audit.usability.embeddings[HS_GALLERY_USABLE], 6);
    assert_int_equal(audit.sealed, 6);
}

/* The vectors of an unknown model are scaled and sealed again. */
static void test_set_space(void **state)
{
    struct fixture *f = *state;
    const struct key key = make_key(f, "key");
    struct hs_gallery_assigned done;
    write_first_schema(f->path);
    run_sql(f->path, "UPDATE embeddings SET embedding = zeroblob(252) || x'00000040' WHERE identity_id = 1");
    struct hs_gallery_converted converted;
    struct hs_gallery *g = open_with(f, &key);
    assert_int_equal(hs_gallery_encrypt(g, NULL, NULL, &converted, NULL), 0);
    assert_int_equal(converted.vectors, 2);
    assert_int_equal(hs_gallery_set_space(g, "test", "m", DIMENSION, &done, NULL), 0);
    assert_int_equal(done.embeddings, 2);
    assert_int_equal(done.scaled, 1);
    struct hs_gallery_audit audit = stats_of(g);
    assert_int_equal(audit.usability.embeddings[HS_GALLERY_USABLE], 2);
    assert_int_equal(audit.sealed, 2);
    assert_vectors(g, "Ada", 2, 1);
}

/* ---- rotation ---- */

/* Both keys open the gallery until a start with the new one. */
static void test_new_key(void **state)
{
    struct fixture *f = *state;
    const struct key key = make_key(f, "key"), next = make_key(f, "next"), third = make_key(f, "third");
    struct hs_gallery_converted done;
    char id[HS_CRYPT_ID_SIZE];
    struct hs_gallery *g = open_with(f, &key);
    add(g, "a", 1);
    assert_int_equal(hs_gallery_rotate_key(g, key.path, false, NULL, NULL, id, &done, NULL), HS_EINVAL);
    assert_int_equal(hs_gallery_rotate_key(g, next.path, false, NULL, NULL, id, &done, NULL), 0);
    assert_string_equal(id, next.id);
    assert_state(g, true, 1, key.id, next.id);
    assert_int_equal(hs_gallery_rotate_key(g, next.path, false, NULL, NULL, id, &done, NULL), 0);
    assert_true(done.continued);
    assert_int_equal(hs_gallery_rotate_key(g, third.path, false, NULL, NULL, id, &done, NULL), HS_ECONFLICT);
    assert_int_equal(hs_gallery_rotate_key(g, NULL, true, NULL, NULL, id, &done, NULL), HS_ECONFLICT);
    assert_vectors(open_with(f, &key), "a", 1, 1); /* the service restarts with the former configuration */
    assert_string_equal(f->opened.key_pending, next.id);
    f->options.encrypt = false;
    assert_int_equal(try_open(f, next.path, NULL), 0); /* a look with the new key changes nothing */
    g = open_with(f, &key);
    struct hs_gallery *command;
    f->options.key = next.path;
    assert_int_equal(hs_gallery_open(&f->options, &command, &f->opened, NULL), 0);
    assert_int_equal(f->opened.keys_removed, 1);
    hs_gallery_close(command);
    add(g, "a", 2); /* a process that runs with the former key continues */
    assert_vectors(g, "a", 1, 2);
    assert_refused(f, key.path, next.id, key.id);
    assert_vectors(open_with(f, &next), "a", 1, 2);
    assert_state(f->gallery, true, 1, next.id, "");
}

/* A process that runs meanwhile follows to the new data key. */
static void test_new_data_key(void **state)
{
    struct fixture *f = *state;
    const struct key key = make_key(f, "key"), next = make_key(f, "next");
    struct hs_gallery_converted done;
    char id[HS_CRYPT_ID_SIZE];
    struct hs_gallery *command, *service = open_with(f, &key);
    add_many(service, MANY);
    int64_t number = query_sql(f->path, "SELECT data_key FROM gallery");
    assert_int_equal(hs_gallery_open(&f->options, &command, NULL, NULL), 0);
    assert_int_equal(hs_gallery_rotate_key(command, next.path, true, NULL, NULL, id, &done, NULL), 0);
    assert_int_equal(done.vectors, MANY);
    assert_true(query_sql(f->path, "SELECT data_key FROM gallery") != number);
    assert_int_equal(query_sql(f->path, "SELECT count(*) FROM keys"), 2); /* one data key in two slots */
    add(service, "new", 1);
    assert_vectors(command, "new", 1, 1);
    hs_gallery_close(command);
    assert_int_equal(hs_gallery_remove(service, "new", NULL, NULL), 0);
    assert_many(service, MANY);
    assert_many(open_with(f, &next), MANY);
    /* Again, with the same key. */
    assert_int_equal(hs_gallery_rotate_key(f->gallery, NULL, true, NULL, NULL, id, &done, NULL), 0);
    assert_int_equal(done.vectors, MANY);
    assert_state(f->gallery, true, 1, next.id, "");
    assert_many(f->gallery, MANY);
}

struct restore {
    struct hs_gallery *gallery;
    char backup[PATH_MAX];
};

/* Backs up after the first batch, and restores that backup after the last one. */
static void restore_at_end(void *arg, int64_t done, int64_t total)
{
    struct restore *restore = arg;
    if (done == BATCH)
        assert_int_equal(hs_gallery_backup(restore->gallery, restore->backup, NULL), 0);
    if (done == total)
        assert_int_equal(hs_gallery_restore(restore->gallery, restore->backup, NULL), 0);
}

/* The restored vectors keep their data key, although that of new vectors is the expected one. */
static void test_restore_meanwhile(void **state)
{
    struct fixture *f = *state;
    const struct key key = make_key(f, "key");
    struct hs_gallery_converted done;
    struct hs_error err;
    char id[HS_CRYPT_ID_SIZE];
    struct restore restore = { .gallery = open_with(f, &key) };
    add_many(f->gallery, MANY);
    assert_int_equal(hs_gallery_rotate_key(f->gallery, NULL, true, restore_at_end, &restore, id, &done, &err),
                     HS_ECONFLICT);
    assert_non_null(strstr(err.message, "restored"));
    assert_many(open_with(f, &key), MANY);
    assert_int_equal(hs_gallery_encrypt(f->gallery, NULL, NULL, &done, NULL), 0);
    assert_int_equal(done.vectors, MANY - BATCH);
    assert_state(f->gallery, true, 1, key.id, "");
    assert_many(open_with(f, &key), MANY);
}

/* Other programs can store a vector with any id. */
static void test_negative_id(void **state)
{
    struct fixture *f = *state;
    const struct key key = make_key(f, "key");
    struct hs_gallery_converted done;
    add(fixture_open(f), "a", 1);
    fixture_close(f);
    run_sql(f->path, "UPDATE embeddings SET id = -7");
    open_with(f, &key);
    assert_int_equal(hs_gallery_encrypt(f->gallery, NULL, NULL, &done, NULL), 0);
    assert_int_equal(done.vectors, 1);
    assert_vectors(f->gallery, "a", 1, 1);
    fixture_close(f);
    assert_false(folder_has(f, 1));
}

/* A process with a former key that the gallery no longer has reports that, and reads what it has keys for. */
static void test_left_behind(void **state)
{
    struct fixture *f = *state;
    const struct key key = make_key(f, "key"), next = make_key(f, "next");
    struct hs_gallery_converted done;
    struct hs_error err;
    char id[HS_CRYPT_ID_SIZE];
    struct hs_gallery *command, *service = open_with(f, &key);
    add(service, "a", 1);
    assert_int_equal(hs_gallery_rotate_key(service, next.path, false, NULL, NULL, id, &done, NULL), 0);
    f->options.key = next.path;
    assert_int_equal(hs_gallery_open(&f->options, &command, NULL, NULL), 0);
    assert_vectors(service, "a", 1, 1);
    assert_int_equal(hs_gallery_rotate_key(command, NULL, true, NULL, NULL, id, &done, NULL), 0);
    struct hs_gallery_person *person;
    assert_int_equal(hs_gallery_get(service, "a", true, &person, &err), HS_EKEY);
    assert_non_null(strstr(err.message, next.id));
    assert_int_equal(try_add(service, "b", 2, NULL), HS_EKEY);
    assert_vectors(command, "a", 1, 1);
    hs_gallery_close(command);
}

/* A service starts while another process makes a long change. */
static void test_open_during_a_change(void **state)
{
    struct fixture *f = *state;
    const struct key key = make_key(f, "key");
    sqlite3 *other;
    add(open_with(f, &key), "a", 1);
    fixture_close(f);
    assert_int_equal(sqlite3_open(f->path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    f->options.busy_timeout_ms = 100;
    assert_vectors(open_with(f, &key), "a", 1, 1);
    assert_string_equal(f->opened.key_id, key.id);
    sqlite3_close(other);
}

/* ---- the audit log ---- */

static int append_entry(void *arg, const struct hs_audit_entry *entry)
{
    struct hs_buf *text = arg;
    hs_buf_append(text, entry->text, entry->len);
    return hs_buf_append(text, "\n", 1);
}

/* Each step has an entry, with the id of the key, and no change is without one. */
static void test_audit_log(void **state)
{
    struct fixture *f = *state;
    const struct key key = make_key(f, "key"), next = make_key(f, "next");
    struct hs_gallery_converted done;
    struct hs_audit_report report;
    struct hs_buf text;
    char id[HS_CRYPT_ID_SIZE];
    add(fixture_open(f), "a", 1);
    assert_int_equal(hs_gallery_encrypt(open_with(f, &key), NULL, NULL, &done, NULL), 0);
    assert_int_equal(hs_gallery_rotate_key(f->gallery, next.path, true, NULL, NULL, id, &done, NULL), 0);
    assert_int_equal(hs_gallery_decrypt(open_with(f, &next), NULL, NULL, &done, NULL), 0);
    hs_buf_init(&text, 1 << 20);
    assert_int_equal(hs_audit_for_each(f->gallery, 0, append_entry, &text, NULL), 0);
    const char *log = hs_buf_str(&text);
    static const char *const actions[] = { "begin_encryption", "\"encrypt\"",        "rotate_data_key",
                                           "remove_data_keys", "remove_former_keys", "end_encryption",
                                           "\"decrypt\"" };
    for (size_t i = 0; i < HS_ARRAY_LEN(actions); i++)
        assert_non_null(strstr(log, actions[i]));
    assert_null(strstr(log, "\"action\":\"change\""));
    assert_non_null(strstr(log, key.id));
    assert_non_null(strstr(log, next.id));
    hs_buf_finish(&text);
    assert_int_equal(hs_audit_verify(f->gallery, 0, &report, NULL), 0);
    assert_int_equal(report.broken + report.gaps + report.unlogged, 0);
}

/* ---- processes that are killed ---- */

enum work { ENCRYPT, DECRYPT, REENCRYPT, NEW_KEY, WORKS };

static int run_work(struct hs_gallery *g, enum work work, const char *next, hs_gallery_progress progress, void *arg,
                    struct hs_gallery_converted *done)
{
    char id[HS_CRYPT_ID_SIZE];
    switch (work) {
    case ENCRYPT:
        return hs_gallery_encrypt(g, progress, arg, done, NULL);
    case DECRYPT:
        return hs_gallery_decrypt(g, progress, arg, done, NULL);
    case REENCRYPT:
        return hs_gallery_rotate_key(g, NULL, true, progress, arg, id, done, NULL);
    default:
        return hs_gallery_rotate_key(g, next, true, progress, arg, id, done, NULL);
    }
}

static void die(void *arg, int64_t done, int64_t total)
{
    (void) done;
    (void) total;
    if (--*(int *) arg == 0)
        kill(getpid(), SIGKILL);
}

/* Runs the work in a process that is killed after `batches` changes of vectors. */
static void run_and_kill(const struct fixture *f, enum work work, const char *next, int batches)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct hs_gallery *g;
        struct hs_gallery_converted done;
        if (hs_gallery_open(&f->options, &g, NULL, NULL) < 0)
            _exit(2);
        run_work(g, work, next, die, &batches, &done);
        _exit(3);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

static void test_killed(void **state)
{
    (void) state;
    for (int i = 0; i < WORKS * 3; i++) {
        enum work work = (enum work)(i / 3);
        int batches = i % 3 + 1;
        void *own;
        fixture_setup(&own);
        struct fixture *f = own;
        const struct key key = make_key(f, "key"), next = make_key(f, "next");
        struct hs_gallery_converted done;
        if (work != ENCRYPT)
            open_with(f, &key);
        add_many(work == ENCRYPT ? fixture_open(f) : f->gallery, MANY);
        fixture_close(f);
        f->options.key = key.path;
        run_and_kill(f, work, next.path, batches);
        f->options.encrypt = false;
        assert_many(fixture_open(f), MANY); /* all vectors are there, of either kind */
        assert_string_equal(f->opened.set_aside, "");
        assert_int_equal(run_work(f->gallery, work, next.path, NULL, NULL, &done), 0);
        assert_true(done.continued);
        assert_int_equal(done.vectors, MANY - (batches == 3 ? MANY : batches * BATCH));
        assert_many(f->gallery, MANY);
        assert_state(f->gallery, work != DECRYPT, work != DECRYPT, work == DECRYPT ? "" : key.id,
                     work == NEW_KEY ? next.id : "");
        assert_int_equal(hs_gallery_check(f->gallery, NULL), 0);
        assert_int_equal(folder_has(f, 1000), work == DECRYPT);
        fixture_teardown(&own);
    }
}

/* ---- backups ---- */

static void test_restore(void **state)
{
    struct fixture *f = *state;
    const struct key key = make_key(f, "key"), other = make_key(f, "other");
    struct hs_gallery_converted done;
    struct hs_error err;
    char plain[PATH_MAX], former[PATH_MAX], id[HS_CRYPT_ID_SIZE];
    f->options.keep_backups = 100;
    add(fixture_open(f), "a", 1);
    assert_int_equal(hs_gallery_backup(f->gallery, plain, NULL), 0);
    assert_int_equal(hs_gallery_encrypt(open_with(f, &key), NULL, NULL, &done, NULL), 0);
    add(f->gallery, "a", 2);
    assert_int_equal(hs_gallery_backup(f->gallery, former, NULL), 0);
    /* A plain backup is encrypted before it is stored. */
    assert_int_equal(hs_gallery_restore(f->gallery, plain, &err), 0);
    assert_vectors(f->gallery, "a", 1, 1);
    assert_false(folder_has(f, 1));
    assert_state(f->gallery, true, 1, key.id, "");
    assert_int_equal(hs_gallery_restore(f->gallery, former, NULL), 0);
    assert_vectors(f->gallery, "a", 1, 2);
    /* A backup of a former key: nothing changes. */
    assert_int_equal(hs_gallery_rotate_key(f->gallery, other.path, true, NULL, NULL, id, &done, NULL), 0);
    open_with(f, &other);
    assert_int_equal(hs_gallery_restore(f->gallery, former, &err), HS_EKEY);
    assert_non_null(strstr(err.message, key.id));
    assert_non_null(strstr(err.message, other.id));
    assert_vectors(f->gallery, "a", 1, 2);
    assert_int_equal(hs_gallery_restore(f->gallery, plain, NULL), 0);
    assert_vectors(f->gallery, "a", 1, 1);
    assert_state(f->gallery, true, 1, other.id, "");
}

/* A backup of another encrypted gallery with the same key has another data key. */
static void test_restore_of_another_gallery(void **state)
{
    struct fixture *f = *state;
    const struct key key = make_key(f, "key");
    char backup[PATH_MAX], path[PATH_MAX];
    add(open_with(f, &key), "a", 1);
    assert_int_equal(hs_gallery_backup(f->gallery, backup, NULL), 0);
    hs_path_join(path, sizeof(path), f->dir, "second.db");
    struct hs_gallery_options options = f->options;
    struct hs_gallery *second, *reader;
    options.path = path;
    assert_int_equal(hs_gallery_open(&options, &second, NULL, NULL), 0);
    assert_int_equal(hs_gallery_open(&options, &reader, NULL, NULL), 0);
    add(second, "b", 2);
    assert_vectors(reader, "b", 2, 1);
    assert_int_equal(hs_gallery_restore(second, backup, NULL), 0);
    assert_vectors(second, "a", 1, 1);
    assert_vectors(reader, "a", 1, 1);
    add(reader, "a", 3);
    add(second, "a", 4);
    assert_int_equal(stats_of(second).usability.embeddings[HS_GALLERY_USABLE], 3);
    hs_gallery_close(second);
    hs_gallery_close(reader);
}

/* Files that other users could read are tightened, each kind of them. */
static void test_modes(void **state)
{
    struct fixture *f = *state;
    char backup[PATH_MAX], log[PATH_MAX];
    struct stat st;
    add(fixture_open(f), "a", 1);
    assert_int_equal(hs_gallery_backup(f->gallery, backup, NULL), 0);
    hs_str_format(log, sizeof(log), "%s-wal", f->path);
    const char *const paths[] = { f->path, log, backup };
    for (size_t i = 0; i < HS_ARRAY_LEN(paths); i++) {
        assert_int_equal(stat(paths[i], &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    fixture_close(f);
    assert_int_equal(chmod(f->path, 0644), 0);
    assert_int_equal(chmod(backup, 0664), 0);
    fixture_open(f);
    assert_true(f->opened.tightened);
    assert_int_equal(f->opened.tightened_backups, 1);
    for (size_t i = 0; i < HS_ARRAY_LEN(paths); i++)
        if (stat(paths[i], &st) == 0)
            assert_int_equal(st.st_mode & 0777, 0600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GALLERY_TEST(test_new_gallery),
        GALLERY_TEST(test_encrypt_and_decrypt),
        GALLERY_TEST(test_no_key_file),
        GALLERY_TEST(test_wrong_and_lost_keys),
        GALLERY_TEST(test_damage_and_wrong_key),
        GALLERY_TEST(test_changed_rows),
        GALLERY_TEST(test_unreadable_vectors),
        GALLERY_TEST(test_plain_rows),
        GALLERY_TEST(test_changes),
        GALLERY_TEST(test_set_space),
        GALLERY_TEST(test_new_key),
        GALLERY_TEST(test_new_data_key),
        GALLERY_TEST(test_restore_meanwhile),
        GALLERY_TEST(test_negative_id),
        GALLERY_TEST(test_left_behind),
        GALLERY_TEST(test_open_during_a_change),
        GALLERY_TEST(test_audit_log),
        cmocka_unit_test(test_killed),
        GALLERY_TEST(test_restore),
        GALLERY_TEST(test_restore_of_another_gallery),
        GALLERY_TEST(test_modes),
    };
    return HS_RUN_TESTS(tests);
}
