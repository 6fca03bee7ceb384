#include "face/db_privacy.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json_read.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/terminal.h"
#include "cli/table.h"
#include "gallery/audit_log.h"
#include "gallery/forget.h"
#include "gallery/retention.h"

#define DAY_S INT64_C(86400)

/* ---- the audit log: filters ---- */

enum { TIME_LEN = 20 }; /* "2026-01-31T12:00:00Z" */

/* Entries pass that are not before `since`, not after `until`, and have the action; "" and NULL: any. */
struct filter {
    char since[TIME_LEN + 1], until[TIME_LEN + 1];
    const char *action;
};

/* Reads a date or a time into the form of the log. `rest` completes a date. */
static int read_bound(const char *what, const char *text, const char *rest, char ret_time[TIME_LEN + 1],
                      struct hs_error *err)
{
    static const char pattern[] = "dddd-dd-ddTdd:dd:ddZ";
    bool good = strlen(text) == 10 ? hs_str_format(ret_time, TIME_LEN + 1, "%s%s", text, rest)
                                   : hs_str_copy(ret_time, TIME_LEN + 1, text);
    if (good && strlen(ret_time) == TIME_LEN - 1)
        good = hs_str_format(ret_time, TIME_LEN + 1, "%sZ", text);
    if (good && ret_time[0] && ret_time[10] == ' ')
        ret_time[10] = 'T';
    good = good && strlen(ret_time) == TIME_LEN;
    for (size_t i = 0; good && i < TIME_LEN; i++)
        good = pattern[i] == 'd' ? ret_time[i] >= '0' && ret_time[i] <= '9' : ret_time[i] == pattern[i];
    return good ? 0
                : hs_error_set(err, HS_EINVAL, "--%s: must be a date or a time in UTC (2026-01-31T12:00:00Z)", what);
}

static int read_filter(const struct hs_face_db_privacy *db, struct filter *ret, struct hs_error *err)
{
    *ret = (struct filter) { .action = db->action };
    int r = db->since ? read_bound("since", db->since, "T00:00:00Z", ret->since, err) : 0;
    return r == 0 && db->until ? read_bound("until", db->until, "T23:59:59Z", ret->until, err) : r;
}

static const char *text_of(const json_t *entry, const char *name)
{
    const char *text = json_string_value(json_object_get(entry, name));
    return text ? text : "";
}

static bool passes(const struct filter *filter, const json_t *entry)
{
    const char *time = text_of(entry, "time");
    return strcmp(time, filter->since) >= 0 && (!filter->until[0] || strcmp(time, filter->until) <= 0) &&
           (!filter->action || strcmp(text_of(entry, "action"), filter->action) == 0);
}

/* Calls `show` for the entries that pass. An entry that is not JSON has an empty object, so that it is shown. */
struct shown {
    const struct filter *filter;
    int (*show)(struct shown *shown, const struct hs_audit_entry *entry, const json_t *object);
    struct hs_table *table;
    struct hs_buf *line;
    int fd;
    int reason; /* errno of the failed write */
    int64_t count, first;
};

static int show_entry(void *arg, const struct hs_audit_entry *entry)
{
    struct shown *shown = arg;
    json_t *object = NULL;
    int r = hs_json_read(entry->text, entry->len, 0, &object, NULL);
    if (r == HS_ENOMEM)
        return r;
    if (!object || passes(shown->filter, object)) {
        if (shown->count++ == 0)
            shown->first = entry->seq;
        r = shown->show(shown, entry, object);
    } else {
        r = 0;
    }
    json_decref(object);
    return r;
}

static int show_all(const struct hs_face_db_privacy *db, struct shown *shown, struct hs_error *err)
{
    hs_error_set(err, HS_ENOMEM, "no memory for the audit log");
    return hs_audit_for_each(db->gallery, 0, show_entry, shown, err);
}

/* ---- show ---- */

/* Writes the members of an entry that have no column of their own, as "identity=3 embeddings=1". */
static void add_details(struct hs_table *table, const json_t *entry)
{
    static const char *const columns[] = { "seq", "time", "action", "actor" };
    struct hs_buf text;
    const char *name;
    json_t *value;
    hs_buf_init(&text, HS_AUDIT_ENTRY_MAX);
    json_object_foreach((json_t *) (uintptr_t) entry, name, value)
    {
        bool column = false;
        for (size_t i = 0; i < HS_ARRAY_LEN(columns); i++)
            column |= strcmp(name, columns[i]) == 0;
        if (column)
            continue;
        if (json_is_integer(value))
            hs_buf_printf(&text, "%s%s=%lld", text.len ? " " : "", name, (long long) json_integer_value(value));
        else if (json_is_string(value))
            hs_buf_printf(&text, "%s%s=%s", text.len ? " " : "", name, json_string_value(value));
    }
    hs_table_add(table, "%s", hs_buf_str(&text) ? (const char *) text.data : "");
    hs_buf_finish(&text);
}

static int show_row(struct shown *shown, const struct hs_audit_entry *entry, const json_t *object)
{
    hs_table_add(shown->table, "%lld", (long long) entry->seq);
    hs_table_add(shown->table, "%s", text_of(object, "time"));
    hs_table_add(shown->table, "%s", object ? text_of(object, "action") : "(not readable)");
    hs_table_add(shown->table, "%s", text_of(object, "actor"));
    add_details(shown->table, object);
    return 0;
}

/* Writes the text of the entry, with its hash as the last member. */
static int write_line(struct shown *shown, const struct hs_audit_entry *entry, const json_t *object)
{
    struct hs_buf *line = shown->line;
    hs_buf_clear(line);
    if (json_is_object(object) && entry->text[entry->len - 1] == '}')
        hs_buf_append(line, entry->text, entry->len - 1);
    else
        hs_buf_printf(line, "{\"seq\":%lld", (long long) entry->seq);
    if (hs_buf_printf(line, ",\"hash\":\"%s\"}\n", entry->hash) < 0)
        return HS_ENOMEM;
    if (hs_file_write_all(shown->fd, line->data, line->len) == 0)
        return 0;
    shown->reason = errno;
    return HS_EIO;
}

static int write_lines(const struct hs_face_db_privacy *db, const struct filter *filter, int fd, const char *path,
                       struct hs_error *err)
{
    struct hs_buf line;
    struct shown shown = { .filter = filter, .show = write_line, .line = &line, .fd = fd };
    hs_buf_init(&line, 2 * HS_AUDIT_ENTRY_MAX);
    int r = show_all(db, &shown, err);
    hs_buf_finish(&line);
    return shown.reason ? hs_error_set(err, HS_EIO, "%s: %s", path, strerror(shown.reason)) : r;
}

static int show(const struct hs_face_db_privacy *db, const struct filter *filter, struct hs_error *err)
{
    static const char *const headings[] = { "SEQ", "TIME", "ACTION", "ACTOR", "DETAILS" };
    struct hs_table table;
    struct shown shown = { .filter = filter, .show = show_row, .table = &table };
    fflush(stdout);
    if (db->json)
        return write_lines(db, filter, STDOUT_FILENO, "standard output", err);
    hs_table_init(&table, HS_ARRAY_LEN(headings), 1u << 0);
    for (size_t i = 0; i < HS_ARRAY_LEN(headings); i++)
        hs_table_add(&table, "%s", headings[i]);
    int r = show_all(db, &shown, err);
    if (r == 0 && shown.count > 0)
        r = hs_table_print(&table, err);
    hs_table_finish(&table);
    return r;
}

/* ---- export ---- */

/* The first line has what a verification by another program needs. */
static int write_log(const struct hs_face_db_privacy *db, const struct filter *filter, int fd, const char *path,
                     struct hs_error *err)
{
    char head[160];
    hs_str_format(head, sizeof(head), "{\"format\":\"hailo-services-audit-log\",\"version\":1,\"gallery\":\"%s\"}\n",
                  hs_gallery_uid(db->gallery));
    if (hs_file_write_all(fd, head, strlen(head)) < 0)
        return hs_error_set(err, HS_EIO, "%s: %s", path, strerror(errno));
    return write_lines(db, filter, fd, path, err);
}

static int export_log(const struct hs_face_db_privacy *db, const struct filter *filter, const char *path,
                      struct hs_error *err)
{
    struct hs_atomic_file file;
    fflush(stdout);
    if (!path || strcmp(path, "-") == 0)
        return write_log(db, filter, STDOUT_FILENO, "standard output", err);
    int r = hs_atomic_file_begin(&file, path, err);
    if (r < 0)
        return r;
    r = write_log(db, filter, file.fd, path, err);
    if (r < 0) {
        hs_atomic_file_abort(&file);
        return r;
    }
    return hs_atomic_file_commit(&file, 0600, err);
}

/* ---- verify ---- */

static int count_only(struct shown *shown, const struct hs_audit_entry *entry, const json_t *object)
{
    (void) shown;
    (void) entry;
    (void) object;
    return 0;
}

/* Returns the number of the entry before the first one at or after `since`; 0: all. */
static int find_first(const struct hs_face_db_privacy *db, const struct filter *filter, int64_t *ret_after,
                      struct hs_error *err)
{
    struct shown shown = { .filter = filter, .show = count_only };
    struct hs_audit_head head;
    *ret_after = 0;
    if (!filter->since[0])
        return 0;
    int r = show_all(db, &shown, err);
    if (r == 0 && shown.count == 0) {
        r = hs_audit_head_of(db->gallery, &head, err);
        *ret_after = head.seq;
    } else if (r == 0) {
        *ret_after = shown.first - 1;
    }
    return r;
}

static int verify(const struct hs_face_db_privacy *db, const struct filter *filter, struct hs_error *err)
{
    struct hs_audit_report report;
    int64_t after;
    char entries[HS_COUNT_SIZE];
    int r = find_first(db, filter, &after, err);
    if (r == 0)
        r = hs_audit_verify(db->gallery, after, &report, err);
    if (r < 0)
        return r;
    bool good = report.broken == 0 && report.gaps == 0;
    if (db->json) {
        r = hs_print_json(json_pack("{s:b, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:s}", "ok", (int) good, "entries",
                                    (json_int_t) report.entries, "first", (json_int_t) report.first, "last",
                                    (json_int_t) report.last, "head", report.head, "broken", (json_int_t) report.broken,
                                    "gaps", (json_int_t) report.gaps, "unlogged_changes", (json_int_t) report.unlogged,
                                    "problem", report.problem),
                          HS_JSON_SPACED, err);
        return r < 0 ? r : good ? HS_EXIT_OK : HS_EXIT_FAILURE;
    }
    if (report.entries > 0)
        printf("%s, %lld to %lld, %s\nhead: %lld %s\n", hs_str_count(entries, report.entries, "entry", "entries"),
               (long long) report.first, (long long) report.last,
               report.broken ? "intact, then broken" : "form an intact chain", (long long) report.last, report.head);
    else if (good)
        puts("the audit log is empty");
    if (report.unlogged > 0)
        printf("%lld changes have no entry, because database.audit was off\n", (long long) report.unlogged);
    if (report.broken)
        return hs_invocation_fail(db->call, HS_EXIT_FAILURE, "broken at entry %lld: %s", (long long) report.broken,
                                  report.problem);
    return good ? HS_EXIT_OK : hs_invocation_fail(db->call, HS_EXIT_FAILURE, "%s", report.problem);
}

int hs_face_db_audit(const struct hs_face_db_privacy *db, const char *what, const char *path, struct hs_error *err)
{
    struct filter filter;
    int r = read_filter(db, &filter, err);
    if (r < 0)
        return hs_invocation_fail(db->call, HS_EXIT_USAGE, "%s", err->message);
    if (path && strcmp(what, "export") != 0)
        return hs_invocation_fail(db->call, HS_EXIT_USAGE, "unexpected argument '%s'", path);
    if (strcmp(what, "show") == 0)
        return show(db, &filter, err);
    if (strcmp(what, "export") == 0)
        return export_log(db, &filter, path, err);
    if (strcmp(what, "verify") != 0)
        return hs_invocation_fail(db->call, HS_EXIT_USAGE, "must be verify, show or export, not '%s'", what);
    if (db->until || db->action)
        return hs_invocation_fail(db->call, HS_EXIT_USAGE, "verify has no --until and no --action");
    return verify(db, &filter, err);
}

/* ---- retention ---- */

int hs_face_db_retain(const struct hs_face_db_privacy *db, const char *name, struct hs_error *err)
{
    char time[HS_GALLERY_TIME_SIZE] = "";
    int64_t now_s = hs_clock_wall_s();
    int r = 0;
    if ((db->days > 0) + (db->until != NULL) + db->forever + db->by_default != 1)
        return hs_invocation_fail(db->call, HS_EXIT_USAGE,
                                  "one of --days, --until, --forever and --default is required");
    if (db->days > 0)
        hs_retention_time(now_s + db->days * DAY_S, time);
    else if (db->until)
        r = hs_retention_read("--until", db->until, now_s, time, err);
    else if (db->forever)
        hs_str_copy(time, sizeof(time), HS_GALLERY_NEVER);
    if (r < 0)
        return hs_invocation_fail(db->call, HS_EXIT_USAGE, "%s", err->message);
    r = hs_gallery_update(db->gallery, name, &(struct hs_gallery_update) { .expires_at = time }, err);
    if (r < 0 || db->call->quiet)
        return r;
    char *safe = hs_terminal_copy(name);
    if (!time[0])
        printf("%s is kept as long as database.retention allows\n", safe ? safe : "?");
    else if (db->forever)
        printf("%s is kept without limit\n", safe ? safe : "?");
    else
        printf("%s is kept until %s UTC; the service erases them then\n", safe ? safe : "?", time);
    free(safe);
    return HS_EXIT_OK;
}

/* ---- forgetting ---- */

static int write_proof(const json_t *proof, struct hs_atomic_file *file, struct hs_error *err)
{
    struct hs_buf text;
    hs_buf_init(&text, SIZE_MAX);
    int r = hs_json_write(proof, HS_JSON_FILE, &text);
    if (r < 0)
        r = hs_error_set(err, HS_ENOMEM, "no memory for the proof");
    else if (hs_file_write_all(file->fd, text.data, text.len) < 0)
        r = hs_error_set(err, HS_EIO, "%s: %s", file->path, strerror(errno));
    hs_buf_finish(&text);
    if (r < 0)
        hs_atomic_file_abort(file);
    return r < 0 ? r : hs_atomic_file_commit(file, 0600, err);
}

static void report_forgotten(const struct hs_face_db_privacy *db, const json_t *proof, const char *path)
{
    const json_t *search = json_object_get(proof, "search"), *backups = json_object_get(proof, "backups");
    char faces[HS_COUNT_SIZE], files[HS_COUNT_SIZE], searched[HS_COUNT_SIZE];
    if (db->call->quiet)
        return;
    int64_t erased = json_integer_value(json_object_get(json_object_get(proof, "erased"), "embeddings"));
    printf("Erased %s and deleted %s; searched %s, %lld bytes\nProof: %s\n",
           hs_str_count(faces, erased, "face", "faces"),
           hs_str_count(files, (int64_t) json_array_size(json_object_get(backups, "deleted")), "older backup",
                        "older backups"),
           hs_str_count(searched, (int64_t) json_array_size(json_object_get(search, "files")), "file", "files"),
           (long long) json_integer_value(json_object_get(search, "bytes")), path);
}

int hs_face_db_forget(const struct hs_face_db_privacy *db, const char *name, struct hs_error *err)
{
    char fallback[64], stamp[HS_GALLERY_TIME_SIZE];
    struct hs_atomic_file file;
    struct hs_gallery_person *person;
    json_t *proof;
    bool clean;
    int r = hs_gallery_get(db->gallery, name, false, &person, err);
    if (r < 0)
        return r;
    hs_retention_time(hs_clock_wall_s(), stamp);
    hs_str_format(fallback, sizeof(fallback), "erasure-%.10s-identity-%lld.json", stamp,
                  (long long) person->identity.id);
    hs_gallery_person_destroy(person);
    const char *path = db->proof ? db->proof : fallback;
    /* First, so that no person is erased without a place for the proof. */
    r = hs_atomic_file_begin(&file, path, err);
    if (r < 0)
        return r;
    r = hs_gallery_forget(db->gallery, name, &proof, &clean, err);
    if (r < 0) {
        hs_atomic_file_abort(&file);
        return r;
    }
    r = write_proof(proof, &file, err);
    if (r == 0)
        report_forgotten(db, proof, path);
    json_decref(proof);
    if (r < 0 || clean)
        return r;
    return hs_invocation_fail(db->call, HS_EXIT_FAILURE,
                              "the person is erased, but not everything is proved to be gone: see `search`, `backups` "
                              "and `pending` in %s",
                              path);
}
