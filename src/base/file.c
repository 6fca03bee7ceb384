#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

/* `action` is "read" or "write". */
static int open_error(const char *action, const char *path, struct hs_error *err)
{
    int code = errno == ENOENT || errno == ENOTDIR ? HS_ENOTFOUND : HS_EIO;
    return hs_error_set(err, code, "cannot %s %s: %s", action, path, strerror(errno));
}

/* Reads up to `len` bytes or to the end of the file. Returns the count, or -1 with errno. */
static ssize_t read_full(int fd, uint8_t *data, size_t len)
{
    size_t at = 0;
    while (at < len) {
        ssize_t n = read(fd, data + at, len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        at += (size_t) n;
    }
    return (ssize_t) at;
}

/* Without O_NONBLOCK, open() would block on a pipe without a writer. */
int hs_file_open(const char *path, int *ret_fd, struct hs_error *err)
{
    struct stat st;
    int r = 0, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0)
        r = open_error("read", path, err);
    else if (!S_ISREG(st.st_mode))
        r = hs_error_set(err, HS_EIO, "%s is not a regular file", path);
    if (r == 0)
        *ret_fd = fd;
    else if (fd >= 0)
        close(fd);
    return r;
}

int hs_file_read(const char *path, size_t max, uint8_t **ret_data, size_t *ret_len, struct hs_error *err)
{
    uint8_t *data = NULL;
    struct stat st;
    ssize_t n = 0;
    int fd, r = hs_file_open(path, &fd, err);
    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        r = open_error("read", path, err);
    else if ((uint64_t) st.st_size > max)
        r = hs_error_set(err, HS_ETOOLARGE, "%s is too large: %lld bytes, the limit is %zu", path,
                         (long long) st.st_size, max);
    else if (!(data = malloc((size_t) st.st_size + 1)))
        r = hs_error_set(err, HS_ENOMEM, "%s: no memory for %lld bytes", path, (long long) st.st_size);
    else if ((n = read_full(fd, data, (size_t) st.st_size)) < 0)
        r = open_error("read", path, err);
    close(fd);
    if (r < 0) {
        free(data);
        return r;
    }
    data[n] = '\0';
    *ret_data = data;
    *ret_len = (size_t) n;
    return 0;
}

int hs_file_write_all(int fd, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        p += n;
        len -= (size_t) n;
    }
    return 0;
}

int hs_file_lock(int fd, bool wait)
{
    while (flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB)) < 0) {
        if (errno != EINTR)
            return errno == EWOULDBLOCK ? HS_EBUSY : HS_EIO;
    }
    return 0;
}

/* Makes a rename in the folder of `path` durable. Errors are ignored, because not every file system supports this. */
static void sync_parent(const char *path)
{
    char parent[PATH_MAX];
    int fd = hs_path_parent(parent, sizeof(parent), path) ? open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

int hs_file_give_to_owner(int fd, const char *path)
{
    char parent[PATH_MAX];
    struct stat st;
    if (geteuid() != 0 || !hs_path_parent(parent, sizeof(parent), path))
        return 0;
    return stat(parent, &st) < 0 || (st.st_uid != 0 && fchown(fd, st.st_uid, st.st_gid) < 0) ? -1 : 0;
}

int hs_atomic_file_begin(struct hs_atomic_file *file, const char *path, struct hs_error *err)
{
    struct stat st;
    file->path = path;
    if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return hs_error_set(err, HS_EIO, "cannot replace %s: it is not a regular file", path);
    if (!hs_str_format(file->temporary, sizeof(file->temporary), "%s.XXXXXX", path))
        return hs_error_set(err, HS_EINVAL, "the path is too long: %s", path);
    file->fd = mkostemp(file->temporary, O_CLOEXEC);
    return file->fd < 0 ? open_error("write", path, err) : 0;
}

int hs_atomic_file_commit(struct hs_atomic_file *file, int mode, struct hs_error *err)
{
    int reason = fchmod(file->fd, (mode_t) mode) < 0 || fsync(file->fd) < 0 ? errno : 0;
    if (close(file->fd) < 0 && !reason)
        reason = errno;
    if (!reason && rename(file->temporary, file->path) < 0)
        reason = errno;
    if (reason) {
        unlink(file->temporary);
        return hs_error_set(err, HS_EIO, "cannot write %s: %s", file->path, strerror(reason));
    }
    sync_parent(file->path);
    return 0;
}

void hs_atomic_file_abort(struct hs_atomic_file *file)
{
    close(file->fd);
    unlink(file->temporary);
}

int hs_file_write_atomic(const char *path, const void *data, size_t len, int mode, struct hs_error *err)
{
    struct hs_atomic_file file;
    int r = hs_atomic_file_begin(&file, path, err);
    if (r < 0)
        return r;
    if (hs_file_write_all(file.fd, data, len) < 0) {
        r = hs_error_set(err, HS_EIO, "cannot write %s: %s", path, strerror(errno));
        hs_atomic_file_abort(&file);
        return r;
    }
    return hs_atomic_file_commit(&file, mode, err);
}

int hs_dir_make(const char *path, struct hs_error *err)
{
    char partial[PATH_MAX];
    if (!hs_str_copy(partial, sizeof(partial), path))
        return hs_error_set(err, HS_EINVAL, "the path is too long: %s", path);
    for (char *slash = partial + 1; *partial; slash++) {
        char c = *slash;
        if (c != '/' && c != '\0')
            continue;
        *slash = '\0';
        struct stat st;
        if (mkdir(partial, 0755) < 0 && (errno != EEXIST || stat(partial, &st) < 0 || !S_ISDIR(st.st_mode)))
            return hs_error_set(err, HS_EIO, "cannot create the folder %s: %s", partial, strerror(errno));
        *slash = c;
        if (c == '\0')
            break;
    }
    return 0;
}

int hs_dir_make_parent(const char *path, struct hs_error *err)
{
    char parent[PATH_MAX];
    if (!hs_path_parent(parent, sizeof(parent), path))
        return hs_error_set(err, HS_EINVAL, "the path is too long: %s", path);
    return hs_dir_make(parent, err);
}

bool hs_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool hs_path_join(char *dst, size_t size, const char *dir, const char *name)
{
    return hs_str_format(dst, size, "%s%s%s", dir, hs_str_ends(dir, "/") ? "" : "/", name);
}

bool hs_path_parent(char *dst, size_t size, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return hs_str_copy(dst, size, ".");
    return hs_str_copy_n(dst, size, path, slash == path ? 1 : (size_t) (slash - path));
}

bool hs_path_absolute(char *dst, size_t size, const char *path)
{
    char folder[PATH_MAX];
    if (path[0] == '/')
        return hs_str_copy(dst, size, path);
    return getcwd(folder, sizeof(folder)) && folder[0] == '/' && hs_path_join(dst, size, folder, path);
}

bool hs_path_of_program(char *dst, size_t size, const char *name)
{
    char program[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);
    if (len <= 0)
        return false;
    program[len] = '\0';
    *strrchr(program, '/') = '\0';
    for (char *slash; hs_str_starts(name, "../") && (slash = strrchr(program, '/')); name += 3)
        *slash = '\0';
    return hs_path_join(dst, size, program, name);
}

const char *hs_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

void hs_sha256(const void *data, size_t len, char ret_hex[65])
{
    uint8_t digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(digest, data, len);
    sodium_bin2hex(ret_hex, 65, digest, sizeof(digest));
}

int hs_file_sha256(const char *path, char ret_hex[65], struct hs_error *err)
{
    int fd, r = hs_file_open(path, &fd, err);
    if (r < 0)
        return r;
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    uint8_t piece[65536], digest[crypto_hash_sha256_BYTES];
    ssize_t n;
    while ((n = read_full(fd, piece, sizeof(piece))) > 0)
        crypto_hash_sha256_update(&state, piece, (unsigned long long) n);
    r = n < 0 ? open_error("read", path, err) : 0;
    close(fd);
    if (r == 0) {
        crypto_hash_sha256_final(&state, digest);
        sodium_bin2hex(ret_hex, 65, digest, sizeof(digest));
    }
    return r;
}
