/* Files and folders. */
#ifndef HS_BASE_FILE_H
#define HS_BASE_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

/* Opens a regular file for reading. Fails at once with HS_EIO for a pipe, a device or a folder. HS_ENOTFOUND.
 * Caller closes *ret_fd. */
int hs_file_open(const char *path, int *ret_fd, struct hs_error *err);

/* Reads a whole regular file of at most max bytes. The result has a NUL byte after its end that does not count.
 * Caller frees *ret_data with free(). HS_ENOTFOUND, HS_ETOOLARGE, HS_EIO. */
int hs_file_read(const char *path, size_t max, uint8_t **ret_data, size_t *ret_len, struct hs_error *err);

/* A file that is written under a temporary name in the same folder and then renamed to `path`. Readers see either the
 * old file or the complete new one. */
struct hs_atomic_file {
    int fd; /* to write to; owned by the file */
    const char *path;
    char temporary[PATH_MAX];
};

/* Creates the file with mode 0600; borrows `path`. HS_EIO also if `path` exists and is not a regular file (a link, a
 * device, a pipe, a folder), because only regular files are replaced. After success the caller calls commit or abort.
 */
int hs_atomic_file_begin(struct hs_atomic_file *file, const char *path, struct hs_error *err);
int hs_atomic_file_commit(struct hs_atomic_file *file, int mode, struct hs_error *err); /* syncs and renames it */
void hs_atomic_file_abort(struct hs_atomic_file *file);                                 /* deletes it */

/* Replaces a file with `data` through struct hs_atomic_file. */
int hs_file_write_atomic(const char *path, const void *data, size_t len, int mode, struct hs_error *err);

/* If this process runs as root and the folder of `path` belongs to another user, changes the owner of the open file or
 * folder to that user, so that a service can use files that its administrator created. 0, or -1 with errno. */
int hs_file_give_to_owner(int fd, const char *path);

/* Calls write() until all bytes are written; retries after signals. 0, or -1 with errno. */
int hs_file_write_all(int fd, const void *data, size_t len);

/* Locks an open file or folder against other programs (flock) until it is closed. HS_EBUSY: another program holds the
 * lock and `wait` is false; HS_EIO with errno. */
int hs_file_lock(int fd, bool wait);

/* Makes a folder and its parents (mode 0755 minus umask); an existing folder is not an error. */
int hs_dir_make(const char *path, struct hs_error *err);
int hs_dir_make_parent(const char *path, struct hs_error *err); /* makes the folder that contains `path` */

bool hs_file_exists(const char *path);

/* Writes "dir/name" to dst; false if it does not fit. */
bool hs_path_join(char *dst, size_t size, const char *dir, const char *name);
bool hs_path_parent(char *dst, size_t size, const char *path); /* "dir" of "dir/name", "." of "name", "/" of "/name" */
/* Writes `path` as an absolute path. False if it does not fit or the current folder no longer exists. */
bool hs_path_absolute(char *dst, size_t size, const char *path);
/* Writes the path of `name`, which may begin with "../", relative to the folder of the running program. False if that
 * folder is unknown or the path does not fit. */
bool hs_path_of_program(char *dst, size_t size, const char *name);
const char *hs_path_base(const char *path); /* the part after the last '/', borrowed from path */

/* Writes the SHA-256 of bytes as 64 hexadecimal digits and a NUL. */
void hs_sha256(const void *data, size_t len, char ret_hex[65]);

/* Writes the SHA-256 of a file as 64 hexadecimal digits and a NUL. Reads the file in blocks. */
int hs_file_sha256(const char *path, char ret_hex[65], struct hs_error *err);

#endif
