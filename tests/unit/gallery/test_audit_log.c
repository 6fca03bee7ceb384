/* The audit log: each change has one entry, and each way to falsify the log is found. */
#include "fixture.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/str.h"
#include "gallery/audit_log.h"
#include "gallery/export.h"

static struct hs_audit_report verify(struct hs_gallery *g, int64_t after)
{
    struct hs_audit_report report;
    struct hs_error err = { .message = "" };
    int r = hs_audit_verify(g, after, &report, &err);
    if (r != 0)
        fail_msg("%s", err.message);
    return report;
}

/* Asserts that the log is whole and has this many entries. */
static void check_whole(struct hs_gallery *g, int64_t entries)
{
    struct hs_audit_report report = verify(g, 0);
    assert_string_equal(report.problem, "");
    assert_int_equal(report.broken, 0);
    assert_int_equal(report.gaps, 0);
    assert_int_equal(report.unlogged, 0);
    assert_int_equal(report.entries, entries);
}

static int append_entry(void *arg, const struct hs_audit_entry *entry)
{
    return hs_buf_append(arg, entry->text, entry->len) < 0 || hs_buf_append(arg, "\n", 1) < 0 ? HS_ENOMEM : 0;
}

/* Returns the entries after number `after`, one per line. The caller frees the text. */
static char *text_of(struct hs_gallery *g, int64_t after)
{
    struct hs_buf buf;
    hs_buf_init(&buf, 1 << 20);
    assert_int_equal(hs_audit_for_each(g, after, append_entry, &buf, NULL), 0);
    assert_non_null(hs_buf_str(&buf));
    return (char *) hs_buf_take(&buf, &(size_t) { 0 });
}

/* Asserts that the newest entry has this text, after its time. */
static void check_last(struct hs_gallery *g, const char *expected)
{
    struct hs_audit_head head;
    assert_int_equal(hs_audit_head_of(g, &head, NULL), 0);
    char *text = text_of(g, head.seq - 1);
    if (!strstr(text, expected))
        fail_msg("%s has no %s", text, expected);
    free(text);
}

static int append(void *arg, const char *data, size_t len)
{
    return hs_buf_append(arg, data, len);
}

static int update(struct hs_gallery *g, const char *name, const char *new_name, const char *metadata)
{
    return hs_gallery_update(g, name, &(struct hs_gallery_update) { .new_name = new_name, .metadata = metadata }, NULL);
}

/* Each kind of change appends one entry, with ids and without names. */
static void test_changes(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    check_whole(g, 0);
    const char *ann = "Ann Nobody", *bob = "Bob Somebody";
    int64_t id = add(g, ann, 1).identity_id, second = add(g, ann, 2).embedding_id;
    check_last(
        g, "\"action\":\"add\",\"change\":2,\"actor\":\"library\",\"identity\":1,\"embedding\":2,\"result\":\"ok\"}");
    add(g, bob, 3);
    check_last(g, "\"action\":\"add_identity\",\"change\":3");
    check_whole(g, 3);
    assert_int_equal(update(g, ann, "Anna Nobody", NULL), 0);
    check_last(g, "\"action\":\"rename\"");
    assert_int_equal(update(g, "Anna Nobody", NULL, "{\"a\":1}"), 0);
    check_last(g, "\"action\":\"set_metadata\"");
    assert_int_equal(hs_gallery_remove_embedding(g, second, NULL, NULL), 0);
    check_last(g, "\"action\":\"remove_embedding\",\"change\":6,\"actor\":\"library\",\"identity\":1,\"embedding\":2");
    assert_int_equal(hs_gallery_merge(g, "Anna Nobody", bob, NULL), 0);
    check_last(g, "\"action\":\"merge\",\"change\":7,\"actor\":\"library\",\"embeddings\":1,\"identity\":1,\"into\":2");
    assert_int_equal(hs_gallery_remove(g, bob, NULL, NULL), 0);
    check_last(g, "\"action\":\"remove\",\"change\":8,\"actor\":\"library\",\"identity\":2,\"embeddings\":2");
    assert_int_equal(hs_audit_record(g, "key_refused", NULL, 12, NULL), 0);
    check_last(g, "\"action\":\"key_refused\",\"change\":9,\"actor\":\"library\",\"count\":12,\"result\":\"ok\"");
    check_whole(g, 9);
    assert_int_equal(id, 1);
    char *text = text_of(g, 0);
    assert_null(strstr(text, "Ann"));
    assert_null(strstr(text, "Bob"));
    free(text);
    fixture_close(f);
    check_whole(fixture_open(f), 9);
}

/* A change that fails leaves no entry. */
static void test_failures(void **state)
{
    struct hs_gallery *g = fixture_open(*state);
    add(g, "a", 1);
    add(g, "b", 2);
    assert_int_equal(update(g, "a", "b", NULL), HS_ECONFLICT);
    assert_int_equal(update(g, "x", "y", NULL), HS_ENOTFOUND);
    assert_int_equal(hs_gallery_merge(g, "a", "a", NULL), HS_EINVAL);
    assert_int_equal(hs_gallery_remove(g, "x", NULL, NULL), HS_ENOTFOUND);
    check_whole(g, 2);
}

static void test_actor(void **state)
{
    struct hs_gallery *g = fixture_open(*state);
    const struct hs_audit_actor actor = { "key:abc", "192.0.2.7", "id\n\"1\"" };
    hs_audit_act_as(&actor);
    add(g, "a", 1);
    check_last(g, "\"actor\":\"key:abc\",\"client\":\"192.0.2.7\",\"request_id\":\"id?\\\"1\\\"\",\"identity\":1");
    hs_audit_act_as(NULL);
    add(g, "a", 2);
    check_last(g, "\"actor\":\"library\",\"identity\":1");
    check_whole(g, 2);
}

/* Texts of any length and content fit in an entry. */
static void test_long_actor(void **state)
{
    struct hs_gallery *g = fixture_open(*state);
    char text[4000];
    for (size_t i = 0; i + 4 < sizeof(text); i += 4)
        memcpy(text + i, "\xf0\x9f\x98\x80", 4);
    text[sizeof(text) - 4] = '\0';
    hs_audit_act_as(&(struct hs_audit_actor) { text, text, text });
    add(g, "a", 1);
    hs_audit_act_as(NULL);
    check_whole(g, 1);
}

/* ---- falsified logs ---- */

static void add_some(struct fixture *f, unsigned count)
{
    fixture_open(f);
    for (unsigned i = 0; i < count; i++)
        add(f->gallery, "a", i);
    check_whole(f->gallery, count);
    fixture_close(f);
}

/* Runs SQL on a log of 6 entries, with the head beside the file deleted if `headless`, and verifies. */
static struct hs_audit_report falsify(void **state, const char *sql, bool headless)
{
    struct fixture *f = *state;
    char path[PATH_MAX];
    add_some(f, 6);
    run_sql(f->path, sql);
    assert_true(hs_str_format(path, sizeof(path), "%s.audit-head", f->path));
    if (headless)
        assert_int_equal(unlink(path), 0);
    return verify(fixture_open(f), 0);
}

static void test_changed(void **state)
{
    struct hs_audit_report report =
        falsify(state, "UPDATE audit_log SET entry = replace(entry, 'library', 'nobody') WHERE seq = 3", true);
    assert_int_equal(report.broken, 3);
    assert_int_equal(report.entries, 2);
}

static void test_changed_hash(void **state)
{
    assert_int_equal(falsify(state, "UPDATE audit_log SET hash = zeroblob(32) WHERE seq = 4", true).broken, 4);
}

static void test_no_hash(void **state)
{
    assert_int_equal(falsify(state, "UPDATE audit_log SET hash = 'x' WHERE seq = 4", true).broken, 4);
}

static void test_removed(void **state)
{
    assert_int_equal(falsify(state, "DELETE FROM audit_log WHERE seq = 3", true).broken, 4);
}

/* An entry is removed, and the later ones get lower numbers. */
static void test_removed_and_renumbered(void **state)
{
    assert_int_equal(
        falsify(state, "DELETE FROM audit_log WHERE seq = 3; UPDATE audit_log SET seq = seq - 1 WHERE seq > 3", true)
            .broken,
        3);
}

static void test_first_removed(void **state)
{
    assert_int_equal(falsify(state, "DELETE FROM audit_log WHERE seq <= 2", true).broken, 3);
}

static void test_reordered(void **state)
{
    assert_int_equal(falsify(state,
                             "UPDATE audit_log SET seq = -seq WHERE seq IN (3, 4);"
                             "UPDATE audit_log SET seq = 7 + seq WHERE seq < 0",
                             true)
                         .broken,
                     3);
}

static void test_log_of_another_gallery(void **state)
{
    struct fixture *f = *state;
    add_some(f, 2);
    run_sql(f->path, "UPDATE gallery SET uid = '0123456789abcdef'");
    assert_int_equal(verify(fixture_open(f), 0).broken, 1);
}

/* Opening records that the newest entries are missing; their numbers are not used again. */
static void test_truncated(void **state)
{
    struct fixture *f = *state;
    struct hs_audit_report report = falsify(state, "DELETE FROM audit_log WHERE seq > 4", false);
    assert_int_equal(report.broken, 0);
    assert_int_equal(report.gaps, 1);
    assert_int_equal(report.gap, 7);
    assert_string_equal(report.problem, "entry 7 records that the entries 5 to 6 were missing");
    add(f->gallery, "b", 9);
    fixture_close(f);
    report = verify(fixture_open(f), 0);
    assert_int_equal(report.entries, 6);
    assert_int_equal(report.last, 8);
    assert_int_equal(report.gap, 7);
    assert_int_equal(verify(f->gallery, 7).gaps, 0);
}

static void test_all_removed(void **state)
{
    assert_int_equal(falsify(state, "DELETE FROM audit_log", false).gap, 7);
}

/* The newest entries are replaced by valid ones of the same numbers. */
static void test_replaced(void **state)
{
    struct fixture *f = *state;
    add_some(f, 3);
    char kept[PATH_MAX], head[PATH_MAX];
    assert_true(hs_str_format(head, sizeof(head), "%s.audit-head", f->path));
    assert_true(hs_str_format(kept, sizeof(kept), "%s.kept", head));
    assert_int_equal(rename(head, kept), 0);
    run_sql(f->path, "DELETE FROM audit_log WHERE seq = 3");
    add(fixture_open(f), "x", 8);
    assert_int_equal(verify(f->gallery, 0).broken, 0);
    assert_int_equal(verify(f->gallery, 0).unlogged, 1); /* without the head, only the missing change shows it */
    fixture_close(f);
    assert_int_equal(rename(kept, head), 0);
    struct hs_audit_report report = verify(fixture_open(f), 0);
    assert_int_equal(report.gap, 4);
    assert_string_equal(report.problem, "entry 4 records that the entries up to 3 had been replaced");
}

/* Entries disappear while the gallery is open. */
static void test_truncated_while_open(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    for (unsigned i = 0; i < 5; i++)
        add(f->gallery, "a", i);
    run_sql(f->path, "DELETE FROM audit_log WHERE seq > 3");
    struct hs_audit_report report = verify(f->gallery, 0);
    assert_int_equal(report.broken, 4);
    assert_non_null(strstr(report.problem, "entry 5"));
    add(f->gallery, "a", 6);
    report = verify(f->gallery, 0);
    assert_int_equal(report.broken, 0);
    assert_int_equal(report.gap, 6);
    assert_int_equal(report.last, 7);
}

/* Changes without entries are counted, and the chain continues after them. */
static void test_off(void **state)
{
    struct fixture *f = *state;
    add_some(f, 2);
    f->options.no_audit = true;
    add(fixture_open(f), "b", 5);
    add(f->gallery, "b", 6);
    assert_int_equal(hs_audit_record(f->gallery, "key_added", "x", 0, NULL), 0);
    assert_int_equal(verify(f->gallery, 0).entries, 2);
    assert_int_equal(verify(f->gallery, 0).unlogged, 2);
    fixture_close(f);
    f->options.no_audit = false;
    add(fixture_open(f), "b", 7);
    struct hs_audit_report report = verify(f->gallery, 0);
    assert_int_equal(report.broken, 0);
    assert_int_equal(report.entries, 3);
    assert_int_equal(report.unlogged, 2);
}

/* The oldest entries are dropped, and the chain still verifies. */
static void test_rotated(void **state)
{
    struct fixture *f = *state;
    f->options.audit_keep = 20;
    fixture_open(f);
    for (unsigned i = 0; i < 60; i++)
        assert_int_equal(update(f->gallery, add(f->gallery, "a", i).identity_id ? "a" : "", NULL, "{}"), 0);
    struct hs_audit_report report = verify(f->gallery, 0);
    assert_string_equal(report.problem, "");
    assert_true(report.entries >= 20 && report.entries <= 24);
    assert_true(report.first > 1);
    assert_int_equal(report.last - report.first + 1, report.entries);
    assert_int_equal(report.unlogged, 0);
    fixture_close(f);
    run_sql(f->path, "DELETE FROM audit_log WHERE seq = (SELECT min(seq) FROM audit_log)");
    assert_int_equal(verify(fixture_open(f), 0).broken, report.first + 1);
}

/* The last dropped entry is the one before a gap, so its number is not that before the first kept entry. */
static void test_rotated_at_a_gap(void **state)
{
    struct fixture *f = *state;
    f->options.audit_keep = 20;
    add_some(f, 15);
    run_sql(f->path, "DELETE FROM audit_log WHERE seq > 5");
    fixture_open(f);
    assert_int_equal(verify(f->gallery, 0).gap, 16);
    bool dropped = false;
    for (unsigned i = 0; i < 30; i++) {
        add(f->gallery, "b", 20 + i);
        struct hs_audit_report report = verify(f->gallery, 0);
        if (report.broken)
            fail_msg("%s", report.problem);
        dropped |= report.first == 16;
    }
    assert_true(dropped);
    assert_int_equal(verify(f->gallery, 0).gaps, 0);
}

/* ---- restoring ---- */

/* A restore brings back the people, but not the log, of the backup. */
static void test_restore(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    char backup[PATH_MAX];
    add(g, "a", 1);
    add(g, "a", 2);
    assert_int_equal(hs_gallery_backup(g, backup, NULL), 0);
    assert_int_equal(hs_gallery_remove(g, "a", NULL, NULL), 0);
    assert_int_equal(hs_gallery_restore(g, backup, NULL), 0);
    assert_int_equal(count_of(g, "a"), 2);
    check_last(g, "\"action\":\"restore\"");
    check_last(g, "\"backup_seq\":2,\"backup_hash\":\"");
    check_whole(g, 4);
    add(g, "a", 3);
    fixture_close(f);
    check_whole(fixture_open(f), 5);
}

/* With the log off, a restore keeps the log all the same. */
static void test_restore_while_off(void **state)
{
    struct fixture *f = *state;
    char backup[PATH_MAX];
    add_some(f, 2);
    assert_int_equal(hs_gallery_backup(fixture_open(f), backup, NULL), 0);
    add(f->gallery, "b", 7);
    fixture_close(f);
    f->options.no_audit = true;
    assert_int_equal(hs_gallery_restore(fixture_open(f), backup, NULL), 0);
    assert_int_equal(verify(f->gallery, 0).broken, 0);
    assert_int_equal(verify(f->gallery, 0).entries, 3);
    assert_true(verify(f->gallery, 0).unlogged > 0);
}

/* A damaged gallery is replaced by a backup, which has fewer entries: the loss is recorded. */
static void test_restored_because_damaged(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    add(g, "a", 1);
    assert_int_equal(hs_gallery_backup(g, NULL, NULL), 0);
    add(g, "a", 2);
    add(g, "a", 3);
    fixture_close(f);
    assert_int_equal(hs_file_write_atomic(f->path, "damaged", 7, 0600, NULL), 0);
    g = fixture_open(f);
    assert_true(f->opened.restored_from[0]);
    struct hs_audit_report report = verify(g, 0);
    assert_int_equal(report.broken, 0);
    assert_int_equal(report.gap, 4);
    assert_int_equal(report.entries, 3);
    check_last(g, "\"seq\":5,");
    check_last(g, "\"action\":\"restore_damaged\"");
}

/* If the log of the damaged gallery can still be read, its entries are kept. */
static void test_recovered(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    uint8_t *data;
    size_t len;
    add(g, "a", 1);
    assert_int_equal(hs_gallery_backup(g, NULL, NULL), 0);
    for (unsigned i = 2; i < 5; i++)
        add(g, "b", i);
    fixture_close(f);
    size_t page = (size_t) query_sql(f->path, "PRAGMA page_size");
    size_t root = (size_t) query_sql(f->path, "SELECT rootpage FROM sqlite_schema WHERE name = 'embeddings'");
    assert_int_equal(hs_file_read(f->path, 1 << 24, &data, &len, NULL), 0);
    memset(data + (root - 1) * page, 0x5a, page);
    assert_int_equal(hs_file_write_atomic(f->path, data, len, 0600, NULL), 0);
    free(data);
    g = fixture_open(f);
    assert_true(f->opened.restored_from[0]);
    assert_int_equal(count_of(g, "b"), -1);
    check_last(g, "\"action\":\"restore_damaged\"");
    check_last(g, "\"recovered_entries\":3");
    check_whole(g, 5);
}

static void test_import(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    struct hs_buf buf;
    struct hs_gallery_imported done;
    hs_buf_init(&buf, 1 << 20);
    add(g, "a", 1);
    add(g, "a", 2);
    assert_int_equal(hs_gallery_export(g, NULL, append, &buf, NULL), 0);
    assert_int_equal(hs_gallery_remove(g, "a", NULL, NULL), 0);
    assert_int_equal(hs_gallery_import(g, (const char *) buf.data, buf.len, &done, NULL), 0);
    hs_buf_finish(&buf);
    check_last(g, "\"action\":\"import\",\"change\":4,\"actor\":\"library\",\"identities\":1,\"embeddings\":2");
    check_whole(g, 4);
}

static void test_migration(void **state)
{
    struct fixture *f = *state;
    write_first_schema(f->path);
    check_last(fixture_open(f),
               "\"action\":\"migrate\",\"change\":1,\"actor\":\"library\",\"from_schema\":0,\"embeddings\":1");
    check_whole(f->gallery, 1);
}

/* The head beside the file is private, and never follows a link. */
static void test_head_file(void **state)
{
    struct fixture *f = *state;
    char path[PATH_MAX], victim[PATH_MAX];
    struct stat st;
    assert_true(hs_str_format(path, sizeof(path), "%s.audit-head", f->path));
    add_some(f, 1);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, 86);
    assert_true(hs_path_join(victim, sizeof(victim), f->dir, "victim"));
    assert_int_equal(hs_file_write_atomic(victim, "x", 1, 0600, NULL), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(victim, path), 0);
    add(fixture_open(f), "a", 9);
    assert_int_equal(stat(victim, &st), 0);
    assert_int_equal(st.st_size, 1);
    fixture_close(f);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    add(fixture_open(f), "a", 10);
    check_whole(f->gallery, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GALLERY_TEST(test_changes),
        GALLERY_TEST(test_failures),
        GALLERY_TEST(test_actor),
        GALLERY_TEST(test_long_actor),
        GALLERY_TEST(test_changed),
        GALLERY_TEST(test_changed_hash),
        GALLERY_TEST(test_no_hash),
        GALLERY_TEST(test_removed),
        GALLERY_TEST(test_removed_and_renumbered),
        GALLERY_TEST(test_first_removed),
        GALLERY_TEST(test_reordered),
        GALLERY_TEST(test_log_of_another_gallery),
        GALLERY_TEST(test_truncated),
        GALLERY_TEST(test_all_removed),
        GALLERY_TEST(test_replaced),
        GALLERY_TEST(test_truncated_while_open),
        GALLERY_TEST(test_off),
        GALLERY_TEST(test_rotated),
        GALLERY_TEST(test_rotated_at_a_gap),
        GALLERY_TEST(test_restore),
        GALLERY_TEST(test_restore_while_off),
        GALLERY_TEST(test_restored_because_damaged),
        GALLERY_TEST(test_recovered),
        GALLERY_TEST(test_import),
        GALLERY_TEST(test_migration),
        GALLERY_TEST(test_head_file),
    };
    return HS_RUN_TESTS(tests);
}
