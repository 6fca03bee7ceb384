#include "fixture.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "gallery/files.h"

static void backup(struct fixture *f, char path[PATH_MAX])
{
    assert_int_equal(hs_gallery_backup(f->gallery, path, NULL), 0);
}

static void test_backup_and_restore(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f), *other;
    assert_int_equal(hs_gallery_open(&f->options, &other, NULL, NULL), 0);
    char path[PATH_MAX];
    add(g, "a", 1);
    backup(f, path);
    assert_int_equal(hs_gallery_remove(g, "a", NULL, NULL), 0);
    add(g, "b", 2);
    struct hs_gallery_version before, after;
    assert_int_equal(hs_gallery_get_version(other, &before, NULL), 0);
    assert_int_equal(hs_gallery_restore(g, hs_path_base(path), NULL), 0);
    assert_int_equal(count_of(g, "a"), 1);
    assert_int_equal(count_of(g, "b"), -1);
    assert_int_equal(count_of(other, "a"), 1);
    assert_int_equal(hs_gallery_get_version(other, &after, NULL), 0);
    assert_true(after.change > before.change + 1000);
    /* The restore backed up the replaced content. */
    struct hs_gallery_backups *list;
    assert_int_equal(hs_gallery_list_backups(g, &list, NULL), 0);
    assert_int_equal(list->count, 2);
    assert_true(list->items[0].size_bytes > 0);
    assert_int_equal(strlen(list->items[0].created_at), 19);
    assert_int_equal(hs_gallery_restore(g, list->items[0].path, NULL), 0);
    hs_gallery_backups_destroy(list);
    assert_int_equal(count_of(g, "b"), 1);
    add(other, "c", 3);
    assert_int_equal(hs_gallery_check(g, NULL), 0);
    hs_gallery_close(other);
}

static void test_keep_backups(void **state)
{
    struct fixture *f = *state;
    f->options.keep_backups = 2;
    fixture_open(f);
    char first[PATH_MAX], second[PATH_MAX], third[PATH_MAX];
    backup(f, first);
    backup(f, second);
    backup(f, third);
    assert_false(hs_file_exists(first));
    assert_true(hs_file_exists(second));
    assert_true(hs_file_exists(third));
}

/* Renames a backup within its folder; `start` replaces the part of the name before the id. */
static void rename_backup(const struct fixture *f, char path[PATH_MAX], const char *start, bool numbered)
{
    char to[PATH_MAX];
    const char *rest = numbered ? strrchr(path, '-') : ".db.gz";
    hs_str_format(to, sizeof(to), "%s/%s%s", f->backups, start, rest);
    assert_int_equal(rename(path, to), 0);
    hs_str_copy(path, PATH_MAX, to);
}

static void damage(struct fixture *f);

/* Backups with a future time, from a wrong clock, do not count as the newest, and do not cause the
 * next one to be deleted. */
static void test_clock(void **state)
{
    struct fixture *f = *state;
    f->options.keep_backups = 2;
    fixture_open(f);
    char future[PATH_MAX], unnumbered[PATH_MAX], old[PATH_MAX], newer[PATH_MAX], newest[PATH_MAX];
    backup(f, old);
    rename_backup(f, old, "faces-20200101-000000", false);
    backup(f, unnumbered);
    rename_backup(f, unnumbered, "faces-20991231-000000", false);
    backup(f, future);
    rename_backup(f, future, "faces-000001-20991231-000000", true);
    add(f->gallery, "a", 1);
    backup(f, newer);
    struct hs_gallery_backups *list;
    assert_int_equal(hs_gallery_list_backups(f->gallery, &list, NULL), 0);
    assert_int_equal(list->count, 4);
    const char *order[] = { newer, future, old, unnumbered };
    for (int i = 0; i < 4; i++)
        assert_string_equal(list->items[i].path, order[i]);
    hs_gallery_backups_destroy(list);
    add(f->gallery, "b", 2);
    backup(f, newest);
    assert_true(hs_file_exists(newest));
    assert_true(hs_file_exists(newer));
    assert_false(hs_file_exists(future));
    damage(f);
    fixture_open(f);
    assert_string_equal(f->opened.restored_from, newest);
    assert_int_equal(count_of(f->gallery, "b"), 1);
}

/* Two galleries share a backup folder: neither uses, counts or deletes the other's files. */
static void test_shared_folder(void **state)
{
    struct fixture *f = *state, *other;
    void *own;
    char first[PATH_MAX], theirs[PATH_MAX], mine[PATH_MAX], fresh[PATH_MAX], unknown[PATH_MAX];
    fixture_setup(&own);
    other = own;
    hs_str_copy(other->backups, sizeof(other->backups), f->backups);
    f->options.keep_backups = other->options.keep_backups = 1;
    add(fixture_open(f), "a", 1);
    add(fixture_open(other), "b", 2);
    backup(f, unknown);
    rename_backup(f, unknown, "faces-20200101-000000", false);
    backup(f, first);
    backup(other, theirs);
    backup(f, mine);
    assert_true(hs_file_exists(theirs));
    assert_false(hs_file_exists(first));
    backup(other, theirs);
    struct hs_gallery_backups *list;
    assert_int_equal(hs_gallery_list_backups(f->gallery, &list, NULL), 0);
    assert_int_equal(list->count, 1);
    assert_string_equal(list->items[0].path, mine);
    hs_gallery_backups_destroy(list);
    damage(f);
    fixture_open(f);
    assert_string_equal(f->opened.restored_from, mine);
    assert_int_equal(count_of(f->gallery, "a"), 1);
    assert_int_equal(hs_gallery_purge_all(f->gallery, fresh, &list, NULL), 0);
    hs_gallery_backups_destroy(list);
    assert_false(hs_file_exists(mine));
    assert_true(hs_file_exists(fresh));
    assert_true(hs_file_exists(theirs));
    assert_true(hs_file_exists(unknown));
    fixture_teardown(&own);
}

/* Two machines have the same database path and share a backup folder. */
static void test_same_path(void **state)
{
    struct fixture *f = *state, *other;
    void *own;
    char theirs[PATH_MAX], mine[PATH_MAX], uid[PATH_MAX];
    struct hs_gallery_backups *list;
    fixture_setup(&own);
    other = own;
    hs_str_copy(f->backups, sizeof(f->backups), other->backups);
    f->options.keep_backups = 1;
    add(fixture_open(f), "a", 1);
    backup(f, theirs);
    fixture_close(f);
    hs_str_format(uid, sizeof(uid), "%s.uid", f->path);
    unlink(f->path);
    unlink(uid);
    add(fixture_open(f), "b", 2);
    backup(f, mine);
    assert_true(hs_file_exists(theirs));
    assert_int_equal(hs_gallery_list_backups(f->gallery, &list, NULL), 0);
    assert_int_equal(list->count, 1);
    hs_gallery_backups_destroy(list);
    /* The backups of a deleted file belong to the gallery that replaces it. */
    fixture_close(f);
    unlink(f->path);
    fixture_open(f);
    assert_int_equal(hs_gallery_list_backups(f->gallery, &list, NULL), 0);
    assert_int_equal(list->count, 1);
    assert_string_equal(list->items[0].path, mine);
    hs_gallery_backups_destroy(list);
    fixture_teardown(&own);
}

/* A restore that fails because another process holds the lock changes nothing. */
static void test_busy(void **state)
{
    struct fixture *f = *state;
    char path[PATH_MAX];
    sqlite3 *db;
    f->options.busy_timeout_ms = 50;
    add(fixture_open(f), "a", 1);
    backup(f, path);
    add(f->gallery, "b", 2);
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(hs_gallery_restore(f->gallery, path, NULL), HS_EBUSY);
    sqlite3_close(db);
    assert_int_equal(count_of(f->gallery, "b"), 1);
    assert_int_equal(hs_gallery_restore(f->gallery, path, NULL), 0);
    assert_int_equal(count_of(f->gallery, "b"), -1);
}

static void *restore(void *arg)
{
    struct fixture *f = arg;
    char path[PATH_MAX];
    hs_path_join(path, sizeof(path), f->dir, "copy.db.gz");
    assert_int_equal(hs_gallery_restore(f->gallery, path, NULL), 0);
    return NULL;
}

/* A restore that waits for the folder's lock does not block changes. A purge takes the locks in the
 * same order. */
static void test_restore_waits(void **state)
{
    struct fixture *f = *state;
    char path[PATH_MAX], copy[PATH_MAX];
    pthread_t thread;
    int lock;
    f->options.busy_timeout_ms = 1000;
    add(fixture_open(f), "a", 1);
    backup(f, path);
    hs_path_join(copy, sizeof(copy), f->dir, "copy.db.gz");
    assert_int_equal(rename(path, copy), 0);
    assert_int_equal(hs_gallery_lock_folder(f->path, &lock, NULL), 0);
    pthread_create(&thread, NULL, restore, f);
    usleep(50000);
    assert_int_equal(try_add(f->gallery, "b", 2, NULL), 0);
    hs_gallery_unlock_folder(lock);
    pthread_join(thread, NULL);
    assert_int_equal(count_of(f->gallery, "b"), -1);
}

/* ---- a change of another process while a backup is restored ---- */

static const char *late_path;
static int late_code;

/* Makes a change in another process once the copy for the backup is complete and is being checked. */
static int change_late(unsigned kind, void *context, void *stmt, void *text)
{
    (void) kind, (void) context, (void) stmt;
    sqlite3 *db;
    if (!strstr(text, "integrity_check") || late_code >= 0)
        return 0;
    late_code = SQLITE_OK;
    assert_int_equal(sqlite3_open(late_path, &db), SQLITE_OK);
    late_code = sqlite3_exec(db, "INSERT INTO identities (name) VALUES ('late')", NULL, NULL, NULL);
    sqlite3_close(db);
    return 0;
}

static int watch_copy(sqlite3 *db)
{
    const char *path = sqlite3_db_filename(db, "main");
    if (path && hs_str_ends(path, ".copy"))
        sqlite3_trace_v2(db, SQLITE_TRACE_STMT, change_late, NULL);
    return SQLITE_OK;
}

/* The change is in the backup made first, or in the content after the restore, or it failed. */
static void test_change_while_restoring(void **state)
{
    struct fixture *f = *state;
    char path[PATH_MAX];
    struct hs_gallery_backups *list;
    add(fixture_open(f), "a", 1);
    backup(f, path);
    late_path = f->path;
    late_code = -1;
    sqlite3_auto_extension((void (*)(void)) watch_copy);
    assert_int_equal(hs_gallery_restore(f->gallery, path, NULL), 0);
    sqlite3_reset_auto_extension();
    assert_true(late_code >= 0);
    bool kept = count_of(f->gallery, "late") >= 0;
    assert_int_equal(hs_gallery_list_backups(f->gallery, &list, NULL), 0);
    assert_int_equal(hs_gallery_restore(f->gallery, list->items[0].path, NULL), 0);
    hs_gallery_backups_destroy(list);
    kept |= count_of(f->gallery, "late") >= 0;
    assert_true(kept == (late_code == SQLITE_OK));
}

/* A file whose schema has foreign objects is not restored, and its triggers and views have no
 * effect when it is opened. */
static void test_malicious_backup(void **state)
{
    static const char *const crafts[] = {
        "CREATE TRIGGER t AFTER INSERT ON embeddings BEGIN DELETE FROM identities; END",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TABLE more (a)",
        "CREATE UNIQUE INDEX u ON embeddings (identity_id)",
        "ALTER TABLE identities ADD COLUMN extra TEXT",
        "ALTER TABLE embeddings ADD COLUMN extra INTEGER CHECK (extra > 0)",
    };
    struct fixture *f = *state;
    char other[PATH_MAX];
    add(fixture_open(f), "a", 1);
    hs_path_join(other, sizeof(other), f->dir, "other.db");
    for (size_t i = 0; i < sizeof(crafts) / sizeof(crafts[0]); i++) {
        char sql[PATH_MAX];
        unlink(other);
        hs_str_format(sql, sizeof(sql), "VACUUM INTO '%s'", other);
        run_sql(f->path, sql);
        run_sql(other, crafts[i]);
        assert_int_equal(hs_gallery_restore(f->gallery, other, NULL), HS_EDECODE);
    }
    fixture_close(f);
    run_sql(f->path, crafts[0]);
    add(fixture_open(f), "b", 2);
    assert_int_equal(count_of(f->gallery, "a"), 1);
    assert_int_equal(count_of(f->gallery, "b"), 1);
    /* Such a backup does not replace a damaged file, either. */
    backup(f, other);
    damage(f);
    fixture_open(f);
    assert_string_equal(f->opened.restored_from, "");
}

static void test_no_folder(void **state)
{
    struct fixture *f = *state;
    f->options.backup_dir = NULL;
    struct hs_gallery *g = fixture_open(f);
    struct hs_gallery_backups *list;
    assert_int_equal(hs_gallery_backup(g, NULL, NULL), HS_EUNSUPPORTED);
    assert_int_equal(hs_gallery_list_backups(g, &list, NULL), 0);
    assert_int_equal(list->count, 0);
    hs_gallery_backups_destroy(list);
}

/* Overwrites one byte in the middle of a file, or truncates the file there. */
static void spoil(const char *path, bool cut)
{
    uint8_t *data;
    size_t len;
    assert_int_equal(hs_file_read(path, 1 << 24, &data, &len, NULL), 0);
    data[len / 2] ^= 0xff;
    assert_int_equal(hs_file_write_atomic(path, data, cut ? len / 2 : len, 0600, NULL), 0);
    free(data);
}

static void test_bad_backups(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    char path[PATH_MAX], other[PATH_MAX];
    add(g, "a", 1);
    backup(f, path);
    spoil(path, false);
    assert_int_equal(hs_gallery_restore(g, path, NULL), HS_EDECODE);
    backup(f, path);
    spoil(path, true);
    assert_int_equal(hs_gallery_restore(g, path, NULL), HS_EDECODE);
    hs_path_join(other, sizeof(other), f->dir, "other.db");
    run_sql(other, "CREATE TABLE t (a)");
    assert_int_equal(hs_gallery_restore(g, other, NULL), HS_EDECODE);
    assert_int_equal(hs_gallery_restore(g, "nothing", NULL), HS_ENOTFOUND);
    assert_int_equal(count_of(g, "a"), 1);
    /* A file with an old schema is a valid backup, too. */
    unlink(other);
    write_first_schema(other);
    assert_int_equal(hs_gallery_restore(g, other, NULL), 0);
    assert_int_equal(count_of(g, "Bob"), 1);
    assert_int_equal(stats_of(g).embeddings, 2);
}

static void damage(struct fixture *f)
{
    uint8_t *data;
    size_t len;
    fixture_close(f);
    assert_int_equal(hs_file_read(f->path, 1 << 24, &data, &len, NULL), 0);
    for (size_t i = 4096; i < len; i += 3)
        data[i] ^= 0x5a;
    assert_int_equal(hs_file_write_atomic(f->path, data, len, 0600, NULL), 0);
    free(data);
}

static void test_damaged_file(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    char good[PATH_MAX], bad[PATH_MAX];
    add(g, "a", 1);
    backup(f, good);
    add(g, "b", 2);
    backup(f, bad);
    spoil(bad, true);
    damage(f);
    g = fixture_open(f);
    assert_true(hs_file_exists(f->opened.set_aside));
    assert_string_equal(f->opened.restored_from, good);
    assert_false(f->opened.created);
    assert_int_equal(count_of(g, "a"), 1);
    assert_int_equal(count_of(g, "b"), -1);
    /* The set-aside file is reported as one that may hold erased data. */
    struct hs_gallery_erased erased;
    assert_int_equal(hs_gallery_remove(g, "a", &erased, NULL), 0);
    assert_int_equal(erased.file_count, 3);
    hs_gallery_erased_finish(&erased);
}

/* If the backup cannot be unpacked now, the damaged file stays: the next opening would begin an empty gallery. */
static void test_damaged_without_space(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    struct rlimit before, small;
    struct hs_error err;
    uint8_t *data;
    size_t len;
    char good[PATH_MAX];
    add(g, "a", 1);
    backup(f, good);
    damage(f);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 40000; /* enough for the index of SQLite's log */
    assert_int_equal(hs_file_read(f->path, small.rlim_cur, &data, &len, NULL), HS_ETOOLARGE);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int r = hs_gallery_open(&f->options, &g, &f->opened, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(r, HS_EIO);
    assert_true(hs_file_exists(f->path));
    g = fixture_open(f);
    assert_string_equal(f->opened.restored_from, good);
    assert_int_equal(count_of(g, "a"), 1);
}

static void test_damaged_without_backup(void **state)
{
    struct fixture *f = *state;
    add(fixture_open(f), "a", 1);
    damage(f);
    struct hs_gallery *g = fixture_open(f);
    assert_true(hs_file_exists(f->opened.set_aside));
    assert_string_equal(f->opened.restored_from, "");
    assert_true(f->opened.created);
    assert_int_equal(stats_of(g).identities, 0);
    fixture_close(f);
    assert_int_equal(hs_file_write_atomic(f->path, "no database at all, but long enough to look at", 46, 0600, NULL),
                     0);
    fixture_open(f);
    assert_true(hs_file_exists(f->opened.set_aside));
}

/* A damaged file stays in place if its new name is too long, because another file has the name without a number. */
static void test_damaged_file_with_a_long_path(void **state)
{
    struct fixture *f = *state;
    char path[PATH_MAX], other[PATH_MAX], stamp[20];
    struct hs_error err = { 0 };
    size_t len = strlen(f->dir), last = PATH_MAX - 1 - strlen("/faces.db.corrupt-YYYYMMDD-HHMMSS");
    memcpy(path, f->dir, len);
    if ((last - len) % 2)
        path[len++] = '/';
    for (; len < last; len += 2)
        memcpy(path + len, "/.", 2);
    hs_str_copy(path + len, sizeof(path) - len, "/faces.db");
    add(fixture_open(f), "a", 1);
    damage(f);
    for (time_t now = time(NULL), t = now; t < now + 20; t++) {
        strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", gmtime(&t));
        assert_true(hs_str_format(other, sizeof(other), "%s.corrupt-%s", f->path, stamp));
        assert_int_equal(hs_file_write_atomic(other, "", 0, 0600, NULL), 0);
    }
    f->options.path = path;
    assert_int_equal(hs_gallery_open(&f->options, &f->gallery, &f->opened, &err), HS_EINVAL);
    f->gallery = NULL;
    f->options.path = f->path;
    assert_non_null(strstr(err.message, "the path is too long"));
    assert_true(hs_file_exists(f->path));
    fixture_open(f);
    assert_true(hs_str_ends(f->opened.set_aside, "-1"));
}

/* With any byte flipped, the gallery opens, and its content is consistent. */
static void test_flipped_bytes(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    add(g, "a", 1);
    backup(f, (char[PATH_MAX]) { 0 });
    fixture_close(f);
    uint8_t *data;
    size_t len;
    assert_int_equal(hs_file_read(f->path, 1 << 24, &data, &len, NULL), 0);
    for (size_t i = 0; i < len; i += i < 200 ? 1 : 509) {
        data[i] ^= 0xff;
        assert_int_equal(hs_file_write_atomic(f->path, data, len, 0600, NULL), 0);
        data[i] ^= 0xff;
        struct hs_error err = { 0 };
        int r = hs_gallery_open(&f->options, &g, &f->opened, &err);
        if (r < 0) {
            /* The flipped byte may be in the version number, which then looks like a newer version. */
            if (r != HS_EVERSION)
                print_error("byte %zu: %s\n", i, err.message);
            assert_int_equal(r, HS_EVERSION);
            continue;
        }
        assert_int_equal(hs_gallery_check(g, &err), 0);
        hs_gallery_close(g);
        unlink(f->opened.set_aside);
    }
    free(data);
}

/* The pages are intact, but one column is not ours. */
static void test_foreign_tables(void **state)
{
    struct fixture *f = *state;
    add(fixture_open(f), "a", 1);
    backup(f, (char[PATH_MAX]) { 0 });
    fixture_close(f);
    run_sql(f->path, "ALTER TABLE embeddings RENAME COLUMN space TO spice");
    fixture_open(f);
    assert_true(hs_file_exists(f->opened.set_aside));
    assert_true(f->opened.restored_from[0]);
    assert_int_equal(count_of(f->gallery, "a"), 1);
}

static void test_leftovers_are_deleted(void **state)
{
    struct fixture *f = *state;
    char path[PATH_MAX];
    hs_path_join(path, sizeof(path), f->dir, "faces.db.restore-123456-journal");
    assert_int_equal(hs_file_write_atomic(path, "x", 1, 0600, NULL), 0);
    fixture_open(f);
    assert_false(hs_file_exists(path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GALLERY_TEST(test_backup_and_restore),
        GALLERY_TEST(test_keep_backups),
        GALLERY_TEST(test_no_folder),
        GALLERY_TEST(test_bad_backups),
        GALLERY_TEST(test_damaged_file),
        GALLERY_TEST(test_damaged_without_space),
        GALLERY_TEST(test_damaged_without_backup),
        GALLERY_TEST(test_damaged_file_with_a_long_path),
        GALLERY_TEST(test_flipped_bytes),
        GALLERY_TEST(test_foreign_tables),
        GALLERY_TEST(test_leftovers_are_deleted),
        GALLERY_TEST(test_clock),
        GALLERY_TEST(test_shared_folder),
        GALLERY_TEST(test_same_path),
        GALLERY_TEST(test_busy),
        GALLERY_TEST(test_restore_waits),
        GALLERY_TEST(test_change_while_restoring),
        GALLERY_TEST(test_malicious_backup),
    };
    return HS_RUN_TESTS(tests);
}
