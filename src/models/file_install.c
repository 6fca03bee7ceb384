#include "models/file_install.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK_SIZE = 64 << 10 };

static int write_block(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno != EINTR)
            return -1;
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t) n : 0;
    }
    return 0;
}

static int copy_bytes(int in, int out, const char *to, uint64_t max_bytes, struct hs_error *err)
{
    static _Thread_local uint8_t block[BLOCK_SIZE];
    uint64_t total = 0;
    for (;;) {
        ssize_t n = read(in, block, sizeof(block));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return hs_error_set(err, HS_EIO, "cannot read: %s", strerror(errno));
        if (n == 0)
            break;
        total += (uint64_t) n;
        if (total > max_bytes)
            return hs_error_set(err, HS_ETOOLARGE, "the file is too large");
        if (write_block(out, block, (size_t) n) < 0)
            return hs_error_set(err, HS_EIO, "cannot write %s: %s", to,
                                errno == ENOSPC ? "the disk is full" : strerror(errno));
    }
    return fsync(out) < 0 ? hs_error_set(err, HS_EIO, "cannot write %s: %s", to, strerror(errno)) : 0;
}

int hs_install_copy(const char *from, const char *to, uint64_t max_bytes, struct hs_error *err)
{
    struct stat st;
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (in < 0)
        return hs_error_set(err, errno == ENOENT ? HS_ENOTFOUND : HS_EIO, "cannot read %s: %s", from, strerror(errno));
    if (fstat(in, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(in);
        return hs_error_set(err, HS_EIO, "%s is no regular file", from);
    }
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (out < 0) {
        int status = hs_error_set(err, HS_EIO, "cannot write %s: %s", to, strerror(errno));
        close(in);
        return status;
    }
    int status = copy_bytes(in, out, to, max_bytes, err);
    close(in);
    if (close(out) < 0 && status == 0)
        status = hs_error_set(err, HS_EIO, "cannot write %s: %s", to, strerror(errno));
    if (status < 0)
        unlink(to);
    return status;
}

int hs_install_move(const char *from, const char *to, struct hs_error *err)
{
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    int failed = fd < 0 || fsync(fd) < 0;
    if (fd >= 0)
        close(fd);
    if (failed || rename(from, to) < 0)
        return hs_error_set(err, HS_EIO, "cannot write %s: %s", to,
                            errno == ENOSPC ? "the disk is full" : strerror(errno));
    return 0;
}
