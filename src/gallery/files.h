/* The files beside a gallery: backups and damaged databases that were set aside, by their names; the lock; compression.
 */
#ifndef HS_GALLERY_FILES_H
#define HS_GALLERY_FILES_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "gallery/gallery.h"

/* Appended to the name of a file that SQLite holds: its log, the log's index, the journal. */
#define HS_GALLERY_SIDE_FILES                                                                                          \
    {                                                                                                                  \
        "-wal", "-shm", "-journal"                                                                                     \
    }

/* "YYYYMMDD-HHMMSS" of now, as the names have it. */
enum { HS_GALLERY_STAMP_SIZE = 16 };
void hs_gallery_stamp(char ret_stamp[HS_GALLERY_STAMP_SIZE]);

/* One process (or thread) at a time opens, backs up or restores the galleries of a folder: waits for the lock of the
 * folder of `path`. hs_gallery_unlock takes what this returns, also -1 (where the file system has no locks). */
int hs_gallery_lock_folder(const char *path);
void hs_gallery_unlock_folder(int fd);

/* Makes a new empty file, mode 0600, of a name that begins with prefix. */
int hs_gallery_temporary(const char *prefix, char ret_path[PATH_MAX], struct hs_error *err);

/* Deletes a database and what SQLite keeps beside it. */
void hs_gallery_delete_database(const char *path);

/* Deletes what an interrupted backup or restore left: files in the folder of prefix whose name begins like it. Only
 * with the folder locked. */
void hs_gallery_delete_leftovers(const char *prefix);

/* Renames from to "<base>[-n]<suffix>", the first that is free, without ever replacing a file. */
int hs_gallery_rename_free(const char *from, const char *base, const char *suffix, char ret_path[PATH_MAX],
                           struct hs_error *err);

int hs_gallery_compress(const char *from, const char *to, struct hs_error *err);   /* to exists, and is synced */
int hs_gallery_uncompress(const char *from, const char *to, struct hs_error *err); /* the same; checks the sum */

/* Backups in a folder (NULL: none) and set-aside files of the database at path, newest first. */
int hs_gallery_find_files(const char *backup_dir, const char *path, struct hs_gallery_backups **ret_files,
                          struct hs_error *err);

/* Deletes a backup, or a set-aside file and its log. */
int hs_gallery_delete_file(const struct hs_gallery_backup *file, struct hs_error *err);

/* Makes renames in the folder of path durable. */
void hs_gallery_sync_folder(const char *path);

#endif
