/* Files beside a gallery: names of backups and of damaged databases that were set aside, the folder
 * lock, compression. */
#ifndef HS_GALLERY_FILES_H
#define HS_GALLERY_FILES_H

#include <limits.h>

#include "gallery/gallery_internal.h"

/* Writes the current time as "YYYYMMDD-HHMMSS", the form used in file names. */
enum { HS_GALLERY_STAMP_SIZE = 16 };
void hs_gallery_stamp(char ret_stamp[HS_GALLERY_STAMP_SIZE]);

/* Converts errno into an error that names the file: HS_ENOMEM, HS_ENOTFOUND, HS_EIO. */
int hs_gallery_file_error(const char *path, struct hs_error *err);

/* Locks the folder of `path`, so that one thread or process at a time opens, backs up or restores
 * galleries there; waits for the lock. hs_gallery_unlock_folder takes *ret_lock, or -1. HS_EIO: the
 * file system does not support locks. */
int hs_gallery_lock_folder(const char *path, int *ret_lock, struct hs_error *err);
void hs_gallery_unlock_folder(int lock);

/* Both create an empty file with mode 0600. hs_gallery_make_file fails if the file exists; the path
 * for hs_gallery_make_temp_file ends in XXXXXX, which it replaces. */
int hs_gallery_make_file(const char *path, struct hs_error *err);
int hs_gallery_make_temp_file(char path[PATH_MAX], struct hs_error *err);

/* Takes the permissions of group and others from a regular file of this user, or if root runs this of any user. Returns
 * true if it had some. */
bool hs_gallery_tighten(const char *path);

/* Deletes a database with its log, log index and journal. */
void hs_gallery_delete_database(const char *path);

/* Compresses a database into an existing file. `change` is the number of its last change (negative:
 * not known). */
int hs_gallery_compress(const char *from, const char *to, int64_t change, struct hs_error *err);

/* Returns the number of the last change in a backup; -1: not recorded. */
int64_t hs_gallery_backup_change(const char *path);

/* Decompresses a backup; also accepts an uncompressed database. HS_EDECODE: not a regular file, not
 * a database, damaged, or longer than its header specifies; HS_ETOOLARGE; HS_EIO: also if the disk
 * lacks room for two copies. */
#define HS_GALLERY_UNPACKED_MAX (UINT64_C(16) << 30)
int hs_gallery_uncompress(const char *from, const char *to, struct hs_error *err);

/* Returns the name of the next backup. While that backup is made, the backup folder holds
 * ".<name>.copy" and ".<name>.part". */
enum { HS_GALLERY_BACKUP_NAME_SIZE = 80 };
int hs_gallery_next_backup(const struct hs_gallery *gallery, char ret_name[HS_GALLERY_BACKUP_NAME_SIZE],
                           struct hs_error *err);

/* Lists the backups and set-aside files of this gallery, as hs_gallery_list_backups does; with
 * `unfinished` also backups in progress. */
int hs_gallery_find_files(const struct hs_gallery *gallery, bool unfinished, struct hs_gallery_backups **ret_files,
                          struct hs_error *err);

/* Sets gallery->uid to that of a damaged database, if files of that gallery are in the backup folder. */
void hs_gallery_find_uid(struct hs_gallery *gallery, const char *damaged);

/* Deletes a backup, or a set-aside file with its log. */
int hs_gallery_delete_file(const struct hs_gallery_backup *file, struct hs_error *err);

/* Syncs the folder of `path`, so that renames in it are durable. */
void hs_gallery_sync_folder(const char *path);

/* ---- copying and restoring a database; the caller holds the lock of its folder ---- */

/* Does the work of hs_gallery_backup. */
int hs_gallery_backup_locked(struct hs_gallery *gallery, char ret_path[PATH_MAX], struct hs_error *err);

/* Unpacks a backup beside the database and checks that it is intact and one of ours. The caller
 * deletes or renames it. */
int hs_gallery_unpack(const struct hs_gallery *gallery, const char *backup, char ret_path[PATH_MAX],
                      struct hs_error *err);

/* Writes the path of a backup: `backup` itself, or if it has no folder a file in the backup folder. HS_EINVAL: too
 * long. */
int hs_gallery_path_of_backup(const struct hs_gallery *gallery, const char *backup, char ret_path[PATH_MAX],
                              struct hs_error *err);

/* Records until the next purge that backups hold people who expired or were forgotten. The call that finds a record
 * changes nothing. */
int hs_gallery_request_purge(const struct hs_gallery *gallery, struct hs_error *err);
void hs_gallery_cancel_purge(const struct hs_gallery *gallery);

/* Unpacks the newest good backup beside the database, which is damaged. HS_ENOTFOUND: no good backup exists; HS_EKEY:
 * the newest one needs another key. */
int hs_gallery_unpack_newest(struct hs_gallery *gallery, char ret_unpacked[PATH_MAX], char ret_backup[PATH_MAX],
                             struct hs_error *err);

/* Deletes files that interrupted calls of these functions left behind. */
void hs_gallery_clean_up(const struct hs_gallery *gallery);

#endif
