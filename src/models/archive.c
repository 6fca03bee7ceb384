#include "models/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { MAX_ENTRIES = 100000, BLOCK_SIZE = 64 << 10 };

/* What all entries may unpack to, so that a small file cannot keep us busy for hours before its member comes. */
static const int64_t unpacked_max = INT64_C(16) << 30;

static int archive_error(struct archive *in, struct hs_error *err)
{
    const char *why = archive_error_string(in);
    return hs_error_set(err, HS_EMODEL, "the archive cannot be read: %s", why ? why : "damaged");
}

static int write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno != EINTR)
            return -errno;
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t) n : 0;
    }
    return 0;
}

static int copy_member(struct archive *in, struct archive_entry *entry, int fd, uint64_t max_bytes,
                       struct hs_error *err)
{
    static _Thread_local uint8_t block[BLOCK_SIZE];
    uint64_t total = 0;
    for (;;) {
        la_ssize_t n = archive_read_data(in, block, sizeof(block));
        if (n == 0)
            break;
        if (n < 0)
            return archive_error(in, err);
        total += (uint64_t) n;
        if (total > max_bytes)
            return hs_error_set(err, HS_ETOOLARGE, "the archive's member has more bytes than the file may have");
        int failed = write_all(fd, block, (size_t) n);
        if (failed < 0)
            return hs_error_set(err, HS_EIO, "cannot unpack: %s",
                                failed == -ENOSPC ? "the disk is full" : strerror(-failed));
    }
    /* libarchive is content with a stored member of a zip that has fewer bytes than its header says. */
    if (archive_entry_size_is_set(entry) && total != (uint64_t) archive_entry_size(entry))
        return hs_error_set(err, HS_EMODEL, "the archive cannot be read: its member is cut short");
    return 0;
}

static int write_member(struct archive *in, struct archive_entry *entry, const char *path, uint64_t max_bytes,
                        struct hs_error *err)
{
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry))
        return hs_error_set(err, HS_EMODEL, "the archive's member is no regular file");
    if (archive_entry_size_is_set(entry) && (uint64_t) archive_entry_size(entry) > max_bytes)
        return hs_error_set(err, HS_ETOOLARGE, "the archive's member has more bytes than the file may have");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return hs_error_set(err, HS_EIO, "cannot write %s: %s", path, strerror(errno));
    int status = copy_member(in, entry, fd, max_bytes, err);
    if (close(fd) < 0 && status == 0)
        status = hs_error_set(err, HS_EIO, "cannot write %s: %s", path, strerror(errno));
    if (status < 0)
        unlink(path);
    return status;
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

int hs_archive_take(const char *archive, const char *member, const char *path, uint64_t max_bytes, struct hs_error *err)
{
    struct archive *in = archive_read_new();
    if (!in)
        return hs_error_set(err, HS_ENOMEM, "out of memory");
    archive_read_support_format_zip(in);
    archive_read_support_format_tar(in);
    archive_read_support_filter_gzip(in);
    struct archive_entry *entry;
    int status = 0;
    if (!hs_file_exists(archive))
        status = hs_error_set(err, HS_ENOTFOUND, "there is no %s", archive);
    else if (archive_read_open_filename(in, archive, BLOCK_SIZE) != ARCHIVE_OK)
        status = archive_error(in, err);
    if (status == 0)
        status = find_member(in, member, &entry, err);
    if (status == 0)
        status = write_member(in, entry, path, max_bytes, err);
    archive_read_free(in);
    return status;
}
