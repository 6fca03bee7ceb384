/* Repeats each operation with the first, second, third … allocation and write failing, until it
 * succeeds. Each time nothing may leak (the sanitizers check), the file must be intact, and the
 * change must be complete or absent. */
#include "fixture.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "faults.h"
#include "gallery/audit_log.h"
#include "gallery/export.h"
#include "gallery/forget.h"
#include "gallery/retention.h"
#include "gallery/sql.h"

struct operation {
    const char *name;
    int (*run)(struct fixture *f);
    void (*check)(struct fixture *f, bool done, bool may_be_done);
};

static int run_add(struct fixture *f)
{
    return try_add(f->gallery, "new", 10, NULL);
}

static void check_add(struct fixture *f, bool done, bool may_be_done)
{
    int64_t count = count_of(f->gallery, "new");
    assert_true(count == (done ? 1 : -1) || (may_be_done && count == 1));
    assert_int_equal(count_of(f->gallery, "a"), 2);
}

static const char key[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static int run_add_idempotent(struct fixture *f)
{
    float values[DIMENSION];
    const struct hs_gallery_new_embedding e = { .values = unit_vector(10, values),
                                                .dimension = DIMENSION,
                                                .space = "test" };
    return hs_gallery_add(f->gallery, &(struct hs_gallery_request) { key, key }, "new", NULL, &e, NULL, NULL);
}

/* Both the embedding and the request are stored, or neither is. */
static void check_add_idempotent(struct fixture *f, bool done, bool may_be_done)
{
    struct hs_gallery_found_request recalled;
    check_add(f, done, may_be_done);
    bool remembered = hs_gallery_find_request(f->gallery, key, &recalled, NULL) == 0;
    assert_int_equal(remembered, count_of(f->gallery, "new") == 1);
}

/* Removes with erase_later, and then completes the erasure. */
static int run_remove_later(struct fixture *f)
{
    struct hs_gallery_erased erased;
    fixture_close(f);
    f->options.erase_later = true;
    int r = hs_gallery_open(&f->options, &f->gallery, &f->opened, NULL);
    if (r < 0) {
        f->gallery = NULL;
        return r;
    }
    r = hs_gallery_remove(f->gallery, "a", &erased, NULL);
    if (r == 0)
        hs_gallery_erased_finish(&erased);
    return r < 0 ? r : hs_gallery_finish_erasing(f->gallery, NULL);
}

static void check_remove_later(struct fixture *f, bool done, bool may_be_done)
{
    (void) may_be_done;
    if (!f->gallery)
        fixture_open(f);
    assert_true(count_of(f->gallery, "a") == -1 || !done);
    if (done)
        assert_false(folder_has(f, 1));
}

/* Adds one embedding more than the limit. */
static int run_add_full(struct fixture *f)
{
    return try_add(f->gallery, "a", 11, NULL);
}

static void check_add_full(struct fixture *f, bool done, bool may_be_done)
{
    (void) done;
    (void) may_be_done;
    assert_int_equal(count_of(f->gallery, "a"), 2);
}

/* The log could not be emptied; the next opening has to empty it. */
static bool erase_pending;

static int run_remove(struct fixture *f)
{
    struct hs_gallery_erased erased;
    int r = hs_gallery_remove(f->gallery, "a", &erased, NULL);
    erase_pending = r == 0 && erased.pending;
    if (r == 0)
        hs_gallery_erased_finish(&erased);
    return r;
}

static void check_remove(struct fixture *f, bool done, bool may_be_done)
{
    int64_t count = count_of(f->gallery, "a");
    assert_true(count == (done ? -1 : 2) || (may_be_done && count == -1));
    if (count == -1 && !erase_pending)
        assert_false(folder_has(f, 1));
    erase_pending = false;
}

static int run_merge(struct fixture *f)
{
    return hs_gallery_merge(f->gallery, "a", "b", NULL);
}

static void check_merge(struct fixture *f, bool done, bool may_be_done)
{
    int64_t a = count_of(f->gallery, "a"), b = count_of(f->gallery, "b");
    assert_true((a == -1 && b == 2 && (done || may_be_done)) || (a == 2 && b == 1 && !done));
}

static int count_identity(void *arg, const struct hs_gallery_identity *identity)
{
    (void) arg;
    assert_non_null(identity->name);
    return 0;
}

static int run_read(struct fixture *f)
{
    struct hs_gallery_person *person;
    int r = hs_gallery_for_each_identity(f->gallery, NULL, 10, count_identity, NULL, NULL, NULL);
    if (r == 0)
        r = hs_gallery_get(f->gallery, "a", true, &person, NULL);
    if (r == 0)
        hs_gallery_person_destroy(person);
    return r;
}

static void check_read(struct fixture *f, bool done, bool may_be_done)
{
    (void) done;
    (void) may_be_done;
    assert_int_equal(count_of(f->gallery, "a"), 2);
}

static int run_backup(struct fixture *f)
{
    return hs_gallery_backup(f->gallery, NULL, NULL);
}

/* All backups that exist must be intact. */
static void check_backup(struct fixture *f, bool done, bool may_be_done)
{
    (void) may_be_done;
    struct hs_gallery_backups *list;
    assert_int_equal(hs_gallery_list_backups(f->gallery, &list, NULL), 0);
    assert_true(list->count >= (done ? 2U : 1U));
    assert_int_equal(hs_gallery_restore(f->gallery, list->items[0].path, NULL), 0);
    hs_gallery_backups_destroy(list);
    assert_int_equal(count_of(f->gallery, "b") >= 0, done);
}

static int run_restore(struct fixture *f)
{
    struct hs_gallery_backups *list;
    int r = hs_gallery_list_backups(f->gallery, &list, NULL);
    if (r < 0)
        return r;
    r = hs_gallery_restore(f->gallery, list->items[0].path, NULL);
    hs_gallery_backups_destroy(list);
    return r;
}

static void check_restore(struct fixture *f, bool done, bool may_be_done)
{
    int64_t b = count_of(f->gallery, "b");
    assert_true(b == (done ? -1 : 1) || (may_be_done && b == -1));
}

static int append(void *arg, const char *data, size_t len)
{
    return hs_buf_append(arg, data, len);
}

/* Exports, renames a, and imports: then a exists again, beside the renamed one. */
static int run_import(struct fixture *f)
{
    struct hs_buf buf;
    struct hs_gallery_imported done = { 0 };
    hs_buf_init(&buf, 1 << 20);
    int r = hs_gallery_export(f->gallery, NULL, append, &buf, NULL);
    if (r == 0)
        r = hs_gallery_rename(f->gallery, "a", "c", NULL);
    if (r == 0) {
        r = hs_gallery_import(f->gallery, (const char *) buf.data, buf.len, &done, NULL);
        if (r == 0 && done.refused_count > 0)
            fail_msg("line %zu: %s", done.refused[0].line, done.refused[0].reason);
    }
    hs_buf_finish(&buf);
    return r;
}

static void check_import(struct fixture *f, bool done, bool may_be_done)
{
    int64_t a = count_of(f->gallery, "a"), c = count_of(f->gallery, "c");
    (void) may_be_done;
    assert_true((a == 2 && c == 2) || (!done && a + c >= 1));
}

/* Two embeddings of a have an unknown model; both get the space, or neither does. */
static int run_set_space(struct fixture *f)
{
    struct hs_gallery_assigned assigned;
    struct hs_gallery_audit audit;
    char name[HS_GALLERY_NAME_MAX + 1];
    int r = hs_gallery_set_space(f->gallery, "test", "m", DIMENSION, &assigned, NULL);
    if (r == 0)
        r = hs_gallery_audit(f->gallery, "test", DIMENSION, &audit, NULL);
    return r == 0 ? hs_gallery_resolve_name(f->gallery, "a", name, NULL) : r;
}

static void check_set_space(struct fixture *f, bool done, bool may_be_done)
{
    struct hs_gallery_audit audit = stats_of(f->gallery);
    int64_t unknown = audit.usability.embeddings[HS_GALLERY_UNKNOWN_SPACE];
    (void) may_be_done;
    assert_int_equal(audit.usability.embeddings[HS_GALLERY_USABLE] + unknown, 3);
    assert_true(unknown == 0 || (unknown == 2 && !done));
}

/* A failure after the erasure is recorded in the proof, or leaves no proof. */
static int run_forget(struct fixture *f)
{
    json_t *proof;
    bool clean;
    int r = hs_gallery_forget(f->gallery, "a", &proof, &clean, NULL);
    if (r < 0)
        return r;
    assert_int_equal(count_of(f->gallery, "a"), -1);
    assert_true(json_is_object(json_object_get(proof, "search")));
    if (clean)
        assert_false(folder_has(f, 1));
    json_decref(proof);
    return 0;
}

static void check_forget(struct fixture *f, bool done, bool may_be_done)
{
    int64_t count = count_of(f->gallery, "a");
    (void) may_be_done;
    assert_true(count == -1 || (count == 2 && !done));
    assert_int_equal(count_of(f->gallery, "b"), 1);
}

/* Both people have expired; each of them is erased, or not. */
static int run_expire(struct fixture *f)
{
    struct hs_gallery_expired expired;
    int r = hs_gallery_expire(f->gallery, INT64_MAX, 1, &expired, NULL);
    if (r == 0)
        assert_int_equal(expired.identities, 2);
    return r;
}

static void check_expire(struct fixture *f, bool done, bool may_be_done)
{
    (void) may_be_done;
    assert_true(!done || (count_of(f->gallery, "a") == -1 && count_of(f->gallery, "b") == -1));
}

/* Initial state: a with two embeddings, a backup of that, then b. */
static void prepare(struct fixture *f)
{
    f->options.vfs = FAULTY_VFS;
    f->options.max_embeddings_per_identity = 2;
    f->options.busy_timeout_ms = 1000;
    fixture_open(f);
    add(f->gallery, "a", 1);
    add(f->gallery, "a", 2);
    assert_int_equal(hs_gallery_backup(f->gallery, NULL, NULL), 0);
    add(f->gallery, "b", 3);
}

/* Returns false once the operation completes without reaching the failure. */
static bool try_with_fault(const struct operation *operation, enum fault fault, long nth)
{
    void *state;
    fixture_setup(&state);
    struct fixture *f = state;
    prepare(f);
    if (operation->run == run_set_space)
        run_sql(f->path, "UPDATE embeddings SET space = NULL WHERE identity_id = 1");
    faults_arm(fault, nth);
    int r = operation->run(f);
    bool failed = faults_disarm();
    if (!failed)
        assert_int_equal(r, 0);
    /* If a write fails after the last byte of a change, the change may be stored nevertheless. If
     * an allocation fails, it is not. */
    operation->check(f, r == 0, false);
    fixture_close(f);
    fixture_open(f);
    assert_string_equal(f->opened.set_aside, "");
    assert_int_equal(hs_gallery_check(f->gallery, NULL), 0);
    if (operation->run != run_backup && operation->run != run_restore)
        operation->check(f, r == 0, fault == FAULT_DISK);
    struct hs_audit_report report;
    assert_int_equal(hs_audit_verify(f->gallery, 0, &report, NULL), 0);
    assert_string_equal(report.problem, "");
    assert_int_equal(report.unlogged, 0);
    fixture_teardown(&state);
    return failed;
}

static const struct operation operations[] = {
    { "add", run_add, check_add },
    { "add to a full one", run_add_full, check_add_full },
    { "add once", run_add_idempotent, check_add_idempotent },
    { "remove later", run_remove_later, check_remove_later },
    { "remove", run_remove, check_remove },
    { "merge", run_merge, check_merge },
    { "read", run_read, check_read },
    { "backup", run_backup, check_backup },
    { "set space", run_set_space, check_set_space },
    { "import", run_import, check_import },
    { "restore", run_restore, check_restore },
};

/* These make thousands of allocations, so not each of them fails. */
static const struct operation erasures[] = {
    { "forget", run_forget, check_forget },
    { "expire", run_expire, check_expire },
};

static void sweep(enum fault fault)
{
    for (size_t i = 0; i < HS_ARRAY_LEN(operations); i++) {
        long nth = 1;
        while (try_with_fault(&operations[i], fault, nth))
            nth += 1 + nth / 200;
        print_message("%s: %ld\n", operations[i].name, nth);
    }
}

static void test_allocations(void **state)
{
    (void) state;
    sweep(FAULT_ALLOCATION);
}

static void test_erasures(void **state)
{
    (void) state;
    for (size_t i = 0; i < HS_ARRAY_LEN(erasures); i++) {
        for (int fault = FAULT_ALLOCATION; fault <= FAULT_DISK; fault++) {
            long nth = 1;
            while (try_with_fault(&erasures[i], (enum fault) fault, nth))
                nth += 1 + nth / 10;
            print_message("%s: %ld\n", erasures[i].name, nth);
        }
    }
}

static void test_writes(void **state)
{
    (void) state;
    sweep(FAULT_DISK);
}

/* Opens a file of the first schema. A failure leaves it unchanged or migrated by some steps, and
 * never sets it aside. */
static bool try_open_with_fault(enum fault fault, long nth)
{
    void *state;
    fixture_setup(&state);
    struct fixture *f = state;
    write_first_schema(f->path);
    f->options.vfs = FAULTY_VFS;
    faults_arm(fault, nth);
    int r = hs_gallery_open(&f->options, &f->gallery, &f->opened, NULL);
    bool failed = faults_disarm();
    if (r == 0) {
        assert_string_equal(f->opened.set_aside, "");
        fixture_close(f);
    } else {
        f->gallery = NULL;
        assert_true(failed);
    }
    fixture_open(f);
    assert_string_equal(f->opened.set_aside, "");
    assert_int_equal(stats_of(f->gallery).embeddings, 2);
    assert_int_equal(count_of(f->gallery, "Ada"), 1);
    assert_int_equal(hs_gallery_check(f->gallery, NULL), 0);
    fixture_teardown(&state);
    return failed;
}

static void test_open(void **state)
{
    (void) state;
    for (int fault = FAULT_ALLOCATION; fault <= FAULT_DISK; fault++) {
        long nth = 1;
        while (try_open_with_fault((enum fault) fault, nth))
            nth += 1 + nth / 200;
        print_message("open: %ld\n", nth);
    }
}

/* A folder that cannot be locked is not used. */
static void test_locks(void **state)
{
    (void) state;
    void *own;
    fixture_setup(&own);
    struct fixture *f = own;
    struct hs_error err;
    add(fixture_open(f), "a", 1);
    faults_arm(FAULT_LOCK, 1);
    assert_int_equal(hs_gallery_backup(f->gallery, NULL, &err), HS_EIO);
    assert_true(faults_disarm());
    assert_non_null(strstr(err.message, "cannot lock the folder"));
    fixture_close(f);
    faults_arm(FAULT_LOCK, 1);
    assert_int_equal(hs_gallery_open(&f->options, &f->gallery, NULL, NULL), HS_EIO);
    assert_true(faults_disarm());
    fixture_open(f);
    fixture_teardown(&own);
}

/* The `failing` flag stays set until a change succeeds. */
static void test_failing_changes(void **state)
{
    (void) state;
    void *own;
    fixture_setup(&own);
    struct fixture *f = own;
    add(fixture_open(f), "a", 1);
    assert_false(hs_gallery_get_counts(f->gallery).failing);
    /* Simulates a full disk. */
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = (struct rlimit) { .rlim_cur = 1, .rlim_max = before.rlim_max };
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    int r = hs_gallery_rename(f->gallery, "a", "b", NULL);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    assert_int_equal(r, HS_EIO);
    assert_true(hs_gallery_get_counts(f->gallery).failing);
    assert_int_equal(hs_gallery_rename(f->gallery, "c", "b", NULL), HS_ENOTFOUND); /* keeps `failing` set */
    assert_true(hs_gallery_get_counts(f->gallery).failing);
    assert_int_equal(hs_gallery_rename(f->gallery, "a", "b", NULL), 0);
    assert_false(hs_gallery_get_counts(f->gallery).failing);
    fixture_teardown(&own);
}

/* The message to the client names a full disk, because clients can act on it; other failures have a
 * general message. */
static void test_full_disk(void **state)
{
    (void) state;
    struct hs_error err;
    assert_int_equal(hs_sql_error(SQLITE_FULL, NULL, &err), HS_EIO);
    assert_non_null(strstr(err.message, "cannot write the gallery: the disk is full"));
    assert_int_equal(hs_sql_error(SQLITE_IOERR_WRITE, NULL, &err), HS_EIO);
    assert_non_null(strstr(err.message, "the gallery file cannot be read or written"));
}

int main(void)
{
    faults_install();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocations),     cmocka_unit_test(test_erasures),
        cmocka_unit_test(test_writes),          cmocka_unit_test(test_open),
        cmocka_unit_test(test_locks),           cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_failing_changes),
    };
    return HS_RUN_TESTS(tests);
}
