/* Deleting backups and damaged files that were set aside. */
#include "base/str.h"
#include "gallery/backup.h"
#include "gallery/files.h"

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
    hs_gallery_clean_up(gallery);
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
