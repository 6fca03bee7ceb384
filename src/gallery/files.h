/* The files beside a gallery: backups and damaged databases that were set aside, by their names; the lock; compression.
 */
#ifndef HS_GALLERY_FILES_H
#define HS_GALLERY_FILES_H

#include <limits.h>

#include "gallery/gallery_internal.h"

/* "YYYYMMDD-HHMMSS" of now, as the names have it. */
enum { HS_GALLERY_STAMP_SIZE = 16 };
void hs_gallery_stamp(char ret_stamp[HS_GALLERY_STAMP_SIZE]);

/* Turns errno into an error that names the file: HS_ENOMEM, HS_ENOTFOUND, HS_EIO. */
int hs_gallery_file_error(const char *path, struct hs_error *err);

/* One process (or thread) at a time opens, backs up or restores the galleries of a folder: waits for the lock of the
 * folder of `path`. hs_gallery_unlock_folder takes *ret_lock, or -1. HS_EIO: the file system has no locks. */
int hs_gallery_lock_folder(const char *path, int *ret_lock, struct hs_error *err);
void hs_gallery_unlock_folder(int lock);

/* Makes a new empty file, mode 0600; of the second the name ends in XXXXXX, which is replaced. */
int hs_gallery_make_file(const char *path, struct hs_error *err);
int hs_gallery_temporary(char path[PATH_MAX], struct hs_error *err);

/* Deletes a database and what SQLite keeps beside it. */
void hs_gallery_delete_database(const char *path);

/* Compresses a database of which `change` was the last change (negative: not known) to a file that exists. */
int hs_gallery_compress(const char *from, const char *to, int64_t change, struct hs_error *err);

/* The number of the last change that a backup has; -1: it does not say. */
int64_t hs_gallery_backup_change(const char *path);

/* The other way round; also takes a database that is not compressed. HS_EDECODE: not a regular file, no database,
 * damaged, or longer than it says; HS_ETOOLARGE; HS_EIO: also if the disk has no room for it twice. */
#define HS_GALLERY_UNPACKED_MAX (UINT64_C(16) << 30)
int hs_gallery_uncompress(const char *from, const char *to, struct hs_error *err);

/* The name that the next backup gets. Of a backup that is being made, these files are in the backup folder:
 * ".<name>.copy" and ".<name>.part". */
enum { HS_GALLERY_BACKUP_NAME_SIZE = 80 };
int hs_gallery_next_backup(const struct hs_gallery *gallery, char ret_name[HS_GALLERY_BACKUP_NAME_SIZE],
                           struct hs_error *err);

/* Backups and set-aside files of this gallery, as hs_gallery_list_backups gives them; with `unfinished` also backups
 * that are being made. */
int hs_gallery_find_files(const struct hs_gallery *gallery, bool unfinished, struct hs_gallery_backups **ret_files,
                          struct hs_error *err);

/* Sets gallery->uid to that of a damaged database, if one of the galleries with files in the backup folder has it. */
void hs_gallery_find_uid(struct hs_gallery *gallery, const char *damaged);

/* Deletes a backup, or a set-aside file and its log. */
int hs_gallery_delete_file(const struct hs_gallery_backup *file, struct hs_error *err);

/* Makes renames in the folder of path durable. */
void hs_gallery_sync_folder(const char *path);

/* ---- copies of a database, and databases from copies: the folder of the database must be locked ---- */

/* The body of hs_gallery_backup. */
int hs_gallery_backup_locked(struct hs_gallery *gallery, char ret_path[PATH_MAX], struct hs_error *err);

/* Unpacks a backup beside the database and checks that it is whole and one of ours. The caller deletes or renames it.
 */
int hs_gallery_unpack(const struct hs_gallery *gallery, const char *backup, char ret_path[PATH_MAX],
                      struct hs_error *err);

/* Puts the newest good backup in the place of the database, which is now the damaged file set_aside.
 * HS_ENOTFOUND: there is none. */
int hs_gallery_restore_newest(struct hs_gallery *gallery, const char *set_aside, char ret_backup[PATH_MAX],
                              struct hs_error *err);

/* Deletes what interrupted calls of the above left behind. */
void hs_gallery_clean_up(const struct hs_gallery *gallery);

#endif
