#include "../gallery/fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../alloc_fail.h"
#include "base/clock.h"
#include "base/str.h"
#include "face/index.h"
#include "gallery/gallery_internal.h"

static struct hs_face_index *create(struct fixture *f)
{
    struct hs_face_index *index = NULL;
    assert_int_equal(hs_face_index_create(f->gallery, "test", DIMENSION, 1, &index, NULL), 0);
    return index;
}

/* Returns the name that matches unit_vector(seed); "" if there is none. */
static const char *best_name(struct hs_face_index *index, unsigned seed)
{
    static struct hs_face_match match;
    float values[DIMENSION];
    size_t count = 0;
    assert_int_equal(
        hs_face_index_find(index, unit_vector(seed, values), 1, 0.99, HS_NO_DEADLINE, &match, &count, NULL), 0);
    return count ? match.name : "";
}

static void test_changes(void **state)
{
    struct fixture *f = *state;
    add(fixture_open(f), "Ann", 1);
    struct hs_face_index *index = create(f);
    assert_false(hs_face_index_is_read(index));
    add(f->gallery, "Bob", 2);
    assert_string_equal(best_name(index, 1), "Ann");
    assert_true(hs_face_index_is_read(index));
    assert_string_equal(best_name(index, 2), "Bob");
    struct hs_gallery_added added = add(f->gallery, "Bob", 3);
    assert_string_equal(best_name(index, 3), "Bob");
    assert_int_equal(hs_gallery_rename(f->gallery, "Bob", "Cid", NULL), 0);
    assert_string_equal(best_name(index, 3), "Cid");
    assert_int_equal(hs_gallery_remove_embedding(f->gallery, added.embedding_id, NULL, NULL), 0);
    assert_string_equal(best_name(index, 3), "");
    assert_string_equal(best_name(index, 2), "Cid");
    assert_int_equal(hs_gallery_merge(f->gallery, "Cid", "Ann", NULL), 0);
    assert_string_equal(best_name(index, 2), "Ann");
    assert_int_equal(hs_gallery_remove(f->gallery, "Ann", NULL, NULL), 0);
    assert_string_equal(best_name(index, 2), "");
    assert_string_equal(best_name(index, 1), "");
    hs_face_index_destroy(index);
}

/* Usability is counted while the index follows changes, with the same result as reading everything. */
static void test_usability(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery_assigned assigned;
    char name[16], sql[200];
    struct hs_gallery *g = fixture_open(f);
    struct hs_face_index *index = create(f);
    assert_int_equal(hs_gallery_unusable(&(struct hs_gallery_usability) { .embeddings = { 1, 2, 3, 4, 50 } }), 10);
    for (unsigned step = 0; step < 60; step++) {
        hs_str_format(name, sizeof(name), "n%u", step * 7 % 5);
        if (step % 4 != 3)
            add(g, name, step);
        else if (step % 8 == 3)
            hs_gallery_remove(g, name, NULL, NULL);
        /* Changes by another program: the newest face is of another model, of another size,
         * damaged, or of an unknown model. */
        static const char *const changes[] = { "space = 'x'", "embedding = x'00000000'",
                                               "embedding = zeroblob(length(embedding))", "space = NULL" };
        if (step % 3 == 1) {
            hs_str_format(sql, sizeof(sql), "UPDATE embeddings SET %s WHERE id = (SELECT max(id) FROM embeddings)",
                          changes[step / 3 % 4]);
            run_sql(f->path, sql);
        }
        if (step == 50) {
            assert_int_equal(hs_gallery_set_space(g, "test", NULL, DIMENSION, &assigned, NULL), 0);
            assert_true(assigned.embeddings > 0);
        }
        assert_int_equal(hs_face_index_refresh(index, HS_NO_DEADLINE, NULL), 0);
        struct hs_gallery_usability counted = hs_face_index_usability(index), wanted = stats_of(g).usability;
        assert_memory_equal(&counted, &wanted, sizeof(wanted));
        assert_true(step != 50 || counted.embeddings[HS_GALLERY_UNKNOWN_SPACE] == 0);
    }
    struct hs_gallery_usability last = hs_face_index_usability(index);
    for (int use = 0; use < HS_GALLERY_USES; use++)
        assert_true(last.embeddings[use] > 0 || use == HS_GALLERY_UNKNOWN_SPACE);
    hs_face_index_destroy(index);
}

/* ---- other processes ---- */

/* The index follows changes of other processes, through our programs or others, in the order of
 * their commits. */
static void test_others(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *other;
    add(fixture_open(f), "Ann", 1);
    struct hs_face_index *index = create(f);
    assert_string_equal(best_name(index, 1), "Ann");
    assert_int_equal(hs_gallery_open(&f->options, &other, NULL, NULL), 0);
    assert_int_equal(hs_gallery_rename(other, "Ann", "Bob", NULL), 0);
    assert_string_equal(best_name(index, 1), "Bob");
    add(other, "Ann", 2);
    assert_int_equal(hs_gallery_remove(other, "Bob", NULL, NULL), 0);
    assert_int_equal(hs_gallery_rename(other, "Ann", "Bob", NULL), 0);
    assert_string_equal(best_name(index, 1), "");
    assert_string_equal(best_name(index, 2), "Bob");
    run_sql(f->path, "UPDATE identities SET name = 'Zoe'");
    assert_string_equal(best_name(index, 2), "Zoe");
    /* A foreign change and one of ours, before the next refresh. */
    run_sql(f->path, "UPDATE identities SET name = 'Eve'");
    add(f->gallery, "Fay", 3);
    assert_string_equal(best_name(index, 2), "Eve");
    assert_string_equal(best_name(index, 3), "Fay");
    /* A foreign change, and one of ours by another process that had not opened the file before. */
    run_sql(f->path, "PRAGMA foreign_keys = ON; DELETE FROM identities WHERE name = 'Fay'; UPDATE identities SET"
                     " name = 'Gil'");
    hs_gallery_close(other);
    assert_int_equal(hs_gallery_open(&f->options, &other, NULL, NULL), 0);
    add(other, "Hal", 4);
    assert_string_equal(best_name(index, 3), "");
    assert_string_equal(best_name(index, 2), "Gil");
    assert_string_equal(best_name(index, 4), "Hal");
    hs_gallery_close(other);
    hs_face_index_destroy(index);
}

/* A vector was removed without a record, because another program counted the change as one of Bob:
 * the index is rebuilt instead of failing forever. */
static void test_vanished_vector(void **state)
{
    struct fixture *f = *state;
    add(fixture_open(f), "Ann", 1);
    add(f->gallery, "Bob", 2);
    struct hs_face_index *index = create(f);
    assert_string_equal(best_name(index, 1), "Ann");
    run_sql(f->path, "BEGIN; DELETE FROM embeddings WHERE identity_id = 1; UPDATE gallery SET change = change + 1;"
                     " INSERT INTO changes SELECT change, 2 FROM gallery; COMMIT");
    assert_string_equal(best_name(index, 1), "");
    assert_string_equal(best_name(index, 2), "Bob");
    hs_face_index_destroy(index);
}

/* A change that failed because another process held the file has no effect. */
static void test_failed_change(void **state)
{
    struct fixture *f = *state;
    f->options.busy_timeout_ms = 20;
    add(fixture_open(f), "Ann", 1);
    struct hs_face_index *index = create(f);
    assert_string_equal(best_name(index, 1), "Ann");
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    struct hs_error err;
    assert_int_equal(hs_gallery_remove(f->gallery, "Ann", NULL, &err), HS_EBUSY);
    assert_null(strstr(err.message, "BEGIN"));
    assert_int_equal(hs_gallery_rename(f->gallery, "Ann", "Bob", NULL), HS_EBUSY);
    assert_int_equal(try_add(f->gallery, "Ann", 2, NULL), HS_EBUSY);
    assert_string_equal(best_name(index, 1), "Ann");
    assert_string_equal(best_name(index, 2), "");
    sqlite3_close(db);
    hs_face_index_destroy(index);
}

struct waiting {
    struct hs_gallery *gallery;
    atomic_bool done;
};

static void *wait_to_add(void *arg)
{
    struct waiting *waiting = arg;
    assert_int_equal(try_add(waiting->gallery, "Bob", 2, NULL), 0);
    waiting->done = true;
    return NULL;
}

/* A query is served while a change of ours waits for another process. The test does not depend on
 * timing, because the lock is held until the query is done. */
static void test_query_beside_waiting_change(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;
    add(fixture_open(f), "Ann", 1);
    struct hs_face_index *index = create(f);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    struct waiting waiting = { .gallery = f->gallery };
    pthread_create(&thread, NULL, wait_to_add, &waiting);
    usleep(50000);
    assert_string_equal(best_name(index, 1), "Ann");
    assert_int_equal(count_of(f->gallery, "Ann"), 1);
    assert_false(waiting.done);
    sqlite3_close(db);
    pthread_join(thread, NULL);
    assert_string_equal(best_name(index, 2), "Bob");
    hs_face_index_destroy(index);
}

/* A query sees changes that another program has committed, even if changes of ours wait or hold the
 * change lock. */
static void test_query_beside_locked_change(void **state)
{
    struct fixture *f = *state;
    add(fixture_open(f), "Ann", 1);
    struct hs_face_index *index = create(f);
    assert_string_equal(best_name(index, 1), "Ann");
    assert_int_equal(hs_gallery_lock_change(f->gallery, NULL), 0);
    run_sql(f->path, "UPDATE identities SET name = 'Bob'");
    assert_string_equal(best_name(index, 1), "Bob");
    hs_gallery_unlock_change(f->gallery);
    assert_string_equal(best_name(index, 1), "Bob");
    hs_face_index_destroy(index);
}

/* Leaves the index of the log like a process that was killed while writing it: SQLite rebuilds it.
 * Uses a child process, because closing the file would drop SQLite's locks. */
static void spoil_log_index(struct fixture *f)
{
    char path[PATH_MAX];
    int status;
    hs_str_format(path, sizeof(path), "%s-shm", f->path);
    pid_t child = fork();
    if (child == 0) {
        int fd = open(path, O_WRONLY);
        _exit(fd >= 0 && pwrite(fd, "\xff\xff", 2, 8) == 2 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* The commit counter starts at 0 again after the index of the log was rebuilt. This must not look
 * like no change. */
static void test_new_log_index(void **state)
{
    struct fixture *f = *state;
    add(fixture_open(f), "Ann", 1);
    fixture_close(f);
    fixture_open(f);
    struct hs_face_index *index = create(f);
    assert_string_equal(best_name(index, 1), "Ann");
    run_sql(f->path, "UPDATE identities SET name = 'Bob'");
    spoil_log_index(f);
    assert_string_equal(best_name(index, 1), "Bob");
    add(f->gallery, "Cid", 2);
    add(f->gallery, "Dan", 3);
    assert_string_equal(best_name(index, 3), "Dan");
    spoil_log_index(f);
    run_sql(f->path, "UPDATE identities SET name = 'Eve' WHERE name = 'Bob'");
    assert_string_equal(best_name(index, 1), "Eve");
    spoil_log_index(f);
    assert_string_equal(best_name(index, 1), "Eve");
    add(f->gallery, "Fay", 4);
    assert_string_equal(best_name(index, 4), "Fay");
    hs_face_index_destroy(index);
}

/* ---- names and commits ---- */

enum { RENAMES = 400 };

static void *rename_often(void *arg)
{
    static const char *const names[] = { "A", "B" };
    for (int i = 0; i < RENAMES; i++)
        if (hs_gallery_rename(arg, names[i % 2], names[(i + 1) % 2], NULL) != 0)
            return arg;
    return NULL;
}

/* Two names are exchanged in one sequence of commits. The index ends like the file, and returns no
 * other name meanwhile. */
static void test_renames(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *other;
    pthread_t thread;
    void *failed;
    add(fixture_open(f), "A", 1);
    assert_int_equal(hs_gallery_open(&f->options, &other, NULL, NULL), 0);
    struct hs_face_index *index = create(f);
    pthread_create(&thread, NULL, rename_often, other);
    for (int i = 0; i < RENAMES; i++) {
        const char *name = best_name(index, 1);
        assert_true(strcmp(name, "A") == 0 || strcmp(name, "B") == 0);
        if (i % 8 == 0) {
            add(f->gallery, "C", 2);
            assert_string_equal(best_name(index, 2), "C");
            assert_int_equal(hs_gallery_remove(f->gallery, "C", NULL, NULL), 0);
            assert_string_equal(best_name(index, 2), "");
        }
    }
    pthread_join(thread, &failed);
    assert_null(failed);
    assert_string_equal(best_name(index, 1), "A");
    hs_gallery_close(other);
    hs_face_index_destroy(index);
}

/* ---- allocation failures ---- */

/* Finds the names that match unit_vector(seed). If the query fails for lack of memory, repeats it
 * and sets *r. */
static size_t ask(struct hs_face_index *index, unsigned seed, struct hs_face_match matches[3], int *r)
{
    struct hs_error err = { 0 };
    float values[DIMENSION];
    size_t count = 0;
    unit_vector(seed, values);
    int found = hs_face_index_find(index, values, 3, 0.99, HS_NO_DEADLINE, matches, &count, &err);
    if (found == 0)
        return count;
    assert_true(found == HS_ENOMEM && err.code == HS_ENOMEM);
    *r = found;
    assert_int_equal(hs_face_index_find(index, values, 3, 0.99, HS_NO_DEADLINE, matches, &count, NULL), 0);
    return count;
}

/* Creates an index, reads the gallery, and follows a change and a removal. After a failure the next
 * query recovers. */
static int follow(void *arg)
{
    struct fixture *f = arg;
    struct hs_face_index *index = NULL;
    struct hs_face_match matches[3];
    struct hs_error err = { 0 };
    int r = hs_face_index_create(f->gallery, "test", DIMENSION, 1, &index, &err);
    assert_int_equal(r, err.code);
    if (r < 0) {
        assert_null(index);
        return r;
    }
    r = hs_face_index_refresh(index, HS_NO_DEADLINE, &err);
    assert_int_equal(r, err.code);
    assert_int_equal(hs_face_index_is_read(index), r == 0);
    /* Another program adds an identity, and a face is removed. */
    run_sql(f->path, "INSERT INTO identities (name) VALUES ('Dan'); INSERT INTO embeddings (identity_id, embedding,"
                     " space) SELECT last_insert_rowid(), embedding, space FROM embeddings WHERE id = 1;"
                     " DELETE FROM embeddings WHERE id = 3");
    assert_int_equal(ask(index, 1, matches, &r), 2);
    bool swapped = strcmp(matches[0].name, "Ann") != 0;
    assert_string_equal(matches[swapped].name, "Ann");
    assert_string_equal(matches[!swapped].name, "Dan");
    assert_true(matches[0].score <= 1 && matches[1].score > 0.99);
    assert_int_equal(ask(index, 3, matches, &r), 0);
    assert_int_equal(ask(index, 2, matches, &r), 1);
    assert_string_equal(matches[0].name, "Bob");
    struct hs_gallery_usability counted = hs_face_index_usability(index);
    assert_int_equal(counted.embeddings[HS_GALLERY_USABLE], 3);
    assert_int_equal(counted.identities_without, 0);
    hs_face_index_destroy(index);
    return r;
}

/* Runs `follow` with the same gallery for each attempt. */
static int follow_fresh(void *arg)
{
    struct fixture *f = arg;
    run_sql(f->path, "DELETE FROM identities WHERE name = 'Dan';"
                     " DELETE FROM embeddings WHERE identity_id NOT IN (SELECT id FROM identities);"
                     " INSERT OR IGNORE INTO embeddings SELECT * FROM kept");
    return follow(f);
}

static void test_memory(void **state)
{
    struct fixture *f = *state;
    add(fixture_open(f), "Ann", 1);
    add(f->gallery, "Bob", 2);
    add(f->gallery, "Cid", 3);
    run_sql(f->path, "CREATE TABLE kept AS SELECT * FROM embeddings");
    assert_true(hs_fail_each_allocation(follow_fresh, f) > 8);
}

/* ---- a gallery that is being read ---- */

static _Thread_local bool held;
static atomic_bool holds, let_go;

/* SQLite calls this repeatedly while it reads. */
static int hold(void *arg)
{
    (void) arg;
    while (held && !let_go) {
        holds = true;
        usleep(1000);
    }
    return 0;
}

static int hold_connection(sqlite3 *db)
{
    sqlite3_progress_handler(db, 1, hold, NULL);
    return SQLITE_OK;
}

static void *refresh(void *arg)
{
    held = true;
    hs_face_index_refresh(arg, HS_NO_DEADLINE, NULL);
    return NULL;
}

static void test_deadline(void **state)
{
    struct fixture *f = *state;
    pthread_t reader;
    float values[DIMENSION];
    struct hs_face_match match;
    struct hs_error err;
    size_t count = 0;
    add(fixture_open(f), "Ann", 1);
    fixture_close(f);
    sqlite3_auto_extension((void (*)(void)) hold_connection);
    fixture_open(f);
    struct hs_face_index *index = create(f);
    pthread_create(&reader, NULL, refresh, index);
    while (!holds)
        usleep(1000);
    unit_vector(1, values);
    int r = hs_face_index_find(index, values, 1, 0, hs_deadline_in_ms(50), &match, &count, &err);
    assert_int_equal(r, HS_ETIMEOUT);
    assert_false(hs_face_index_is_read(index));
    let_go = true;
    r = hs_face_index_find(index, values, 1, 0, hs_deadline_in_ms(20000), &match, &count, &err);
    assert_int_equal(r, 0);
    assert_string_equal(match.name, "Ann");
    pthread_join(reader, NULL);
    sqlite3_reset_auto_extension();
    hs_face_index_destroy(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GALLERY_TEST(test_changes),
        GALLERY_TEST(test_usability),
        GALLERY_TEST(test_others),
        GALLERY_TEST(test_failed_change),
        GALLERY_TEST(test_query_beside_waiting_change),
        GALLERY_TEST(test_renames),
        GALLERY_TEST(test_deadline),
        GALLERY_TEST(test_vanished_vector),
        GALLERY_TEST(test_query_beside_locked_change),
        GALLERY_TEST(test_new_log_index),
        GALLERY_TEST(test_memory),
    };
    return HS_RUN_TESTS(tests);
}
