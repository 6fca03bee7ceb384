#include "models/file_install.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { BLOCK_SIZE = 64 << 10 };

static int write_error(const char *to, struct hs_error *err)
{
    return hs_error_set(err, HS_EIO, "cannot write %s: %s", to, errno == ENOSPC ? "the disk is full" : strerror(errno));
}

int hs_install_write(const char *to, uint64_t max_bytes, const char *too_large, hs_install_read read, void *arg,
                     struct hs_error *err)
{
    static _Thread_local uint8_t block[BLOCK_SIZE];
    uint64_t total = 0;
    long n = 0;
    int status = 0, fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return write_error(to, err);
    while (status == 0 && (n = read(arg, block, sizeof(block), err)) > 0) {
        total += (uint64_t) n;
        if (total > max_bytes)
            status = hs_error_set(err, HS_ETOOLARGE, "%s", too_large);
        else if (hs_file_write_all(fd, block, (size_t) n) < 0)
            status = write_error(to, err);
    }
    if (n < 0)
        status = (int) n;
    if (status == 0 && fsync(fd) < 0)
        status = write_error(to, err);
    if (close(fd) < 0 && status == 0)
        status = write_error(to, err);
    if (status < 0)
        unlink(to);
    return status;
}

static long read_block(void *arg, uint8_t *block, size_t size, struct hs_error *err)
{
    ssize_t n;
    do
        n = read(*(int *) arg, block, size);
    while (n < 0 && errno == EINTR);
    return n < 0 ? hs_error_set(err, HS_EIO, "cannot read: %s", strerror(errno)) : n;
}

int hs_install_copy(const char *from, const char *to, uint64_t max_bytes, struct hs_error *err)
{
    struct stat st;
    int status, in = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (in < 0)
        return hs_error_set(err, errno == ENOENT ? HS_ENOTFOUND : HS_EIO, "cannot read %s: %s", from, strerror(errno));
    if (fstat(in, &st) < 0 || !S_ISREG(st.st_mode))
        status = hs_error_set(err, HS_EIO, "%s is no regular file", from);
    else
        status = hs_install_write(to, max_bytes, "the file is too large", read_block, &in, err);
    close(in);
    return status;
}

int hs_install_move(const char *from, const char *to, struct hs_error *err)
{
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    int failed = fd < 0 || fsync(fd) < 0;
    if (fd >= 0)
        close(fd);
    return failed || rename(from, to) < 0 ? write_error(to, err) : 0;
}
