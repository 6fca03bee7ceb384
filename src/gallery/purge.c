/* Deleting backups and damaged files that were set aside. */
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "gallery/backup.h"
#include "gallery/files.h"

static void time_text(int64_t at_s, char ret_time[HS_GALLERY_TIME_SIZE])
{
    time_t at = (time_t) at_s;
    struct tm tm;
    if (!gmtime_r(&at, &tm) || strftime(ret_time, HS_GALLERY_TIME_SIZE, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        hs_str_copy(ret_time, HS_GALLERY_TIME_SIZE, at_s < 0 ? "" : "9999-99-99");
}

int hs_gallery_purge(struct hs_gallery *gallery, int64_t older_than_s, size_t *ret_count, struct hs_error *err)
{
    char limit[HS_GALLERY_TIME_SIZE];
    time_text(older_than_s, limit);
    struct hs_gallery_backups *files = NULL;
    size_t count = 0;
    int lock, r = hs_gallery_lock_folder(gallery->path, &lock, err);
    if (r < 0)
        return r;
    r = hs_gallery_find_files(gallery, false, &files, err);
    for (size_t i = 0; r == 0 && i < files->count; i++) {
        if (strcmp(files->items[i].created_at, limit) >= 0)
            continue;
        r = hs_gallery_delete_file(&files->items[i], err);
        count += r == 0;
    }
    if (r == 0 && ret_count)
        *ret_count = count;
    hs_gallery_backups_destroy(files);
    hs_gallery_unlock_folder(lock);
    return r;
}

static bool has_backup(const struct hs_gallery_backups *files)
{
    for (size_t i = 0; i < files->count; i++)
        if (!files->items[i].set_aside)
            return true;
    return false;
}

int hs_gallery_purge_all(struct hs_gallery *gallery, char ret_backup[PATH_MAX], struct hs_gallery_backups **ret_purged,
                         struct hs_error *err)
{
    char backup[PATH_MAX] = "";
    struct hs_gallery_backups *files = NULL;
    /* A backup that was begun before an erasure is finished when the folder's lock is ours, and then it is found. */
    int lock, r = hs_gallery_lock_folder(gallery->path, &lock, err);
    if (r < 0)
        return r;
    r = hs_gallery_finish_erasing(gallery, err);
    if (r == 0)
        r = hs_gallery_find_files(gallery, false, &files, err);
    if (r == 0 && has_backup(files))
        r = hs_gallery_backup_locked(gallery, backup, err);
    for (size_t i = 0; r == 0 && i < files->count; i++)
        r = hs_gallery_delete_file(&files->items[i], err);
    hs_gallery_unlock_folder(lock);
    if (r < 0) {
        hs_gallery_backups_destroy(files);
        return r;
    }
    hs_str_copy(ret_backup, PATH_MAX, backup);
    *ret_purged = files;
    return 0;
}
