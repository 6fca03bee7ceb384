#include "models/file_install.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { BLOCK_SIZE = 64 << 10, MAX_ENTRIES = 100000 };

/* Reads the next bytes, at most `size`. Returns their number, 0 at the end, or HS_E… with *err set. */
typedef long (*read_fn)(void *arg, uint8_t *block, size_t size, struct hs_error *err);

static int write_error(const char *to, struct hs_error *err)
{
    return hs_error_set(err, HS_EIO, "cannot write %s: %s", to, errno == ENOSPC ? "the disk is full" : strerror(errno));
}

/* Writes the data that `read` returns to `to`, at most max_bytes, and syncs it. Deletes the file on
 * failure. */
static int write_all(const char *to, uint64_t max_bytes, const char *too_large, read_fn read, void *arg,
                     struct hs_error *err)
{
    static _Thread_local uint8_t block[BLOCK_SIZE];
    uint64_t total = 0;
    long n = 0;
    int r = 0, fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return write_error(to, err);
    while (r == 0 && (n = read(arg, block, sizeof(block), err)) > 0) {
        total += (uint64_t) n;
        if (total > max_bytes)
            r = hs_error_set(err, HS_ETOOLARGE, "%s", too_large);
        else if (hs_file_write_all(fd, block, (size_t) n) < 0)
            r = write_error(to, err);
    }
    if (n < 0)
        r = (int) n;
    if (r == 0 && fsync(fd) < 0)
        r = write_error(to, err);
    if (close(fd) < 0 && r == 0)
        r = write_error(to, err);
    if (r < 0)
        unlink(to);
    return r;
}

static long read_block(void *arg, uint8_t *block, size_t size, struct hs_error *err)
{
    ssize_t n;
    do
        n = read(*(int *) arg, block, size);
    while (n < 0 && errno == EINTR);
    return n < 0 ? hs_error_set(err, HS_EIO, "cannot read the file: %s", strerror(errno)) : n;
}

int hs_install_copy(const char *from, const char *to, uint64_t max_bytes, struct hs_error *err)
{
    struct stat st;
    int r, in = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (in < 0)
        return hs_error_set(err, errno == ENOENT ? HS_ENOTFOUND : HS_EIO, "cannot read %s: %s", from, strerror(errno));
    if (fstat(in, &st) < 0 || !S_ISREG(st.st_mode))
        r = hs_error_set(err, HS_EIO, "%s is not a regular file", from);
    else
        r = write_all(to, max_bytes, "the file is too large", read_block, &in, err);
    close(in);
    return r;
}

int hs_install_move(const char *from, const char *to, struct hs_error *err)
{
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    int failed = fd < 0 || fsync(fd) < 0;
    if (fd >= 0)
        close(fd);
    return failed || rename(from, to) < 0 ? write_error(to, err) : 0;
}

/* ---- archives ---- */

/* Limit for the unpacked size of all entries, so that a small archive cannot keep the reader busy
 * for hours. */
static const int64_t unpacked_max = INT64_C(16) << 30;

static int archive_error(struct archive *in, struct hs_error *err)
{
    const char *why = archive_error_string(in);
    return hs_error_set(err, HS_EMODEL, "cannot read the archive: %s", why ? why : "damaged");
}

struct member {
    struct archive *in;
    struct archive_entry *entry;
    uint64_t total;
};

static long read_member(void *arg, uint8_t *block, size_t size, struct hs_error *err)
{
    struct member *member = arg;
    la_ssize_t n = archive_read_data(member->in, block, size);
    if (n < 0)
        return archive_error(member->in, err);
    member->total += (uint64_t) n;
    /* libarchive accepts a stored zip member with fewer bytes than its header specifies. */
    if (n == 0 && archive_entry_size_is_set(member->entry) &&
        member->total != (uint64_t) archive_entry_size(member->entry))
        return hs_error_set(err, HS_EMODEL, "cannot read the archive: the member is truncated");
    return (long) n;
}

static int find_member(struct archive *in, const char *member, struct archive_entry **ret_entry, struct hs_error *err)
{
    for (int i = 0; i < MAX_ENTRIES; i++) {
        int got = archive_read_next_header(in, ret_entry);
        if (got == ARCHIVE_EOF)
            return hs_error_set(err, HS_ENOTFOUND, "the archive has no member %s", member);
        if (got != ARCHIVE_OK && got != ARCHIVE_WARN)
            return archive_error(in, err);
        const char *name = archive_entry_pathname(*ret_entry);
        if (name && strcmp(name, member) == 0)
            return 0;
        int64_t size = archive_entry_size(*ret_entry);
        if (size < 0 || size > unpacked_max || archive_filter_bytes(in, 0) > unpacked_max - size)
            break;
    }
    return hs_error_set(err, HS_ETOOLARGE, "the archive has too many or too large members before %s", member);
}

int hs_install_member(const char *archive, const char *member, const char *to, uint64_t max_bytes, struct hs_error *err)
{
    struct archive *in = archive_read_new();
    if (!in)
        return hs_error_set(err, HS_ENOMEM, "out of memory");
    archive_read_support_format_zip(in);
    archive_read_support_format_tar(in);
    archive_read_support_filter_gzip(in);
    static const char too_large[] = "the member of the archive is too large";
    struct archive_entry *entry;
    int r = 0;
    if (!hs_file_exists(archive))
        r = hs_error_set(err, HS_ENOTFOUND, "%s does not exist", archive);
    else if (archive_read_open_filename(in, archive, BLOCK_SIZE) != ARCHIVE_OK)
        r = archive_error(in, err);
    if (r == 0)
        r = find_member(in, member, &entry, err);
    if (r == 0 && (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry)))
        r = hs_error_set(err, HS_EMODEL, "the member of the archive is not a regular file");
    if (r == 0 && archive_entry_size_is_set(entry) && (uint64_t) archive_entry_size(entry) > max_bytes)
        r = hs_error_set(err, HS_ETOOLARGE, "%s", too_large);
    if (r == 0)
        r = write_all(to, max_bytes, too_large, read_member, &(struct member) { in, entry, 0 }, err);
    archive_read_free(in);
    return r;
}
