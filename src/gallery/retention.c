#include "gallery/retention.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "gallery/files.h"
#include "gallery/validate.h"

enum { BATCH = 256, CLOCK_FILE_MAX = 200 };

/* ---- times ---- */

#define LAST_TIME_S INT64_C(253402300799) /* 9999-12-31 23:59:59 */

void hs_retention_time(int64_t time_s, char ret_time[HS_GALLERY_TIME_SIZE])
{
    int64_t valid_s = time_s > LAST_TIME_S ? LAST_TIME_S : time_s < 0 ? 0 : time_s;
    hs_clock_format_utc(valid_s, HS_TIME_SQL, ret_time, HS_GALLERY_TIME_SIZE);
}

/* Reads "YYYY-MM-DD HH:MM:SS"; false for a time that does not exist, such as February 30. */
static bool read_time(const char *text, int64_t *ret_s)
{
    struct tm tm = { 0 };
    char again[HS_GALLERY_TIME_SIZE];
    if (!text || hs_gallery_check_time("", text, NULL) < 0)
        return false;
    const int *const offsets = (const int[]) { 0, 5, 8, 11, 14, 17 };
    int *const fields[] = { &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec };
    for (size_t i = 0; i < HS_ARRAY_LEN(fields); i++)
        *fields[i] = (int) strtol(text + offsets[i], NULL, 10);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *ret_s = (int64_t) timegm(&tm);
    hs_retention_time(*ret_s, again);
    return strcmp(again, text) == 0;
}

int hs_retention_read(const char *what, const char *text, int64_t now_s, char ret_time[HS_GALLERY_TIME_SIZE],
                      struct hs_error *err)
{
    char time[HS_GALLERY_TIME_SIZE + 1];
    int64_t at_s;
    if (strcmp(text, HS_GALLERY_NEVER) == 0 || strcmp(text, "default") == 0) {
        hs_str_copy(ret_time, HS_GALLERY_TIME_SIZE, text[0] == 'n' ? text : "");
        return 0;
    }
    size_t len = strnlen(text, sizeof(time));
    bool fits =
        len == 10 ? hs_str_format(time, sizeof(time), "%s 00:00:00", text) : hs_str_copy(time, sizeof(time), text);
    if (fits && len == 20 && time[10] == 'T' && time[19] == 'Z') {
        time[10] = ' ';
        time[19] = '\0';
    }
    if (!fits || !read_time(time, &at_s))
        return hs_error_set(err, HS_EINVAL, "%s: must be a date, a time (2026-01-31T12:00:00Z), never or default",
                            what);
    if (at_s <= now_s)
        return hs_error_set(err, HS_EINVAL, "%s: this time is over; remove the person instead", what);
    hs_str_copy(ret_time, HS_GALLERY_TIME_SIZE, time);
    return 0;
}

/* ---- the time that is believed ---- */

static bool clock_path(const struct hs_gallery *gallery, char ret_path[PATH_MAX])
{
    return hs_str_format(ret_path, PATH_MAX, "%s.clock", gallery->path);
}

/* Reads "BELIEVED WALL EVEN\n". */
static bool read_state(const char *path, struct hs_retention_clock *clock)
{
    uint8_t *data;
    size_t len;
    int64_t numbers[3];
    if (hs_file_read(path, CLOCK_FILE_MAX, &data, &len, NULL) < 0)
        return false;
    char *rest = (char *) data;
    bool valid = true;
    for (size_t i = 0; valid && i < HS_ARRAY_LEN(numbers); i++) {
        char *word = strtok_r(rest, " \n", &rest);
        valid = word && hs_str_to_int64(word, &numbers[i]) && numbers[i] >= 0 && numbers[i] <= LAST_TIME_S;
    }
    free(data);
    if (valid)
        *clock = (struct hs_retention_clock) { .believed_s = numbers[0], .wall_s = numbers[1], .even_s = numbers[2] };
    return valid;
}

static int64_t newest_change(struct hs_gallery *gallery)
{
    struct hs_gallery_conn *conn;
    char text[HS_GALLERY_TIME_SIZE] = "";
    int64_t time_s = 0;
    if (hs_gallery_begin_read(gallery, &conn, NULL) < 0)
        return 0;
    hs_sql_text(conn->db, "SELECT max(updated_at) FROM identities", text, sizeof(text), NULL);
    hs_gallery_end_read(gallery, conn);
    return read_time(text, &time_s) ? time_s : 0;
}

void hs_retention_clock_load(struct hs_retention_clock *clock, struct hs_gallery *gallery, int64_t wall_s,
                             int64_t boot_s)
{
    char path[PATH_MAX];
    if (!clock_path(gallery, path) || !read_state(path, clock)) {
        int64_t newest_s = newest_change(gallery);
        *clock = (struct hs_retention_clock) { .believed_s = newest_s, .wall_s = newest_s };
    }
    hs_retention_clock_start(clock, wall_s, boot_s);
}

/* Between two runs an unknown time has passed. The run of the clock counts as even if that is at most a day. */
void hs_retention_clock_start(struct hs_retention_clock *clock, int64_t wall_s, int64_t boot_s)
{
    int64_t passed_s = wall_s - clock->wall_s;
    if (passed_s < 0 || passed_s > HS_RETENTION_LEAD_S)
        clock->even_s = 0;
    clock->wall_s = wall_s;
    clock->boot_s = boot_s;
}

int hs_retention_clock_store(const struct hs_retention_clock *clock, struct hs_gallery *gallery, struct hs_error *err)
{
    char path[PATH_MAX], text[CLOCK_FILE_MAX];
    if (!clock_path(gallery, path))
        return hs_error_set(err, HS_EINVAL, "the path is too long: %s", gallery->path);
    hs_str_format(text, sizeof(text), "%lld %lld %lld\n", (long long) clock->believed_s, (long long) clock->wall_s,
                  (long long) clock->even_s);
    return hs_file_write_atomic(path, text, strlen(text), 0600, err);
}

int64_t hs_retention_clock_advance(struct hs_retention_clock *clock, int64_t wall_s, int64_t boot_s)
{
    int64_t passed_s = boot_s - clock->boot_s, step_s = wall_s - clock->wall_s - passed_s;
    clock->even_s = llabs(step_s) > HS_RETENTION_STEP_S ? 0 : clock->even_s + passed_s;
    clock->wall_s = wall_s;
    clock->boot_s = boot_s;
    clock->believed_s += passed_s;
    clock->held = llabs(wall_s - clock->believed_s) > HS_RETENTION_LEAD_S && clock->even_s < HS_RETENTION_CONFIRM_S;
    if (!clock->held)
        clock->believed_s = wall_s;
    return clock->believed_s < wall_s ? clock->believed_s : wall_s;
}

/* ---- backups to purge ---- */

static bool purge_path(const struct hs_gallery *gallery, char ret_path[PATH_MAX])
{
    return hs_str_format(ret_path, PATH_MAX, "%s.purge", gallery->path);
}

bool hs_retention_is_purge_due(const struct hs_gallery *gallery)
{
    char path[PATH_MAX];
    return purge_path(gallery, path) && hs_file_exists(path);
}

int hs_gallery_request_purge(const struct hs_gallery *gallery, struct hs_error *err)
{
    char path[PATH_MAX];
    if (!purge_path(gallery, path))
        return hs_error_set(err, HS_EINVAL, "the path is too long: %s", gallery->path);
    return hs_file_exists(path) ? 0 : hs_file_write_atomic(path, "", 0, 0600, err);
}

void hs_gallery_cancel_purge(const struct hs_gallery *gallery)
{
    char path[PATH_MAX];
    if (purge_path(gallery, path))
        unlink(path);
}

/* ---- erasing ---- */

int hs_gallery_has_expiry(struct hs_gallery *gallery, bool *ret_any, struct hs_error *err)
{
    struct hs_gallery_conn *conn;
    int64_t any = 0;
    int r = hs_gallery_begin_read(gallery, &conn, err);
    if (r < 0)
        return r;
    r = hs_gallery_read_number(conn->statements[HS_STMT_HAS_EXPIRY], &any, err);
    hs_gallery_end_read(gallery, conn);
    *ret_any = any != 0;
    return r < 0 ? r : 0;
}

/* Reads the next identities whose time is over. */
static int read_due(struct hs_gallery *gallery, const struct hs_gallery_due *due, int64_t ids[BATCH], size_t *ret_count,
                    struct hs_error *err)
{
    struct hs_gallery_conn *conn;
    int r = hs_gallery_begin_read(gallery, &conn, err);
    *ret_count = 0;
    if (r < 0)
        return r;
    sqlite3_stmt *stmt = HS_GALLERY_BIND(conn, HS_STMT_EXPIRED, HS_TEXT(due->now), HS_TEXT(due->since),
                                         HS_NUMBER(INT64_MIN), HS_NUMBER(INT64_MAX));
    while (*ret_count < BATCH && (r = hs_sql_step(stmt, err)) > 0)
        ids[(*ret_count)++] = sqlite3_column_int64(stmt, 0);
    hs_sql_release(stmt);
    hs_gallery_end_read(gallery, conn);
    return r < 0 ? r : 0;
}

static int expire_one(struct hs_gallery *gallery, const struct hs_gallery_due *due, int64_t id,
                      struct hs_gallery_expired *done, struct hs_error *err)
{
    struct hs_gallery_erased erased;
    int r = hs_gallery_erase_due(gallery, due, id, &erased, err);
    if (r < 0)
        return r == HS_ENOTFOUND ? 0 : r; /* removed, or its time was extended, since it was read */
    done->identities++;
    done->embeddings += erased.embeddings;
    done->in_files |= erased.file_count > 0 || erased.files_unknown;
    hs_gallery_erased_finish(&erased);
    return 0;
}

int hs_gallery_expire(struct hs_gallery *gallery, int64_t now_s, int64_t retention_s,
                      struct hs_gallery_expired *ret_expired, struct hs_error *err)
{
    struct hs_gallery_expired done = { .in_files = hs_retention_is_purge_due(gallery) };
    struct hs_gallery_due due = { .since = "" };
    int64_t ids[BATCH], before;
    size_t count;
    bool requested = false;
    int r;
    hs_retention_time(now_s, due.now);
    if (retention_s > 0 && retention_s < now_s)
        hs_retention_time(now_s - retention_s, due.since);
    do {
        before = done.identities;
        r = read_due(gallery, &due, ids, &count, err);
        /* Before the people are erased: afterwards nothing else shows that backups hold them. */
        if (r == 0 && count > 0)
            r = hs_gallery_request_purge(gallery, err);
        requested |= count > 0;
        for (size_t i = 0; i < count && r == 0; i++)
            r = expire_one(gallery, &due, ids[i], &done, err);
    } while (r == 0 && count == BATCH && done.identities > before);
    if (requested && !done.in_files)
        hs_gallery_cancel_purge(gallery);
    *ret_expired = done;
    return r;
}
