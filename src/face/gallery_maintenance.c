#include "face/gallery_maintenance.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "face/gallery_report.h"
#include "gallery/audit_log.h"
#include "gallery/retention.h"

/* RETRY: delay after a failure */
enum { BUSY_TIMEOUT_MS = 5000, ERASE_RETRY_S = 10, BACKUP_RETRY_S = 3600, DISK_INTERVAL_S = 30 };
enum { EXPIRE_INTERVAL_S = 3600, KEYS_INTERVAL_S = 10, KEYS_PAUSE_S = 3600 /* between two entries */ };

struct hs_face_maintenance {
    struct hs_face_maintenance_options options;
    pthread_t thread;
    bool started;
    struct hs_retention_clock clock;     /* only the thread uses it and the fields up to `warned` */
    struct hs_auth *auth;                /* NULL: no keys */
    int64_t refused;                     /* requests with invalid keys that have no entry yet */
    int64_t recorded_ns;                 /* time of the last such entry; 0: none */
    bool retaining;                      /* the clock is loaded */
    bool warned;                         /* that the clock is not believed */
    struct hs_gallery_version backed_up; /* version of the last backup; change -1: none; only the thread uses it */

    pthread_mutex_t lock; /* guards the fields below; not held during calls into the gallery */
    pthread_cond_t wake;
    bool stop;
    int64_t erase_due_ns, backup_due_ns, expire_due_ns, disk_due_ns, keys_due_ns; /* INT64_MAX: not scheduled */
    struct hs_face_maintenance_status status;
};

int hs_face_maintenance_create(const struct hs_face_maintenance_options *options,
                               struct hs_face_maintenance **ret_maintenance, struct hs_error *err)
{
    struct hs_face_maintenance *maintenance = calloc(1, sizeof(*maintenance));
    if (!maintenance)
        return hs_error_set(err, HS_ENOMEM, "no memory for gallery maintenance");
    maintenance->options = *options;
    maintenance->status.opened = *options->opened;
    maintenance->backed_up.change = options->opened->created ? 0 : -1;
    maintenance->erase_due_ns = maintenance->backup_due_ns = maintenance->expire_due_ns = INT64_MAX;
    maintenance->keys_due_ns = INT64_MAX;
    pthread_mutex_init(&maintenance->lock, NULL);
    hs_cond_init(&maintenance->wake);
    *ret_maintenance = maintenance;
    return 0;
}

static int64_t due_in_s(double seconds)
{
    return hs_clock_now_ns() + (int64_t) (seconds * (double) HS_NS_PER_S);
}

/* ---- tasks of the thread ---- */

static void set_status(struct hs_face_maintenance *maintenance, char *ret_text, size_t size, const char *text)
{
    pthread_mutex_lock(&maintenance->lock);
    hs_str_copy(ret_text, size, text);
    pthread_mutex_unlock(&maintenance->lock);
}

static void warn(char lines[HS_FACE_REPORT_LINES][HS_FACE_REPORT_LINE_SIZE], size_t count)
{
    for (size_t i = 0; i < count; i++)
        hs_log_warning("%s", lines[i]);
}

/* Reports faces, names and metadata from older programs or foreign backups that do not work as users expect. */
static void log_problems(const struct hs_face_maintenance *maintenance)
{
    const struct hs_face_maintenance_options *o = &maintenance->options;
    char lines[HS_FACE_REPORT_LINES][HS_FACE_REPORT_LINE_SIZE];
    struct hs_gallery_usability usability = hs_face_index_usability(o->index);
    warn(lines, hs_face_report_unusable(&usability, o->model, o->dimension, lines));
    struct hs_gallery_audit *audit = malloc(sizeof(*audit));
    if (audit && hs_gallery_audit(o->gallery, NULL, 0, audit, NULL) == 0)
        warn(lines, hs_face_report_records(audit, lines));
    free(audit);
}

static void read_gallery(struct hs_face_maintenance *maintenance)
{
    struct hs_error err = { .message = "" };
    if (hs_face_index_refresh(maintenance->options.index, HS_NO_DEADLINE, &err) < 0)
        hs_log_error("gallery load failed: %s", err.message);
    else
        log_problems(maintenance);
    set_status(maintenance, maintenance->status.read_error, sizeof(maintenance->status.read_error), err.message);
}

/* Returns the seconds since 1970 of a time of the gallery, "2026-01-31 12:00:00" in UTC; 0 if it is invalid. */
static int64_t seconds_of(const char *text)
{
    struct tm tm = { 0 };
    const char *end = strptime(text, "%Y-%m-%d %H:%M:%S", &tm);
    return end && *end == '\0' ? (int64_t) timegm(&tm) : 0;
}

static void find_last_backup(struct hs_face_maintenance *maintenance)
{
    struct hs_gallery_backups *backups;
    if (hs_gallery_list_backups(maintenance->options.gallery, &backups, NULL) < 0)
        return;
    bool any = backups->count > 0 && !backups->items[0].set_aside;
    const char *created_at = any ? backups->items[0].created_at : "";
    set_status(maintenance, maintenance->status.last_backup_at, sizeof(maintenance->status.last_backup_at), created_at);
    pthread_mutex_lock(&maintenance->lock);
    maintenance->status.last_backup_s = seconds_of(created_at);
    pthread_mutex_unlock(&maintenance->lock);
    hs_gallery_backups_destroy(backups);
}

/* Does nothing if the gallery has not changed since the last backup. */
static int back_up_changed(struct hs_face_maintenance *maintenance, struct hs_error *err)
{
    struct hs_gallery_version version;
    int r = hs_gallery_get_version(maintenance->options.gallery, &version, err);
    if (r < 0 ||
        (version.change == maintenance->backed_up.change && !hs_gallery_is_reset(&maintenance->backed_up, &version)))
        return r;
    r = hs_gallery_backup(maintenance->options.gallery, NULL, err);
    if (r == 0)
        maintenance->backed_up = version;
    return r;
}

static void back_up(struct hs_face_maintenance *maintenance)
{
    struct hs_error err = { .message = "" };
    double interval_s = maintenance->options.backup_interval_s;
    int r = back_up_changed(maintenance, &err);
    if (r < 0) {
        hs_log_warning("gallery backup failed: %s", err.message);
        interval_s = interval_s > 0 && interval_s < BACKUP_RETRY_S ? interval_s : BACKUP_RETRY_S;
    }
    find_last_backup(maintenance);
    pthread_mutex_lock(&maintenance->lock);
    hs_str_copy(maintenance->status.backup_error, sizeof(maintenance->status.backup_error), r < 0 ? err.message : "");
    maintenance->backup_due_ns = interval_s > 0 ? due_in_s(interval_s) : INT64_MAX;
    maintenance->status.backup_failures += r < 0;
    if (r == 0)
        maintenance->status.backed_up_s = hs_clock_wall_s();
    pthread_mutex_unlock(&maintenance->lock);
}

/* Refreshes the index first, so that the erased data leaves memory, too. */
static void finish_erasing(struct hs_face_maintenance *maintenance)
{
    struct hs_error err;
    hs_face_index_refresh(maintenance->options.index, HS_NO_DEADLINE, NULL);
    find_last_backup(maintenance); /* a purge may have made a backup */
    if (hs_gallery_finish_erasing(maintenance->options.gallery, &err) == 0)
        return;
    hs_log_warning("gallery erasure incomplete, retrying in %d s: %s", ERASE_RETRY_S, err.message);
    pthread_mutex_lock(&maintenance->lock);
    maintenance->erase_due_ns = due_in_s(ERASE_RETRY_S);
    pthread_mutex_unlock(&maintenance->lock);
}

/* A network file system may not respond, so this thread calls it and not the one that serves /metrics. */
static void measure_disk(struct hs_face_maintenance *maintenance)
{
    struct statvfs disk;
    bool known = maintenance->options.path && statvfs(maintenance->options.path, &disk) == 0;
    pthread_mutex_lock(&maintenance->lock);
    maintenance->status.disk_bytes = known ? (uint64_t) disk.f_blocks * disk.f_frsize : 0;
    maintenance->status.disk_free_bytes = known ? (uint64_t) disk.f_bavail * disk.f_frsize : 0;
    maintenance->disk_due_ns = due_in_s(DISK_INTERVAL_S);
    pthread_mutex_unlock(&maintenance->lock);
}

/* ---- retention ---- */

static int64_t boot_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t) now.tv_sec;
}

static void store_clock(struct hs_face_maintenance *maintenance)
{
    struct hs_error err;
    if (maintenance->retaining && hs_retention_clock_store(&maintenance->clock, maintenance->options.gallery, &err) < 0)
        hs_log_warning("cannot store the time of the last check of the retention: %s", err.message);
}

/* Returns the time up to which people expire. */
static int64_t read_clock(struct hs_face_maintenance *maintenance)
{
    struct hs_retention_clock *clock = &maintenance->clock;
    if (!maintenance->retaining)
        hs_retention_clock_load(clock, maintenance->options.gallery, hs_clock_wall_s(), boot_s());
    maintenance->retaining = true;
    int64_t now_s = hs_retention_clock_advance(clock, hs_clock_wall_s(), boot_s());
    if (clock->held && !maintenance->warned)
        hs_log_warning(
            "the system clock differs by more than a day from the time expected since the last run: until it "
            "has run evenly for %d hours, people expire by the time expected",
            HS_RETENTION_CONFIRM_S / 3600);
    maintenance->warned = clock->held;
    store_clock(maintenance);
    return now_s;
}

/* Backups made before hold the people who were erased; the new one does not. */
static void purge_expired(struct hs_face_maintenance *maintenance)
{
    struct hs_gallery_backups *purged;
    struct hs_error err;
    char backup[PATH_MAX];
    if (hs_gallery_purge_all(maintenance->options.gallery, backup, &purged, &err) < 0) {
        hs_log_warning("the backups that hold erased people cannot be deleted: %s", err.message);
        return;
    }
    hs_log_info("deleted %zu backup%s with erased people", purged->count, purged->count == 1 ? "" : "s");
    hs_gallery_backups_destroy(purged);
}

enum { EXPIRY_ERASED, EXPIRY_FAILED };
static const char *const expiry_names[] = { [EXPIRY_ERASED] = "erased", [EXPIRY_FAILED] = "failed" };
HS_COUNTERS(hs_face_expiries, "hailo_gallery_expiries_total",
            "People who were erased because their retention time was over, and attempts that failed.", "result",
            expiry_names);

static void expire(struct hs_face_maintenance *maintenance)
{
    static const struct hs_audit_actor actor = { .name = "retention" };
    const struct hs_face_maintenance_options *o = &maintenance->options;
    struct hs_gallery_expired expired = { 0 };
    struct hs_error err;
    char people[40];
    bool any;
    if (hs_gallery_has_expiry(o->gallery, &any, &err) < 0)
        any = true; /* the next call reports the error */
    if (o->retention_s > 0 || any || hs_retention_is_purge_due(o->gallery)) {
        hs_audit_act_as(&actor);
        if (hs_gallery_expire(o->gallery, read_clock(maintenance), o->retention_s, &expired, &err) < 0) {
            hs_count(&hs_face_expiries, EXPIRY_FAILED);
            hs_log_warning("expired people cannot be erased: %s", err.message);
        }
        hs_count_several(&hs_face_expiries, EXPIRY_ERASED, (uint64_t) expired.identities);
        if (expired.identities)
            hs_log_info("erased %s whose retention time is over", hs_face_count_people(expired.identities, people));
        if (expired.in_files)
            purge_expired(maintenance);
        hs_audit_act_as(NULL);
    }
    if (expired.identities)
        finish_erasing(maintenance);
    pthread_mutex_lock(&maintenance->lock);
    maintenance->expire_due_ns = due_in_s(EXPIRE_INTERVAL_S);
    pthread_mutex_unlock(&maintenance->lock);
}

/* ---- API keys ---- */

/* `now`: also if the last entry is new; for the end of the service, so that no attempt is lost. */
static void record_refused_keys(struct hs_face_maintenance *maintenance, bool now)
{
    struct hs_error err;
    int64_t now_ns = hs_clock_now_ns();
    bool pause =
        maintenance->recorded_ns != 0 && now_ns - maintenance->recorded_ns < KEYS_PAUSE_S * HS_NS_PER_S && !now;
    if (!maintenance->auth)
        return;
    maintenance->refused += hs_auth_take_refused(maintenance->auth);
    if (maintenance->refused == 0 || pause)
        return;
    if (hs_audit_record(maintenance->options.gallery, "key_refused", NULL, maintenance->refused, &err) < 0) {
        hs_log_warning("refused API keys cannot be recorded in the audit log: %s", err.message);
        return;
    }
    maintenance->refused = 0;
    maintenance->recorded_ns = now_ns;
}

static void watch_keys(struct hs_face_maintenance *maintenance)
{
    record_refused_keys(maintenance, false);
    pthread_mutex_lock(&maintenance->lock);
    maintenance->keys_due_ns = due_in_s(KEYS_INTERVAL_S);
    pthread_mutex_unlock(&maintenance->lock);
}

/* Runs the tasks that are due. Called with the lock held; releases it while a task runs. */
static void run_due_tasks(struct hs_face_maintenance *maintenance)
{
    int64_t now = hs_clock_now_ns();
    bool erase = maintenance->erase_due_ns <= now, backup = maintenance->backup_due_ns <= now;
    bool disk = maintenance->disk_due_ns <= now, expiry = maintenance->expire_due_ns <= now;
    bool keys = maintenance->keys_due_ns <= now;
    if (erase)
        maintenance->erase_due_ns = INT64_MAX;
    pthread_mutex_unlock(&maintenance->lock);
    if (erase)
        finish_erasing(maintenance);
    if (expiry)
        expire(maintenance);
    if (keys)
        watch_keys(maintenance);
    if (backup)
        back_up(maintenance);
    if (disk)
        measure_disk(maintenance);
    pthread_mutex_lock(&maintenance->lock);
}

static int64_t next_due(const struct hs_face_maintenance *maintenance)
{
    const int64_t due[] = { maintenance->erase_due_ns, maintenance->backup_due_ns, maintenance->expire_due_ns,
                            maintenance->keys_due_ns, maintenance->disk_due_ns };
    int64_t next = due[0];
    for (size_t i = 1; i < HS_ARRAY_LEN(due); i++)
        next = due[i] < next ? due[i] : next;
    return next;
}

static void *run(void *arg)
{
    struct hs_face_maintenance *maintenance = arg;
    measure_disk(maintenance);
    read_gallery(maintenance);
    if (hs_gallery_get_counts(maintenance->options.gallery).erase_pending)
        finish_erasing(maintenance);
    expire(maintenance); /* before the first backup, which would hold the people */
    pthread_mutex_lock(&maintenance->lock);
    bool stop = maintenance->stop;
    pthread_mutex_unlock(&maintenance->lock);
    if (maintenance->options.backups && !stop)
        back_up(maintenance);
    else
        find_last_backup(maintenance);
    pthread_mutex_lock(&maintenance->lock);
    while (!maintenance->stop) {
        int64_t due = next_due(maintenance);
        if (due <= hs_clock_now_ns())
            run_due_tasks(maintenance);
        else
            hs_cond_wait_until(&maintenance->wake, &maintenance->lock, due);
    }
    pthread_mutex_unlock(&maintenance->lock);
    record_refused_keys(maintenance, true);
    if (maintenance->retaining) {
        hs_retention_clock_advance(&maintenance->clock, hs_clock_wall_s(), boot_s());
        store_clock(maintenance);
    }
    return NULL;
}

/* ---- public functions ---- */

void hs_face_maintenance_watch_keys(struct hs_face_maintenance *maintenance, struct hs_auth *auth)
{
    maintenance->auth = auth;
    maintenance->keys_due_ns = auth ? 0 : INT64_MAX;
}

int hs_face_maintenance_start(struct hs_face_maintenance *maintenance, struct hs_error *err)
{
    if (pthread_create(&maintenance->thread, NULL, run, maintenance) != 0)
        return hs_error_set(err, HS_ENOMEM, "cannot start the gallery maintenance thread");
    maintenance->started = true;
    return 0;
}

void hs_face_maintenance_destroy(struct hs_face_maintenance *maintenance)
{
    if (!maintenance)
        return;
    pthread_mutex_lock(&maintenance->lock);
    maintenance->stop = true;
    pthread_cond_broadcast(&maintenance->wake);
    pthread_mutex_unlock(&maintenance->lock);
    if (maintenance->started)
        pthread_join(maintenance->thread, NULL);
    pthread_cond_destroy(&maintenance->wake);
    pthread_mutex_destroy(&maintenance->lock);
    free(maintenance);
}

void hs_face_maintenance_erased(struct hs_face_maintenance *maintenance)
{
    if (!maintenance)
        return;
    pthread_mutex_lock(&maintenance->lock);
    maintenance->erase_due_ns = hs_clock_now_ns();
    pthread_cond_broadcast(&maintenance->wake);
    pthread_mutex_unlock(&maintenance->lock);
}

void hs_face_maintenance_get_status(struct hs_face_maintenance *maintenance,
                                    struct hs_face_maintenance_status *ret_status)
{
    pthread_mutex_lock(&maintenance->lock);
    *ret_status = maintenance->status;
    pthread_mutex_unlock(&maintenance->lock);
}

/* ---- opening ---- */

static void log_encryption(const struct hs_gallery_opened *opened)
{
    char faces[40];
    if (opened->key_added)
        hs_log_info("new faces of the gallery are encrypted from now on, with the key %s", opened->key_id);
    if (opened->keys_removed)
        hs_log_info("the gallery can no longer be opened with former keys, only with %s", opened->key_id);
    if (opened->key_pending[0])
        hs_log_warning("the key of the gallery was changed: set database.encryption_key to the key %s, and restart",
                       opened->key_pending);
    if (opened->plain)
        hs_log_warning("%s in the gallery %s not encrypted. `hailo-face db encrypt` encrypts all",
                       hs_face_count_faces(opened->plain, faces), opened->plain == 1 ? "is" : "are");
}

static void log_opened(const struct hs_gallery_opened *opened)
{
    char faces[40];
    if (opened->set_aside[0])
        hs_log_error("the gallery file was damaged and was renamed to %s; %s%s", opened->set_aside,
                     opened->restored_from[0] ? "restored from "
                                              : "no usable backup found, starting with an empty gallery",
                     opened->restored_from);
    if (opened->migrated_from >= 0)
        hs_log_info("migrated the gallery from schema version %d%s%s", opened->migrated_from,
                    opened->backed_up_to[0] ? "; backup of the old version: " : "", opened->backed_up_to);
    if (opened->tightened)
        hs_log_warning("the gallery file was readable by other users; its permissions are now limited to the owner");
    if (opened->tightened_backups)
        hs_log_warning("%lld of the gallery's backups and damaged files were readable by other users; their "
                       "permissions are now limited to the owner",
                       (long long) opened->tightened_backups);
    if (opened->foreign[0])
        hs_log_warning("%s; it has no effect", opened->foreign);
    if (opened->orphans_erased)
        hs_log_warning("erased %s that belonged to no identity", hs_face_count_faces(opened->orphans_erased, faces));
    log_encryption(opened);
}

void hs_face_cli_actor(char ret_name[HS_FACE_CLI_ACTOR_SIZE])
{
    hs_str_format(ret_name, HS_FACE_CLI_ACTOR_SIZE, "cli:%lld", (long long) getuid());
}

int hs_face_open_gallery(const struct hs_database_section *settings, unsigned flags, struct hs_gallery **ret_gallery,
                         struct hs_gallery_opened *ret_opened, struct hs_error *err)
{
    char actor[HS_FACE_CLI_ACTOR_SIZE] = "service";
    if (!(flags & HS_FACE_ERASE_LATER))
        hs_face_cli_actor(actor);
    const struct hs_gallery_options options = {
        .path = settings->db_file,
        .backup_dir = settings->backup_path,
        .keep_backups = settings->keep_backups,
        .max_embeddings_per_identity = settings->max_embeddings_per_identity,
        .busy_timeout_ms = BUSY_TIMEOUT_MS,
        .erase_later = flags & HS_FACE_ERASE_LATER,
        .must_exist = flags & HS_FACE_MUST_EXIST,
        .no_audit = !settings->audit,
        .audit_keep = settings->audit_keep,
        .actor = actor,
        .key = settings->encryption_key,
        .encrypt = flags & HS_FACE_ENCRYPT && settings->encryption_key[0],
    };
    struct hs_error why;
    if (!settings->core_dumps)
        hs_mem_forbid_dumps();
    int r = options.must_exist ? 0 : hs_dir_make_parent(settings->db_file, &why);
    if (r < 0)
        return hs_error_set(err, r,
                            "%s. Create it for the user that runs hailo-face, or set database.db_file to another file",
                            why.message);
    r = hs_gallery_open(&options, ret_gallery, ret_opened, err);
    if (r == 0)
        log_opened(ret_opened);
    return r;
}
