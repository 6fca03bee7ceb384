/* Files and folders. */
#ifndef HS_BASE_FILE_H
#define HS_BASE_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

/* Opens a regular file for reading. A pipe, a device or a folder is refused at once: HS_EIO. HS_ENOTFOUND.
 * The caller closes *ret_fd. */
int hs_file_open(const char *path, int *ret_fd, struct hs_error *err);

/* Reads a whole regular file of at most max bytes. The result has a NUL byte after its end that does not count.
 * Caller frees *ret_data with free(). HS_ENOTFOUND, HS_ETOOLARGE, HS_EIO. */
int hs_file_read(const char *path, size_t max, uint8_t **ret_data, size_t *ret_len, struct hs_error *err);

/* A file that is written beside its path and then takes its place. Readers see the old file or the new one only. */
struct hs_file_draft {
    int fd; /* to write to; the draft's */
    const char *path;
    char temporary[PATH_MAX];
};

/* Makes the draft, mode 0600; `path` is borrowed. HS_EIO: there is something at path that is not a regular file (a
 * link, a device, a pipe, a folder), which is never replaced. On success the caller ends it with one of the others. */
int hs_file_draft_begin(struct hs_file_draft *draft, const char *path, struct hs_error *err);
int hs_file_draft_commit(struct hs_file_draft *draft, int mode, struct hs_error *err); /* syncs it, renames it */
void hs_file_draft_drop(struct hs_file_draft *draft);                                  /* nothing is changed */

/* Writes data to a draft and commits it. */
int hs_file_write_atomic(const char *path, const void *data, size_t len, int mode, struct hs_error *err);

/* If this is root and the folder of `path` belongs to another user, gives the open file or folder to that user: a
 * service must be able to use what its administrator made. 0, or -1 with errno. */
int hs_file_give_to_owner(int fd, const char *path);

/* write() until all is written, also after signals. 0, or -1 with errno. */
int hs_file_write_all(int fd, const void *data, size_t len);

/* Locks an open file or folder against other programs (flock) until it is closed. HS_EBUSY: another one holds it and
 * `wait` is false; HS_EIO with errno. */
int hs_file_lock(int fd, bool wait);

/* Makes a folder and its parents (mode 0755 minus umask); one that exists is fine. */
int hs_dir_make(const char *path, struct hs_error *err);
int hs_dir_make_parent(const char *path, struct hs_error *err); /* the folder that path is in */

bool hs_file_exists(const char *path);

/* "dir/name" into dst; false if it does not fit. */
bool hs_path_join(char *dst, size_t size, const char *dir, const char *name);
bool hs_path_parent(char *dst, size_t size, const char *path); /* "dir" of "dir/name", "." of "name", "/" of "/name" */
/* `path`, behind the current folder if it is relative. False: no room, or that folder is gone. */
bool hs_path_absolute(char *dst, size_t size, const char *path);
/* `name`, which may begin with "../", in the folder of the running program. False: that is not known, or no room. */
bool hs_path_of_program(char *dst, size_t size, const char *name);
const char *hs_path_base(const char *path); /* what follows the last '/', inside path */

/* SHA-256 of bytes as 64 hexadecimal digits and a NUL. */
void hs_sha256(const void *data, size_t len, char ret_hex[65]);

/* SHA-256 of a file as 64 hexadecimal digits and a NUL, read in pieces. */
int hs_file_sha256(const char *path, char ret_hex[65], struct hs_error *err);

#endif
