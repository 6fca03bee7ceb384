#include "face/upkeep.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

enum { ERASE_AGAIN_S = 10, BACKUP_AGAIN_S = 3600 }; /* after a failure */

struct hs_face_upkeep {
    struct hs_face_upkeep_options options;
    pthread_t thread;
    bool started;
    struct hs_gallery_version backed_up; /* what the last backup has; change -1: there is none; the thread's own */

    pthread_mutex_t lock; /* guards what follows; never held while the gallery is asked */
    pthread_cond_t wake;
    bool stop;
    int64_t erase_due_ns, backup_due_ns; /* INT64_MAX: not at all */
    struct hs_face_upkeep_status status;
};

int hs_face_upkeep_create(const struct hs_face_upkeep_options *options, struct hs_face_upkeep **ret_upkeep,
                          struct hs_error *err)
{
    struct hs_face_upkeep *upkeep = calloc(1, sizeof(*upkeep));
    if (!upkeep)
        return hs_error_set(err, HS_ENOMEM, "no memory for the gallery's upkeep");
    upkeep->options = *options;
    upkeep->status.opened = *options->opened;
    upkeep->backed_up.change = options->opened->created ? 0 : -1;
    upkeep->erase_due_ns = upkeep->backup_due_ns = INT64_MAX;
    pthread_mutex_init(&upkeep->lock, NULL);
    hs_cond_init(&upkeep->wake);
    *ret_upkeep = upkeep;
    return 0;
}

static int64_t in_seconds(double seconds)
{
    return hs_clock_now_ns() + (int64_t) (seconds * (double) HS_NS_PER_S);
}

/* ---- what the thread does ---- */

static void read_gallery(struct hs_face_upkeep *upkeep)
{
    struct hs_error err = { .message = "" };
    if (hs_face_index_refresh(upkeep->options.index, HS_NO_DEADLINE, &err) < 0)
        hs_log_error("the gallery could not be read: %s", err.message);
    pthread_mutex_lock(&upkeep->lock);
    hs_str_copy(upkeep->status.read_error, sizeof(upkeep->status.read_error), err.message);
    pthread_mutex_unlock(&upkeep->lock);
}

static void find_last_backup(struct hs_face_upkeep *upkeep)
{
    struct hs_gallery_backups *backups;
    if (hs_gallery_list_backups(upkeep->options.gallery, &backups, NULL) < 0)
        return;
    bool any = backups->count > 0 && !backups->items[0].set_aside;
    pthread_mutex_lock(&upkeep->lock);
    hs_str_copy(upkeep->status.last_backup_at, sizeof(upkeep->status.last_backup_at),
                any ? backups->items[0].created_at : "");
    pthread_mutex_unlock(&upkeep->lock);
    hs_gallery_backups_destroy(backups);
}

/* Where the gallery is as it was at the last backup there is nothing to do. */
static int back_up_changed(struct hs_face_upkeep *upkeep, struct hs_error *err)
{
    struct hs_gallery_version version;
    int r = hs_gallery_get_version(upkeep->options.gallery, &version, err);
    if (r < 0 || (version.change == upkeep->backed_up.change && version.resets == upkeep->backed_up.resets))
        return r;
    r = hs_gallery_backup(upkeep->options.gallery, NULL, err);
    if (r == 0)
        upkeep->backed_up = version;
    return r;
}

static void back_up(struct hs_face_upkeep *upkeep)
{
    struct hs_error err = { .message = "" };
    double interval_s = upkeep->options.backup_interval_s;
    int r = back_up_changed(upkeep, &err);
    if (r < 0) {
        hs_log_warning("the gallery could not be backed up: %s", err.message);
        interval_s = interval_s > 0 && interval_s < BACKUP_AGAIN_S ? interval_s : BACKUP_AGAIN_S;
    }
    find_last_backup(upkeep);
    pthread_mutex_lock(&upkeep->lock);
    hs_str_copy(upkeep->status.backup_error, sizeof(upkeep->status.backup_error), r < 0 ? err.message : "");
    upkeep->backup_due_ns = interval_s > 0 ? in_seconds(interval_s) : INT64_MAX;
    pthread_mutex_unlock(&upkeep->lock);
}

/* The index forgets first, so that nothing of it stays in memory either. */
static void finish_erasing(struct hs_face_upkeep *upkeep)
{
    struct hs_error err;
    hs_face_index_refresh(upkeep->options.index, HS_NO_DEADLINE, NULL);
    if (hs_gallery_finish_erasing(upkeep->options.gallery, &err) == 0)
        return;
    hs_log_warning("what was erased is still in the gallery's file, the next try is in %d s: %s", ERASE_AGAIN_S,
                   err.message);
    pthread_mutex_lock(&upkeep->lock);
    upkeep->erase_due_ns = in_seconds(ERASE_AGAIN_S);
    pthread_mutex_unlock(&upkeep->lock);
}

/* With the lock held, and again afterwards. */
static void do_what_is_due(struct hs_face_upkeep *upkeep)
{
    int64_t now = hs_clock_now_ns();
    bool erase = upkeep->erase_due_ns <= now, backup = upkeep->backup_due_ns <= now;
    if (erase)
        upkeep->erase_due_ns = INT64_MAX;
    pthread_mutex_unlock(&upkeep->lock);
    if (erase)
        finish_erasing(upkeep);
    if (backup)
        back_up(upkeep);
    pthread_mutex_lock(&upkeep->lock);
}

static bool is_stopped(struct hs_face_upkeep *upkeep)
{
    pthread_mutex_lock(&upkeep->lock);
    bool stop = upkeep->stop;
    pthread_mutex_unlock(&upkeep->lock);
    return stop;
}

static void *run(void *arg)
{
    struct hs_face_upkeep *upkeep = arg;
    read_gallery(upkeep);
    if (hs_gallery_get_counts(upkeep->options.gallery).erase_pending)
        finish_erasing(upkeep);
    if (upkeep->options.backups && !is_stopped(upkeep))
        back_up(upkeep);
    else
        find_last_backup(upkeep);
    pthread_mutex_lock(&upkeep->lock);
    while (!upkeep->stop) {
        int64_t due = upkeep->erase_due_ns < upkeep->backup_due_ns ? upkeep->erase_due_ns : upkeep->backup_due_ns;
        if (due <= hs_clock_now_ns())
            do_what_is_due(upkeep);
        else
            hs_cond_wait_until(&upkeep->wake, &upkeep->lock, due);
    }
    pthread_mutex_unlock(&upkeep->lock);
    return NULL;
}

/* ---- from outside ---- */

int hs_face_upkeep_start(struct hs_face_upkeep *upkeep, struct hs_error *err)
{
    if (pthread_create(&upkeep->thread, NULL, run, upkeep) != 0)
        return hs_error_set(err, HS_ENOMEM, "no thread for the gallery's upkeep");
    upkeep->started = true;
    return 0;
}

void hs_face_upkeep_destroy(struct hs_face_upkeep *upkeep)
{
    if (!upkeep)
        return;
    pthread_mutex_lock(&upkeep->lock);
    upkeep->stop = true;
    pthread_cond_broadcast(&upkeep->wake);
    pthread_mutex_unlock(&upkeep->lock);
    if (upkeep->started)
        pthread_join(upkeep->thread, NULL);
    pthread_cond_destroy(&upkeep->wake);
    pthread_mutex_destroy(&upkeep->lock);
    free(upkeep);
}

void hs_face_upkeep_erased(struct hs_face_upkeep *upkeep)
{
    if (!upkeep)
        return;
    pthread_mutex_lock(&upkeep->lock);
    upkeep->erase_due_ns = hs_clock_now_ns();
    pthread_cond_broadcast(&upkeep->wake);
    pthread_mutex_unlock(&upkeep->lock);
}

void hs_face_upkeep_get_status(struct hs_face_upkeep *upkeep, struct hs_face_upkeep_status *ret_status)
{
    pthread_mutex_lock(&upkeep->lock);
    *ret_status = upkeep->status;
    pthread_mutex_unlock(&upkeep->lock);
}
