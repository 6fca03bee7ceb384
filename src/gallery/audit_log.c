/* Appends to the audit log and verifies it. */
#include "gallery/audit_log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json_read.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/str.h"
#include "gallery/gallery_internal.h"

_Static_assert((int) HS_AUDIT_HASH_SIZE == crypto_generichash_BYTES, "BLAKE2b-256");

enum { TEXT_MAX = 128 /* bytes of an actor's text */, HEAD_LEN = 20 + 1 + HS_AUDIT_HEX_SIZE /* of the file */ };

/* ---- hashes ---- */

void hs_audit_genesis(const char *uid, uint8_t ret_hash[HS_AUDIT_HASH_SIZE])
{
    static const char domain[] = "hailo-services audit log 1:";
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, HS_AUDIT_HASH_SIZE);
    crypto_generichash_update(&state, (const unsigned char *) domain, sizeof(domain) - 1);
    crypto_generichash_update(&state, (const unsigned char *) uid, strlen(uid));
    crypto_generichash_final(&state, ret_hash, HS_AUDIT_HASH_SIZE);
}

void hs_audit_hash(const uint8_t before[HS_AUDIT_HASH_SIZE], const void *text, size_t len,
                   uint8_t ret_hash[HS_AUDIT_HASH_SIZE])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, HS_AUDIT_HASH_SIZE);
    crypto_generichash_update(&state, before, HS_AUDIT_HASH_SIZE);
    crypto_generichash_update(&state, text, len);
    crypto_generichash_final(&state, ret_hash, HS_AUDIT_HASH_SIZE);
}

void hs_audit_to_hex(const uint8_t hash[HS_AUDIT_HASH_SIZE], char ret_hex[HS_AUDIT_HEX_SIZE])
{
    sodium_bin2hex(ret_hex, HS_AUDIT_HEX_SIZE, hash, HS_AUDIT_HASH_SIZE);
}

static bool same_hash(const uint8_t a[HS_AUDIT_HASH_SIZE], const uint8_t b[HS_AUDIT_HASH_SIZE])
{
    return memcmp(a, b, HS_AUDIT_HASH_SIZE) == 0;
}

/* ---- the head beside the file ---- */

static bool head_path(const struct hs_gallery *gallery, char ret_path[PATH_MAX])
{
    return hs_str_format(ret_path, PATH_MAX, "%s.audit-head", gallery->path);
}

/* Reads "SEQ HASH\n", both of a fixed length. */
static bool read_head_file(int fd, struct hs_audit_head *ret_head)
{
    char text[HEAD_LEN + 1], digits[21];
    struct hs_audit_head head;
    size_t len;
    if (pread(fd, text, sizeof(text), 0) != HEAD_LEN || text[20] != ' ')
        return false;
    hs_str_copy_n(digits, sizeof(digits), text, 20);
    if (!hs_str_to_int64(digits, &head.seq) || head.seq < 0 ||
        sodium_hex2bin(head.hash, sizeof(head.hash), text + 21, HS_AUDIT_HEX_SIZE - 1, NULL, &len, NULL) != 0 ||
        len != HS_AUDIT_HASH_SIZE)
        return false;
    *ret_head = head;
    return true;
}

/* Reads the head beside the file; its number is 0 if there is none. */
static void load_head(const struct hs_gallery *gallery, struct hs_audit_head *ret_head)
{
    char path[PATH_MAX];
    *ret_head = (struct hs_audit_head) { 0 };
    int fd = head_path(gallery, path) ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    if (fd < 0)
        return;
    read_head_file(fd, ret_head);
    close(fd);
}

/* Writes the head after a commit. Another process may already have written a later one. The file is not synced: after
 * a power failure it may be older than the log, which is valid; it is never newer. */
static void store_head(const struct hs_gallery *gallery, const struct hs_audit_head *head)
{
    char path[PATH_MAX], text[HEAD_LEN + 1], hex[HS_AUDIT_HEX_SIZE];
    struct hs_audit_head stored;
    struct stat st;
    int fd = head_path(gallery, path)
                 ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, S_IRUSR | S_IWUSR)
                 : -1;
    if (fd < 0)
        return;
    hs_audit_to_hex(head->hash, hex);
    hs_str_format(text, sizeof(text), "%020lld %s\n", (long long) head->seq, hex);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && hs_file_lock(fd, true) == 0) {
        if (st.st_size == 0)
            hs_file_give_to_owner(fd, path);
        if (!read_head_file(fd, &stored) || stored.seq < head->seq) {
            /* A failure leaves an older or unreadable head, which a verification reports. */
            ssize_t written = pwrite(fd, text, HEAD_LEN, 0);
            (void) written;
        }
    }
    close(fd);
}

/* ---- drafts: the content of the next entry ---- */

static _Thread_local const struct hs_audit_actor *current_actor;
static _Thread_local struct hs_audit_head last_appended;

bool hs_audit_last(struct hs_audit_head *ret_head)
{
    *ret_head = last_appended;
    return last_appended.seq > 0;
}

void hs_audit_act_as(const struct hs_audit_actor *actor)
{
    current_actor = actor;
    last_appended.seq = 0;
}

void hs_audit_draft(struct hs_gallery *gallery, const char *action)
{
    gallery->draft = (struct hs_audit_draft) { .action = action };
}

void hs_audit_number(struct hs_gallery *gallery, const char *name, int64_t value)
{
    struct hs_audit_draft *draft = &gallery->draft;
    if (draft->count < HS_ARRAY_LEN(draft->members))
        draft->members[draft->count++] = (struct hs_audit_member) { .name = name, .number = value };
}

void hs_audit_text(struct hs_gallery *gallery, const char *name, const char *text)
{
    struct hs_audit_draft *draft = &gallery->draft;
    if (draft->count == HS_ARRAY_LEN(draft->members))
        return;
    struct hs_audit_member *member = &draft->members[draft->count++];
    *member = (struct hs_audit_member) { .name = name, .is_text = true };
    hs_str_copy(member->text, sizeof(member->text), text);
    hs_str_make_line(member->text);
}

/* Writes a member with a text from outside, unless it is empty. */
static void put_text(struct hs_json_writer *json, const char *name, const char *text)
{
    char line[TEXT_MAX + 1];
    if (!text || !text[0])
        return;
    hs_str_copy(line, sizeof(line), text);
    hs_str_make_line(line);
    hs_json_key(json, name);
    hs_json_string(json, line);
}

static void put_time(struct hs_json_writer *json)
{
    char text[HS_TIME_SIZE];
    hs_clock_format_utc(hs_clock_wall_s(), HS_TIME_RFC3339, text, sizeof(text));
    hs_json_key(json, "time");
    hs_json_string(json, text);
}

/* Writes an entry. `change` is the number of the change in the file. */
static int write_entry(const struct hs_gallery *gallery, const struct hs_audit_draft *draft, int64_t seq,
                       int64_t change, struct hs_buf *text, struct hs_error *err)
{
    const struct hs_audit_actor *actor = current_actor;
    struct hs_json_writer json;
    hs_json_begin(&json, text, HS_JSON_SORTED);
    hs_json_open(&json, '{');
    hs_json_key(&json, "seq");
    hs_json_int(&json, seq);
    put_time(&json);
    put_text(&json, "action", draft->action);
    hs_json_key(&json, "change");
    hs_json_int(&json, change);
    put_text(&json, "actor", actor && actor->name && actor->name[0] ? actor->name : gallery->actor);
    put_text(&json, "client", actor ? actor->client : NULL);
    put_text(&json, "request_id", actor ? actor->request_id : NULL);
    for (size_t i = 0; i < draft->count; i++) {
        const struct hs_audit_member *member = &draft->members[i];
        hs_json_key(&json, member->name);
        if (member->is_text)
            hs_json_string(&json, member->text);
        else
            hs_json_int(&json, member->number);
    }
    hs_json_key(&json, "result");
    hs_json_string(&json, "ok");
    hs_json_close(&json, '}');
    int r = hs_json_end(&json);
    if (r == 0 && !hs_buf_str(text))
        r = HS_ENOMEM;
    return r < 0 ? hs_error_set(err, r, "no memory for the audit log") : 0;
}

/* ---- appending ---- */

/* The log of one database: the gallery's, or that of an unpacked backup. */
struct log {
    struct hs_gallery *gallery;
    sqlite3_stmt *insert;
    int64_t change;
    struct hs_audit_head head;
};

static int append_draft(struct log *log, const struct hs_audit_draft *draft, int64_t seq, struct hs_error *err)
{
    struct hs_buf text;
    uint8_t hash[HS_AUDIT_HASH_SIZE];
    hs_buf_init(&text, HS_AUDIT_ENTRY_MAX);
    int r = write_entry(log->gallery, draft, seq, log->change, &text, err);
    if (r == 0) {
        size_t len = text.len - 1; /* without the line feed */
        hs_audit_hash(log->head.hash, text.data, len, hash);
        sqlite3_bind_int64(log->insert, 1, seq);
        sqlite3_bind_text(log->insert, 2, (const char *) text.data, (int) len, SQLITE_STATIC);
        sqlite3_bind_blob(log->insert, 3, hash, sizeof(hash), SQLITE_STATIC);
        r = hs_sql_run(log->insert, err);
    }
    hs_buf_finish(&text);
    if (r < 0)
        return r;
    log->head.seq = seq;
    memcpy(log->head.hash, hash, sizeof(hash));
    return 0;
}

/* Reads the hash column of a row. Returns 1, or 0 if it is not a hash. */
static int column_hash(sqlite3_stmt *stmt, int column, uint8_t ret_hash[HS_AUDIT_HASH_SIZE])
{
    const void *blob = sqlite3_column_blob(stmt, column);
    if (!blob || sqlite3_column_bytes(stmt, column) != HS_AUDIT_HASH_SIZE)
        return 0;
    memcpy(ret_hash, blob, HS_AUDIT_HASH_SIZE);
    return 1;
}

/* Runs a statement that returns the number and hash of an entry. Returns 1, or 0 if there is none, or it has no hash;
 * then the head is the start of the chain. */
static int read_head(const struct hs_gallery *gallery, sqlite3_stmt *stmt, struct hs_audit_head *ret_head,
                     struct hs_error *err)
{
    *ret_head = (struct hs_audit_head) { 0 };
    hs_audit_genesis(gallery->uid, ret_head->hash);
    int r = hs_sql_step(stmt, err);
    if (r > 0) {
        ret_head->seq = sqlite3_column_int64(stmt, 0);
        r = column_hash(stmt, 1, ret_head->hash);
    }
    hs_sql_release(stmt);
    return r;
}

/* Compares the log with a head that it had before. Returns 1 if it still has that entry or has given it up (see
 * rotate), 0 if entries were lost or replaced. */
static int has_head(struct hs_gallery *gallery, struct hs_gallery_conn *conn, const struct hs_audit_head *expected,
                    struct hs_error *err)
{
    struct hs_audit_head found;
    int64_t first;
    if (expected->seq == 0)
        return 1;
    int r = read_head(gallery, HS_GALLERY_BIND(conn, HS_STMT_AUDIT_ENTRY, HS_NUMBER(expected->seq)), &found, err);
    if (r != 0)
        return r < 0 ? r : same_hash(found.hash, expected->hash);
    r = hs_gallery_read_number(conn->statements[HS_STMT_AUDIT_FIRST], &first, err);
    return r < 0 ? r : expected->seq < first;
}

/* Records that the log no longer has the entries that it once had. The number of the new entry is above theirs. */
static int append_gap(struct log *log, const struct hs_audit_head *expected, struct hs_error *err)
{
    struct hs_audit_draft draft = { .action = "gap" };
    struct hs_audit_member *m = draft.members;
    m[draft.count++] = (struct hs_audit_member) { .name = "found_seq", .number = log->head.seq };
    m[draft.count++] = (struct hs_audit_member) { .name = "expected_seq", .number = expected->seq };
    m[draft.count] = (struct hs_audit_member) { .name = "expected_hash", .is_text = true };
    hs_audit_to_hex(expected->hash, m[draft.count++].text);
    int64_t last = log->head.seq > expected->seq ? log->head.seq : expected->seq;
    return append_draft(log, &draft, last + 1, err);
}

/* Drops the oldest tenth of a full log. The entry that records it has the hash of the last dropped one, from which a
 * verification continues. */
static int rotate(struct log *log, struct hs_error *err)
{
    struct hs_gallery *gallery = log->gallery;
    struct hs_audit_head until;
    int64_t first, keep = gallery->audit_keep;
    int r = hs_gallery_read_number(gallery->writer->statements[HS_STMT_AUDIT_FIRST], &first, err);
    if (r < 0 || log->head.seq - first + 1 <= keep + keep / 10)
        return r < 0 ? r : 0;
    sqlite3_stmt *stmt = HS_GALLERY_BIND(gallery->writer, HS_STMT_AUDIT_UNTIL, HS_NUMBER(log->head.seq - keep));
    r = read_head(gallery, stmt, &until, err);
    if (r <= 0)
        return r;
    struct hs_audit_draft draft = { .action = "checkpoint" };
    struct hs_audit_member *m = draft.members;
    m[draft.count++] = (struct hs_audit_member) { .name = "dropped_from", .number = first };
    m[draft.count++] = (struct hs_audit_member) { .name = "dropped_until", .number = until.seq };
    m[draft.count] = (struct hs_audit_member) { .name = "dropped_hash", .is_text = true };
    hs_audit_to_hex(until.hash, m[draft.count++].text);
    r = append_draft(log, &draft, log->head.seq + 1, err);
    return r < 0 ? r : HS_GALLERY_RUN(gallery, HS_STMT_AUDIT_DELETE, err, HS_NUMBER(until.seq));
}

/* Begins to append to the gallery's own log, inside a change. */
static int begin_log(struct hs_gallery *gallery, struct log *ret_log, struct hs_error *err)
{
    *ret_log = (struct log) { .gallery = gallery,
                              .insert = gallery->writer->statements[HS_STMT_AUDIT_INSERT],
                              .change = gallery->change + 1 };
    int r = read_head(gallery, gallery->writer->statements[HS_STMT_AUDIT_HEAD], &ret_log->head, err);
    if (r < 0)
        return r;
    r = has_head(gallery, gallery->writer, &gallery->audit_seen, err);
    return r != 0 ? (r < 0 ? r : 0) : append_gap(ret_log, &gallery->audit_seen, err);
}

int hs_audit_append(struct hs_gallery *gallery, struct hs_error *err)
{
    struct log log;
    if (!gallery->audit)
        return 0;
    int r = begin_log(gallery, &log, err);
    if (r == 0 && gallery->draft.action)
        r = append_draft(&log, &gallery->draft, log.head.seq + 1, err);
    if (r == 0)
        r = rotate(&log, err);
    if (r == 0)
        gallery->audit_next = log.head;
    return r;
}

void hs_audit_committed(struct hs_gallery *gallery)
{
    if (!gallery->audit || gallery->audit_next.seq == 0)
        return;
    gallery->audit_seen = last_appended = gallery->audit_next;
    gallery->audit_next = (struct hs_audit_head) { 0 };
    store_head(gallery, &gallery->audit_seen);
}

/* Copies rows while they continue the chain. Errors of the damaged file end the copy. */
static int recover_rows(struct hs_gallery *gallery, sqlite3_stmt *rows, struct hs_audit_head *head,
                        int64_t *ret_recovered, struct hs_error *err)
{
    sqlite3_stmt *insert = gallery->writer->statements[HS_STMT_AUDIT_INSERT];
    uint8_t hash[HS_AUDIT_HASH_SIZE], stored[HS_AUDIT_HASH_SIZE];
    int r = 0;
    while (r == 0 && hs_sql_step(rows, NULL) > 0) {
        const void *text = sqlite3_column_text(rows, 1);
        if (!text || sqlite3_column_int64(rows, 0) <= head->seq || !column_hash(rows, 2, stored))
            break;
        hs_audit_hash(head->hash, text, (size_t) sqlite3_column_bytes(rows, 1), hash);
        if (!same_hash(hash, stored))
            break;
        for (int i = 0; i < 3; i++)
            sqlite3_bind_value(insert, i + 1, sqlite3_column_value(rows, i));
        r = hs_sql_run(insert, err);
        head->seq = sqlite3_column_int64(rows, 0);
        memcpy(head->hash, hash, sizeof(hash));
        *ret_recovered += r == 0;
    }
    return r;
}

/* Inside a change. */
static int recover(struct hs_gallery *gallery, const char *damaged, struct hs_error *err)
{
    struct hs_audit_head head;
    sqlite3 *db;
    sqlite3_stmt *rows = NULL;
    int64_t recovered = 0;
    int code;
    int r = read_head(gallery, gallery->writer->statements[HS_STMT_AUDIT_HEAD], &head, err);
    if (r < 0)
        return r;
    if (hs_sql_open(damaged, SQLITE_OPEN_READONLY, gallery->vfs, 0, &db, &code, NULL) < 0)
        return 0;
    r = 0;
    if (hs_sql_prepare(db, "SELECT seq, entry, hash FROM audit_log WHERE seq > ?1 ORDER BY seq", &rows, NULL) == 0) {
        sqlite3_bind_int64(rows, 1, head.seq);
        r = recover_rows(gallery, rows, &head, &recovered, err);
    }
    sqlite3_finalize(rows);
    sqlite3_close(db);
    hs_audit_number(gallery, "recovered_entries", recovered);
    return r;
}

int hs_audit_open(struct hs_gallery *gallery, const char *damaged, struct hs_error *err)
{
    struct hs_gallery_conn *conn;
    struct hs_audit_head expected;
    load_head(gallery, &expected);
    int r = hs_gallery_begin_read(gallery, &conn, err);
    if (r < 0)
        return r;
    int known = has_head(gallery, conn, &expected, err);
    if (known >= 0)
        r = read_head(gallery, conn->statements[HS_STMT_AUDIT_HEAD], &gallery->audit_seen, err);
    hs_gallery_end_read(gallery, conn);
    if (known < 0 || r < 0)
        return known < 0 ? known : r;
    if (!known)
        gallery->audit_seen = expected;
    if (!gallery->audit || (known && !gallery->draft.action))
        return 0;
    /* A gap that cannot be recorded now, because the file is read-only for example, is recorded by the next change. */
    struct hs_audit_draft draft = gallery->draft;
    r = hs_gallery_begin(gallery, err);
    if (r == 0) {
        gallery->draft = draft;
        r = damaged[0] ? recover(gallery, damaged, err) : 0;
        if (r == 0)
            r = hs_gallery_touch(gallery, HS_GALLERY_NO_IDENTITY, err);
        r = hs_gallery_end(gallery, r, false, err);
    }
    return draft.action ? r : 0;
}

int hs_audit_record(struct hs_gallery *gallery, const char *action, const char *key, int64_t count,
                    struct hs_error *err)
{
    if (!gallery->audit)
        return 0;
    int r = hs_gallery_begin(gallery, err);
    if (r < 0)
        return r;
    hs_audit_draft(gallery, action);
    if (key)
        hs_audit_text(gallery, "key", key);
    if (count)
        hs_audit_number(gallery, "count", count);
    return hs_gallery_end(gallery, hs_gallery_touch(gallery, HS_GALLERY_NO_IDENTITY, err), false, err);
}

/* ---- restoring ---- */

static int copy_rows(struct hs_gallery_conn *from, sqlite3_stmt *insert, struct hs_error *err)
{
    sqlite3_stmt *rows = HS_GALLERY_BIND(from, HS_STMT_AUDIT_ENTRIES, HS_NUMBER(0));
    int r = 0;
    while (r >= 0 && (r = hs_sql_step(rows, err)) > 0) {
        for (int i = 0; i < 3; i++)
            sqlite3_bind_value(insert, i + 1, sqlite3_column_value(rows, i));
        r = hs_sql_run(insert, err);
    }
    hs_sql_release(rows);
    return r;
}

/* Inside a transaction of `into`. */
static int carry_in_txn(struct log *log, struct hs_gallery_conn *from, sqlite3 *into, struct hs_error *err)
{
    sqlite3_stmt *head;
    struct hs_audit_head backup;
    char hex[HS_AUDIT_HEX_SIZE];
    int r = hs_sql_prepare(into, "SELECT seq, hash FROM audit_log ORDER BY seq DESC LIMIT 1", &head, err);
    if (r < 0)
        return r;
    r = read_head(log->gallery, head, &backup, err);
    sqlite3_finalize(head);
    if (r >= 0)
        r = hs_sql_exec(into, "DELETE FROM audit_log", err);
    if (r == 0)
        r = copy_rows(from, log->insert, err);
    if (r == 0)
        r = read_head(log->gallery, from->statements[HS_STMT_AUDIT_HEAD], &log->head, err);
    if (r < 0)
        return r;
    if (!log->gallery->audit)
        return 0;
    r = has_head(log->gallery, from, &log->gallery->audit_seen, err);
    if (r == 0)
        r = append_gap(log, &log->gallery->audit_seen, err);
    if (r < 0)
        return r;
    hs_audit_to_hex(backup.hash, hex);
    hs_audit_draft(log->gallery, "restore");
    hs_audit_number(log->gallery, "backup_seq", backup.seq);
    hs_audit_text(log->gallery, "backup_hash", hex);
    return append_draft(log, &log->gallery->draft, log->head.seq + 1, err);
}

int hs_audit_carry(struct hs_gallery *gallery, struct hs_gallery_conn *from, sqlite3 *into, int64_t change,
                   struct hs_error *err)
{
    struct log log = { .gallery = gallery, .change = change };
    int r = hs_sql_prepare(into, HS_AUDIT_INSERT, &log.insert, err);
    if (r < 0)
        return r;
    r = hs_sql_exec(into, "BEGIN IMMEDIATE", err);
    if (r == 0)
        r = carry_in_txn(&log, from, into, err);
    if (r == 0)
        r = hs_sql_exec(into, "COMMIT", err);
    sqlite3_finalize(log.insert);
    if (r == 0)
        gallery->audit_next = log.head;
    return r < 0 ? r : 0;
}

/* ---- reading ---- */

int hs_audit_head_of(struct hs_gallery *gallery, struct hs_audit_head *ret_head, struct hs_error *err)
{
    struct hs_gallery_conn *conn;
    int r = hs_gallery_begin_read(gallery, &conn, err);
    if (r < 0)
        return r;
    r = read_head(gallery, conn->statements[HS_STMT_AUDIT_HEAD], ret_head, err);
    hs_gallery_end_read(gallery, conn);
    return r < 0 ? r : 0;
}

static int read_entry(sqlite3_stmt *stmt, struct hs_audit_entry *entry, uint8_t ret_hash[HS_AUDIT_HASH_SIZE],
                      struct hs_error *err)
{
    entry->seq = sqlite3_column_int64(stmt, 0);
    entry->text = (const char *) sqlite3_column_text(stmt, 1);
    entry->len = (size_t) sqlite3_column_bytes(stmt, 1);
    if (!entry->text && sqlite3_errcode(sqlite3_db_handle(stmt)) == SQLITE_NOMEM)
        return hs_gallery_no_memory(err);
    entry->text = entry->text ? entry->text : "";
    if (!column_hash(stmt, 2, ret_hash))
        memset(ret_hash, 0, HS_AUDIT_HASH_SIZE);
    hs_audit_to_hex(ret_hash, entry->hash);
    return 0;
}

static int walk(struct hs_gallery_conn *conn, int64_t after, int (*each)(void *arg, const struct hs_audit_entry *entry),
                void *arg, struct hs_error *err)
{
    struct hs_audit_entry entry;
    uint8_t hash[HS_AUDIT_HASH_SIZE];
    int r, stopped = 0;
    sqlite3_stmt *stmt = HS_GALLERY_BIND(conn, HS_STMT_AUDIT_ENTRIES, HS_NUMBER(after));
    while (!stopped && (r = hs_sql_step(stmt, err)) > 0) {
        stopped = read_entry(stmt, &entry, hash, err);
        if (!stopped)
            stopped = each(arg, &entry);
    }
    hs_sql_release(stmt);
    return stopped ? stopped : r;
}

int hs_audit_for_each(struct hs_gallery *gallery, int64_t after,
                      int (*each)(void *arg, const struct hs_audit_entry *entry), void *arg, struct hs_error *err)
{
    struct hs_gallery_conn *conn;
    int r = hs_gallery_begin_read(gallery, &conn, err);
    if (r < 0)
        return r;
    r = walk(conn, after, each, arg, err);
    hs_gallery_end_read(gallery, conn);
    return r;
}

/* ---- verifying ---- */

struct verifier {
    struct hs_audit_report *report;
    struct hs_audit_head before; /* the entry before the next one */
    int64_t change;              /* of that entry; -1: none */
    bool started;                /* an entry was read */
    struct hs_audit_head wanted; /* the head beside the file; number 0: none, or the log has it */
};

static void set_broken(struct verifier *v, int64_t seq, const char *problem)
{
    v->report->broken = seq;
    hs_str_copy(v->report->problem, sizeof(v->report->problem), problem);
}

static int64_t number_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static void count_gap(struct verifier *v, int64_t seq, const json_t *object)
{
    int64_t found = number_of(object, "found_seq"), expected = number_of(object, "expected_seq");
    v->report->gaps++;
    v->report->gap = seq;
    if (expected > found)
        hs_str_format(v->report->problem, sizeof(v->report->problem),
                      "entry %lld records that the entries %lld to %lld were missing", (long long) seq,
                      (long long) found + 1, (long long) expected);
    else
        hs_str_format(v->report->problem, sizeof(v->report->problem),
                      "entry %lld records that the entries up to %lld had been replaced", (long long) seq,
                      (long long) expected);
}

/* Checks the content of an entry whose hash is right. */
static void check_content(struct verifier *v, const struct hs_audit_entry *entry, const json_t *object)
{
    const char *action = json_string_value(json_object_get(object, "action"));
    bool gap = action && strcmp(action, "gap") == 0, restore = action && strcmp(action, "restore") == 0;
    int64_t change = number_of(object, "change");
    if (!action || number_of(object, "seq") != entry->seq)
        set_broken(v, entry->seq, "the text of the entry has another number, or no action");
    else if (entry->seq != v->before.seq + 1 && !gap)
        set_broken(v, entry->seq, "entries before this one are missing");
    if (gap)
        count_gap(v, entry->seq, object);
    /* A restore sets the number of changes to another value. */
    if (v->started && v->change >= 0 && !restore && !gap && change > v->change + 1)
        v->report->unlogged += change - v->change - 1;
    v->change = change;
}

static int verify_entry(void *arg, const struct hs_audit_entry *entry)
{
    struct verifier *v = arg;
    uint8_t hash[HS_AUDIT_HASH_SIZE];
    char hex[HS_AUDIT_HEX_SIZE];
    json_t *object = NULL;
    hs_audit_hash(v->before.hash, entry->text, entry->len, hash);
    hs_audit_to_hex(hash, hex);
    if (strcmp(hex, entry->hash) != 0) {
        set_broken(v, entry->seq,
                   !v->started && entry->seq != v->before.seq + 1
                       ? "the entries before this one are missing, and no checkpoint explains it"
                       : "the entry was changed, or another one before it was changed, removed or moved");
        return 1;
    }
    int r = hs_json_read(entry->text, entry->len, 0, &object, NULL);
    if (r == HS_ENOMEM)
        return r;
    check_content(v, entry, object);
    json_decref(object);
    if (v->report->broken)
        return 1;
    if (!v->started)
        v->report->first = entry->seq;
    v->started = true;
    v->before.seq = v->report->last = entry->seq;
    memcpy(v->before.hash, hash, sizeof(hash));
    v->report->entries++;
    hs_str_copy(v->report->head, sizeof(v->report->head), hex);
    return 0;
}

/* Finds the hash of the entry before the first one to verify: another entry, the start of the chain, or an entry that
 * was dropped. */
static int find_start(struct hs_gallery *gallery, struct hs_gallery_conn *conn, int64_t after, struct verifier *v,
                      struct hs_error *err)
{
    int64_t first;
    json_t *checkpoint = NULL;
    size_t len = 0;
    int r = read_head(gallery, HS_GALLERY_BIND(conn, HS_STMT_AUDIT_UNTIL, HS_NUMBER(after)), &v->before, err);
    if (r == 0)
        r = hs_gallery_read_number(conn->statements[HS_STMT_AUDIT_FIRST], &first, err);
    else
        return r < 0 ? r : 0;
    if (r < 0 || first <= 1)
        return r < 0 ? r : 0;
    sqlite3_stmt *stmt = conn->statements[HS_STMT_AUDIT_CHECKPOINT];
    r = hs_sql_step(stmt, err);
    const char *text = r > 0 ? (const char *) sqlite3_column_text(stmt, 0) : NULL;
    if (text && hs_json_read(text, strlen(text), 0, &checkpoint, NULL) == HS_ENOMEM)
        r = hs_gallery_no_memory(err);
    hs_sql_release(stmt);
    const char *hash = json_string_value(json_object_get(checkpoint, "dropped_hash"));
    uint8_t dropped[HS_AUDIT_HASH_SIZE];
    int64_t until = number_of(checkpoint, "dropped_until");
    /* Otherwise the first entry must be one that records the loss of all earlier ones. Numbers are missing after the
     * last dropped entry if the first one records a gap; the hashes show if others were removed. */
    if (until > 0 && until < first && hash &&
        sodium_hex2bin(dropped, sizeof(dropped), hash, strlen(hash), NULL, &len, NULL) == 0 && len == sizeof(dropped)) {
        v->before.seq = until;
        memcpy(v->before.hash, dropped, sizeof(dropped));
    }
    json_decref(checkpoint);
    return r < 0 ? r : 0;
}

/* Within one snapshot. `wanted` was read before it, so the log is at least as new. */
static int verify_snapshot(struct hs_gallery *gallery, struct hs_gallery_conn *conn, int64_t after, struct verifier *v,
                           struct hs_error *err)
{
    struct hs_audit_report *report = v->report;
    int64_t change;
    int r = find_start(gallery, conn, after, v, err);
    if (r == 0)
        r = walk(conn, after, verify_entry, v, err);
    int known = r < 0 ? r : has_head(gallery, conn, &v->wanted, err);
    if (known >= 0)
        r = hs_gallery_read_number(conn->statements[HS_STMT_GET_CHANGE], &change, err);
    if (known < 0 || r < 0)
        return known < 0 ? known : r;
    if (v->change >= 0 && change > v->change)
        report->unlogged += change - v->change;
    if (!report->broken && !known) {
        report->broken = report->last + 1;
        hs_str_format(report->problem, sizeof(report->problem),
                      "the newest entries are missing or were replaced: the head of the log was once entry %lld",
                      (long long) v->wanted.seq);
    }
    return 0;
}

int hs_audit_verify(struct hs_gallery *gallery, int64_t after, struct hs_audit_report *ret_report, struct hs_error *err)
{
    struct hs_audit_report report = { 0 };
    struct verifier v = { .report = &report, .change = -1 };
    struct hs_gallery_conn *conn;
    load_head(gallery, &v.wanted);
    int r = hs_gallery_begin_read(gallery, &conn, err);
    if (r < 0)
        return r;
    r = verify_snapshot(gallery, conn, after, &v, err);
    hs_gallery_end_read(gallery, conn);
    if (r == 0)
        *ret_report = report;
    return r;
}
