/* The time at which a person is erased, and the clock that is believed. */
#include "fixture.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "gallery/audit_log.h"
#include "gallery/gallery_internal.h"
#include "gallery/retention.h"

#define DAY_S INT64_C(86400)
#define NOW_S INT64_C(1782864000) /* 2026-07-01 00:00:00 */

static void set_expiry(struct hs_gallery *g, const char *name, const char *expires_at)
{
    const struct hs_gallery_update update = { .expires_at = expires_at };
    assert_int_equal(hs_gallery_update(g, name, &update, NULL), 0);
}

static void check_expiry(struct hs_gallery *g, const char *name, const char *expected)
{
    struct hs_gallery_person *person;
    assert_int_equal(hs_gallery_get(g, name, false, &person, NULL), 0);
    assert_string_equal(person->identity.expires_at, expected);
    hs_gallery_person_destroy(person);
}

static int64_t expire(struct hs_gallery *g, int64_t now_s, int64_t retention_s)
{
    struct hs_gallery_expired expired;
    assert_int_equal(hs_gallery_expire(g, now_s, retention_s, &expired, NULL), 0);
    return expired.identities;
}

/* ---- reading ---- */

static void test_read(void **state)
{
    (void) state;
    static const struct {
        const char *text, *time;
    } cases[] = {
        { "never", "never" },
        { "default", "" },
        { "2026-07-02", "2026-07-02 00:00:00" },
        { "2028-02-29 12:34:56", "2028-02-29 12:34:56" },
        { "9999-12-31T23:59:59Z", "9999-12-31 23:59:59" },
    };
    static const char *const bad[] = { "",
                                       "soon",
                                       "2026-02-30",
                                       "2027-02-29",
                                       "2026-13-01",
                                       "2026-07-02 24:00:00",
                                       "2026-07-02T12:00:00",
                                       "2026-07-02 12:00:00Z",
                                       "26-07-02",
                                       "2026-7-2",
                                       "Never",
                                       "2026-07-02T12:00:00Z ",
                                       "2026-07-01",
                                       "2026-07-01 00:00:00",
                                       "1970-01-01" };
    char time[HS_GALLERY_TIME_SIZE];
    struct hs_error err;
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        assert_int_equal(hs_retention_read("x", cases[i].text, NOW_S, time, NULL), 0);
        assert_string_equal(time, cases[i].time);
    }
    for (size_t i = 0; i < HS_ARRAY_LEN(bad); i++) {
        if (hs_retention_read("field", bad[i], NOW_S, time, &err) != HS_EINVAL)
            fail_msg("'%s' was read", bad[i]);
        assert_true(hs_str_starts(err.message, "field: "));
    }
    hs_retention_time(NOW_S, time);
    assert_string_equal(time, "2026-07-01 00:00:00");
    hs_retention_time(INT64_MAX, time);
    assert_string_equal(time, "9999-12-31 23:59:59");
}

/* ---- erasing ---- */

static void test_own_time(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    bool any;
    assert_int_equal(hs_gallery_has_expiry(g, &any, NULL), 0);
    assert_false(any);
    add(g, "a", 1);
    add(g, "b", 2);
    add(g, "c", 3);
    assert_int_equal(expire(g, NOW_S, 0), 0);
    set_expiry(g, "a", "2026-07-01 00:00:00");
    set_expiry(g, "b", "2026-07-01 00:00:01");
    assert_int_equal(hs_gallery_has_expiry(g, &any, NULL), 0);
    assert_true(any);
    check_expiry(g, "a", "2026-07-01 00:00:00");
    assert_int_equal(expire(g, NOW_S - 1, 0), 0);
    assert_int_equal(expire(g, NOW_S, 0), 1);
    assert_int_equal(count_of(g, "a"), -1);
    assert_false(folder_has(f, 1));
    assert_int_equal(count_of(g, "b"), 1);
    set_expiry(g, "b", "");
    check_expiry(g, "b", "");
    assert_int_equal(expire(g, NOW_S + DAY_S, 0), 0);
    const struct hs_gallery_update bad = { .expires_at = "soon" };
    assert_int_equal(hs_gallery_update(g, "b", &bad, NULL), HS_EINVAL);
    struct hs_audit_report report;
    assert_int_equal(hs_audit_verify(g, 0, &report, NULL), 0);
    assert_int_equal(report.entries, 7);
    assert_int_equal(report.unlogged, 0);
}

/* The newest picture counts; a person with a time of their own is exempt. */
static void test_general(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    add(g, "old", 1);
    add(g, "renewed", 2);
    add(g, "renewed", 3);
    add(g, "never", 4);
    add(g, "later", 5);
    add(g, "empty", 6);
    set_expiry(g, "never", "never");
    set_expiry(g, "later", "2027-01-01 00:00:00");
    run_sql(f->path, "UPDATE embeddings SET created_at = '2026-06-01 00:00:00';"
                     "UPDATE embeddings SET created_at = '2026-06-25 00:00:00' WHERE id = 3;"
                     "DELETE FROM embeddings WHERE id = 6;"
                     "UPDATE identities SET created_at = '2026-06-01 00:00:00'");
    assert_int_equal(expire(g, NOW_S, 31 * DAY_S), 0);
    assert_int_equal(expire(g, NOW_S, 30 * DAY_S), 2);
    assert_int_equal(count_of(g, "old"), -1);
    assert_int_equal(count_of(g, "empty"), -1);
    assert_int_equal(count_of(g, "renewed"), 2);
    assert_int_equal(expire(g, NOW_S, 1 * DAY_S), 1);
    assert_int_equal(count_of(g, "never"), 1);
    assert_int_equal(count_of(g, "later"), 1);
    assert_int_equal(expire(g, NOW_S, INT64_MAX), 0);
}

/* Times that another program wrote, and that are not times, erase no person. */
static void test_foreign_times(void **state)
{
    static const char *const values[] = { "''", "NULL", "0", "1700000000", "1.5", "x'32'", "'soon'" };
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    add(g, "a", 1);
    for (size_t i = 0; i < HS_ARRAY_LEN(values); i++) {
        char sql[200];
        hs_str_format(sql, sizeof(sql), "UPDATE embeddings SET created_at = %s; UPDATE identities SET created_at = %s",
                      values[i], values[i]);
        run_sql(f->path, sql);
        if (expire(g, NOW_S, DAY_S) != 0)
            fail_msg("%s expired", values[i]);
    }
}

static void test_many(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    add(g, "a", 1);
    run_sql(f->path, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600)"
                     " INSERT INTO identities (name, expires_at) SELECT i, '2026-01-01 00:00:00' FROM n");
    assert_int_equal(expire(g, NOW_S, 0), 600);
    assert_int_equal(count_of(g, "a"), 1);
}

/* While the backups cannot be listed, they may hold the people. */
static void test_unknown_files(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery_expired expired;
    add(fixture_open(f), "a", 1);
    set_expiry(f->gallery, "a", "2026-01-01 00:00:00");
    assert_int_equal(hs_file_write_atomic(f->backups, "x", 1, 0600, NULL), 0);
    assert_int_equal(hs_gallery_expire(f->gallery, NOW_S, 0, &expired, NULL), 0);
    assert_int_equal(expired.identities, 1);
    assert_true(expired.in_files);
    assert_true(hs_retention_is_purge_due(f->gallery));
    assert_int_equal(unlink(f->backups), 0);
    assert_int_equal(hs_gallery_expire(f->gallery, NOW_S, 0, &expired, NULL), 0);
    assert_true(expired.in_files); /* still, until a purge */
}

static void test_add_until(void **state)
{
    struct hs_gallery *g = fixture_open(*state);
    float values[DIMENSION];
    const struct hs_gallery_new_embedding e = { .values = unit_vector(1, values),
                                                .dimension = DIMENSION,
                                                .space = "test" };
    struct hs_gallery_added added;
    assert_int_equal(hs_gallery_add_until(g, NULL, "a", NULL, "2027-01-01 00:00:00", &e, &added, NULL), 0);
    check_expiry(g, "a", "2027-01-01 00:00:00");
    assert_int_equal(hs_gallery_add_until(g, NULL, "a", NULL, NULL, &e, &added, NULL), 0);
    check_expiry(g, "a", "2027-01-01 00:00:00");
    assert_int_equal(hs_gallery_add_until(g, NULL, "a", NULL, "never", &e, &added, NULL), 0);
    check_expiry(g, "a", "never");
    assert_int_equal(hs_gallery_add_until(g, NULL, "a", NULL, "2027", &e, &added, NULL), HS_EINVAL);
}

/* A merge keeps the earlier promise. */
static void test_merge(void **state)
{
    static const struct {
        const char *from, *into, *merged;
    } cases[] = {
        { "", "", "" },
        { "2027-01-01 00:00:00", "2028-01-01 00:00:00", "2027-01-01 00:00:00" },
        { "2028-01-01 00:00:00", "2027-01-01 00:00:00", "2027-01-01 00:00:00" },
        { "2028-01-01 00:00:00", "", "2028-01-01 00:00:00" },
        { "", "2028-01-01 00:00:00", "2028-01-01 00:00:00" },
        { "never", "2028-01-01 00:00:00", "2028-01-01 00:00:00" },
        { "never", "", "" },
        { "", "never", "" },
        { "never", "never", "never" },
    };
    struct hs_gallery *g = fixture_open(*state);
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        add(g, "from", 1);
        add(g, "into", 2);
        set_expiry(g, "from", cases[i].from);
        set_expiry(g, "into", cases[i].into);
        assert_int_equal(hs_gallery_merge(g, "from", "into", NULL), 0);
        check_expiry(g, "into", cases[i].merged);
        assert_int_equal(hs_gallery_remove(g, "into", NULL, NULL), 0);
    }
}

/* Each person is checked again under the lock of the change, so that must not read the whole table. */
static void test_one_row(void **state)
{
    struct fixture *f = *state;
    char sql[2048];
    sqlite3_stmt *plan;
    add(fixture_open(f), "a", 1);
    assert_true(hs_str_format(sql, sizeof(sql), "EXPLAIN QUERY PLAN %s",
                              sqlite3_sql(f->gallery->writer->statements[HS_STMT_EXPIRED])));
    assert_int_equal(hs_sql_prepare(f->gallery->writer->db, sql, &plan, NULL), 0);
    assert_int_equal(hs_sql_step(plan, NULL), 1);
    const char *first = (const char *) sqlite3_column_text(plan, 3);
    if (!hs_str_starts(first, "SEARCH") || !strstr(first, "PRIMARY KEY"))
        fail_msg("%s", first);
    sqlite3_finalize(plan);
}

/* ---- the clock ---- */

/* Returns the time of expiry after `hours` hourly calls, in which the clock runs evenly from *wall_s on. */
static int64_t run_hours(struct hs_retention_clock *clock, int64_t *wall_s, int64_t *boot, int hours)
{
    int64_t now_s = 0;
    for (int i = 0; i < hours; i++) {
        *wall_s += 3600;
        *boot += 3600;
        now_s = hs_retention_clock_advance(clock, *wall_s, *boot);
    }
    return now_s;
}

/* The same, after which the time of expiry must be that of the clock. */
static void check_follows(struct hs_retention_clock *clock, int64_t *wall_s, int64_t *boot, int hours)
{
    int64_t now_s = run_hours(clock, wall_s, boot, hours);
    assert_int_equal(now_s, *wall_s);
    assert_false(clock->held);
}

static void test_even_clock(void **state)
{
    (void) state;
    struct hs_retention_clock clock = { .believed_s = NOW_S, .wall_s = NOW_S };
    int64_t wall_s = NOW_S + 3600, boot = 50;
    hs_retention_clock_start(&clock, wall_s, boot);
    assert_int_equal(hs_retention_clock_advance(&clock, wall_s, boot), wall_s);
    check_follows(&clock, &wall_s, &boot, 100);
    assert_false(clock.held);
}

/* A jump ahead erases no person until the clock has run evenly for a day, and none at all if it is corrected. */
static void test_jump_ahead(void **state)
{
    (void) state;
    struct hs_retention_clock clock = { .believed_s = NOW_S, .wall_s = NOW_S };
    int64_t wall_s = NOW_S, boot = 50;
    hs_retention_clock_start(&clock, wall_s, boot);
    run_hours(&clock, &wall_s, &boot, 2);
    wall_s += 365 * DAY_S;
    assert_int_equal(run_hours(&clock, &wall_s, &boot, 1), NOW_S + 3 * 3600);
    assert_true(clock.held);
    assert_int_equal(run_hours(&clock, &wall_s, &boot, 22), NOW_S + 25 * 3600);
    struct hs_retention_clock corrected = clock;
    int64_t right_s = wall_s - 365 * DAY_S, corrected_boot = boot;
    check_follows(&corrected, &right_s, &corrected_boot, 1);
    assert_false(corrected.held);
    check_follows(&clock, &wall_s, &boot, 2);
}

/* A clock that keeps jumping is never believed. */
static void test_many_jumps(void **state)
{
    (void) state;
    struct hs_retention_clock clock = { .believed_s = NOW_S, .wall_s = NOW_S };
    int64_t wall_s = NOW_S, boot = 50, hours = 0;
    hs_retention_clock_start(&clock, wall_s, boot);
    for (int day = 0; day < 20; day++) {
        wall_s += 30 * DAY_S;
        assert_int_equal(run_hours(&clock, &wall_s, &boot, 20), NOW_S + (hours += 20) * 3600);
    }
}

/* A clock that was set back erases by its own time, which is the earlier one. */
static void test_set_back(void **state)
{
    (void) state;
    struct hs_retention_clock clock = { .believed_s = NOW_S, .wall_s = NOW_S };
    int64_t wall_s = 0, boot = 50;
    hs_retention_clock_start(&clock, wall_s, boot);
    assert_int_equal(run_hours(&clock, &wall_s, &boot, 1), 3600);
    wall_s = NOW_S + 2 * 3600; /* set by NTP */
    check_follows(&clock, &wall_s, &boot, 1);
    assert_false(clock.held);
}

/* Off for a month: the time of the month is believed after a day of running, also in parts. */
static void test_restart_after_long(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    struct hs_retention_clock clock;
    char path[PATH_MAX];
    assert_true(hs_str_format(path, sizeof(path), "%s.clock", f->path));
    assert_int_equal(hs_file_write_atomic(path, "1782864000 1782864000 999999\n", 29, 0600, NULL), 0);
    int64_t wall_s = NOW_S + 30 * DAY_S, boot = 1000;
    for (int run = 0; run < 3; run++) {
        hs_retention_clock_load(&clock, g, wall_s, boot);
        assert_int_equal(run_hours(&clock, &wall_s, &boot, 7), NOW_S + (run + 1) * 7 * 3600);
        assert_int_equal(hs_retention_clock_store(&clock, g, NULL), 0);
        wall_s += 17 * 3600; /* off */
        boot = 20;
    }
    hs_retention_clock_load(&clock, g, wall_s, boot);
    check_follows(&clock, &wall_s, &boot, 4);
}

/* Without a stored state, the newest change is the time of the last run. */
static void test_first_run(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    struct hs_retention_clock clock;
    char path[PATH_MAX];
    assert_true(hs_str_format(path, sizeof(path), "%s.clock", f->path));
    add(g, "a", 1);
    run_sql(f->path, "UPDATE identities SET updated_at = '2026-07-01 00:00:00'");
    for (int damaged = 0; damaged < 2; damaged++) {
        hs_retention_clock_load(&clock, g, NOW_S + 3600, 7);
        assert_int_equal(hs_retention_clock_advance(&clock, NOW_S + 3600, 7), NOW_S + 3600);
        hs_retention_clock_load(&clock, g, NOW_S + 400 * DAY_S, 7);
        assert_int_equal(hs_retention_clock_advance(&clock, NOW_S + 400 * DAY_S, 7), NOW_S);
        assert_true(clock.held);
        assert_int_equal(hs_file_write_atomic(path, "1 x", 3, 0600, NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),       GALLERY_TEST(test_own_time),       GALLERY_TEST(test_general),
        GALLERY_TEST(test_foreign_times),  GALLERY_TEST(test_many),           GALLERY_TEST(test_add_until),
        GALLERY_TEST(test_merge),          cmocka_unit_test(test_even_clock), cmocka_unit_test(test_jump_ahead),
        cmocka_unit_test(test_many_jumps), cmocka_unit_test(test_set_back),   GALLERY_TEST(test_restart_after_long),
        GALLERY_TEST(test_first_run),      GALLERY_TEST(test_one_row),        GALLERY_TEST(test_unknown_files),
    };
    return HS_RUN_TESTS(tests);
}
