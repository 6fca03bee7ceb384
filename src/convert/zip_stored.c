/* The end record locates the directory, and the directory locates the members; "4.3.x" below are
 * sections of PKWARE's APPNOTE.TXT. If two places in a zip file disagree, readers differ in which
 * one they use; attackers build files that look harmless to one reader and not to another.
 * Therefore, all duplicated information must agree, and no byte may belong to two members. Uses
 * pread, not mmap: if the file shrinks while it is read, that is an error and not a signal. */
#include "convert/zip_stored.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/str.h"

enum {
    END_SIZE = 22,     /* 4.3.16, followed by a comment of at most 65535 bytes */
    END64_SIZE = 56,   /* 4.3.14 */
    LOCATOR_SIZE = 20, /* 4.3.15 */
    ENTRY_SIZE = 46,   /* 4.3.12 */
    HEADER_SIZE = 30,  /* 4.3.7 */
    ZIP64_EXTRA = 1,   /* 4.5.3 */
    FLAG_ENCRYPTED = 1 | 1 << 6 | 1 << 13,
    FLAG_SIZES_LATER = 1 << 3,
    MAX_MEMBERS = 1 << 17, /* the largest checkpoints have some thousand */
    MAX_DIRECTORY = 32 << 20,
    NAME_IN_MESSAGES = 128,
    PIECE = 64 << 10,
};

struct hs_zip {
    int fd;
    uint64_t file_size;
    uint8_t *directory; /* contains the names */
    struct hs_zip_member *members;
    size_t count;
    struct hs_error *err; /* of the current call */
    int status;           /* its first failure */
};

/* Location of the directory. */
struct extent {
    uint64_t offset, size, count, end; /* end: offset of the record that follows it */
};

static uint16_t u16(const uint8_t *bytes)
{
    return (uint16_t) (bytes[0] | bytes[1] << 8);
}

static uint32_t u32(const uint8_t *bytes)
{
    return u16(bytes) | (uint32_t) u16(bytes + 2) << 16;
}

static uint64_t u64(const uint8_t *bytes)
{
    return u32(bytes) | (uint64_t) u32(bytes + 4) << 32;
}

static bool is_signature(const uint8_t *bytes, const char *signature)
{
    return !memcmp(bytes, signature, 4);
}

/* Keeps the first failure. */
#define FAIL(zip, code, ...)                                                                                           \
    ((zip)->status = (zip)->status < 0 ? (zip)->status : hs_error_set((zip)->err, code, __VA_ARGS__))
#define DAMAGED(zip, reason) FAIL(zip, HS_EMODEL, "damaged zip file: " reason)

static void *alloc(struct hs_zip *zip, size_t count, size_t size)
{
    void *memory = zip->status == 0 ? calloc(count ? count : 1, size) : NULL;
    if (!memory)
        FAIL(zip, HS_ENOMEM, "no memory for reading a zip file");
    return memory;
}

/* Returns false and leaves dst unchanged after any failure. */
static bool read_at(struct hs_zip *zip, uint64_t offset, void *dst, size_t len)
{
    uint8_t *bytes = dst;
    if (offset > zip->file_size || len > zip->file_size - offset)
        DAMAGED(zip, "unexpected end");
    while (zip->status == 0 && len > 0) {
        ssize_t n = pread(zip->fd, bytes, len, (off_t) offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            FAIL(zip, HS_EIO, "cannot read the zip file: %s", n < 0 ? strerror(errno) : "the file was truncated");
            break;
        }
        bytes += n;
        offset += (uint64_t) n;
        len -= (size_t) n;
    }
    return zip->status == 0;
}

/* Finds the end record whose comment reaches exactly to the end of the file, and returns its offset. */
static uint64_t find_end(struct hs_zip *zip, uint8_t end[END_SIZE])
{
    size_t len = zip->file_size < END_SIZE + UINT16_MAX ? (size_t) zip->file_size : END_SIZE + UINT16_MAX;
    uint8_t *tail = alloc(zip, len, 1);
    uint64_t offset = UINT64_MAX;
    if (tail && read_at(zip, zip->file_size - len, tail, len))
        for (size_t comment = 0; offset == UINT64_MAX && comment + END_SIZE <= len; comment++) {
            const uint8_t *at = tail + len - END_SIZE - comment;
            if (!is_signature(at, "PK\5\6") || u16(at + 20) != comment)
                continue;
            memcpy(end, at, END_SIZE);
            offset = zip->file_size - END_SIZE - comment;
        }
    free(tail);
    if (offset == UINT64_MAX)
        FAIL(zip, HS_EMODEL, "not a zip file, or a truncated one");
    return offset;
}

/* Compares a number of the end record with the zip64 record; the former may be all ones, which
 * means that it did not fit. */
static bool zip64_agrees(uint64_t narrow, uint64_t full, uint64_t wide)
{
    return narrow == wide || narrow == full;
}

static void read_end64(struct hs_zip *zip, const uint8_t end[END_SIZE], const uint8_t locator[LOCATOR_SIZE],
                       uint64_t locator_offset, struct extent *extent)
{
    uint8_t end64[END64_SIZE];
    uint64_t offset = u64(locator + 8);
    if (!read_at(zip, offset, end64, sizeof(end64)))
        return;
    if (!is_signature(end64, "PK\6\6") || offset > locator_offset || locator_offset - offset < END64_SIZE ||
        u64(end64 + 4) != locator_offset - offset - 12)
        DAMAGED(zip, "wrong position of the zip64 record");
    *extent = (struct extent) { u64(end64 + 48), u64(end64 + 40), u64(end64 + 32), offset };
    if (u32(locator + 4) != 0 || u32(locator + 16) > 1 || u32(end64 + 16) != 0 || u32(end64 + 20) != 0 ||
        u64(end64 + 24) != extent->count)
        DAMAGED(zip, "archives in several parts are not supported");
    if (!zip64_agrees(u16(end + 10), UINT16_MAX, extent->count) ||
        !zip64_agrees(u32(end + 12), UINT32_MAX, extent->size) ||
        !zip64_agrees(u32(end + 16), UINT32_MAX, extent->offset))
        DAMAGED(zip, "the two end records differ");
}

static struct extent read_end(struct hs_zip *zip)
{
    uint8_t end[END_SIZE] = { 0 }, locator[LOCATOR_SIZE];
    uint64_t offset = find_end(zip, end);
    uint16_t disk = u16(end + 4);
    struct extent extent = { u32(end + 16), u32(end + 12), u16(end + 10), offset };
    if ((disk != 0 && disk != UINT16_MAX) || u16(end + 6) != disk || u16(end + 8) != u16(end + 10))
        DAMAGED(zip, "archives in several parts are not supported");
    if (offset >= LOCATOR_SIZE && read_at(zip, offset - LOCATOR_SIZE, locator, sizeof(locator)) &&
        is_signature(locator, "PK\6\7"))
        read_end64(zip, end, locator, offset - LOCATOR_SIZE, &extent);
    if (extent.offset > extent.end || extent.size != extent.end - extent.offset)
        DAMAGED(zip, "wrong position of the directory");
    if (extent.count > MAX_MEMBERS || extent.size > MAX_DIRECTORY)
        DAMAGED(zip, "too many members");
    return extent;
}

/* Replaces those of the numbers that did not fit by the values in the zip64 field, in the order of
 * 4.5.3. */
static bool read_extra(const uint8_t *extra, size_t len, uint64_t *const numbers[], size_t count)
{
    while (len > 0) {
        if (len < 4 || u16(extra + 2) > len - 4)
            return false;
        size_t size = u16(extra + 2), at = 0;
        for (size_t i = 0; i < count && u16(extra) == ZIP64_EXTRA; i++) {
            if (*numbers[i] != UINT32_MAX)
                continue;
            if (size - at < 8)
                return false;
            *numbers[i] = u64(extra + 4 + at);
            at += 8;
        }
        extra += 4 + size;
        len -= 4 + size;
    }
    return true;
}

/* Reads the entry at *at and advances *at. Moves the name over the start of its entry, so that a
 * NUL fits after it. */
static void read_entry(struct hs_zip *zip, size_t len, size_t *at, struct hs_zip_member *ret)
{
    uint8_t *entry = zip->directory + *at;
    if (len - *at < ENTRY_SIZE || !is_signature(entry, "PK\1\2")) {
        DAMAGED(zip, "invalid directory entry");
        return;
    }
    size_t name_len = u16(entry + 28), extra_len = u16(entry + 30), comment_len = u16(entry + 32);
    if (name_len + extra_len + comment_len > len - *at - ENTRY_SIZE) {
        DAMAGED(zip, "the directory is truncated");
        return;
    }
    *ret = (struct hs_zip_member) { .name = (const char *) entry,
                                    .size = u32(entry + 24),
                                    .packed_size = u32(entry + 20),
                                    .header_offset = u32(entry + 42),
                                    .crc = u32(entry + 16),
                                    .method = u16(entry + 10),
                                    .flags = u16(entry + 8) };
    uint64_t *const numbers[] = { &ret->size, &ret->packed_size, &ret->header_offset };
    if (u16(entry + 34) != 0 || memchr(entry + ENTRY_SIZE, 0, name_len) ||
        !read_extra(entry + ENTRY_SIZE + name_len, extra_len, numbers, 3))
        DAMAGED(zip, "invalid directory entry");
    if (ret->method == 0 && ret->size != ret->packed_size)
        DAMAGED(zip, "a stored member has two sizes");
    memmove(entry, entry + ENTRY_SIZE, name_len);
    entry[name_len] = '\0';
    *at += ENTRY_SIZE + name_len + extra_len + comment_len;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct hs_zip_member *) a)->name, ((const struct hs_zip_member *) b)->name);
}

static int by_offset(const void *a, const void *b)
{
    uint64_t x = ((const struct hs_zip_member *) a)->header_offset;
    uint64_t y = ((const struct hs_zip_member *) b)->header_offset;
    return x < y ? -1 : x > y;
}

static void read_directory(struct hs_zip *zip)
{
    struct extent extent = read_end(zip);
    size_t len = (size_t) extent.size, count = (size_t) extent.count, at = 0;
    if (count > len / ENTRY_SIZE)
        DAMAGED(zip, "the directory is truncated");
    zip->directory = alloc(zip, len, 1);
    zip->members = alloc(zip, count, sizeof(zip->members[0]));
    if (zip->members)
        read_at(zip, extent.offset, zip->directory, len);
    for (; zip->status == 0 && zip->count < count; zip->count++)
        read_entry(zip, len, &at, &zip->members[zip->count]);
    if (at != len)
        DAMAGED(zip, "wrong length of the directory");
    if (zip->status < 0)
        return;
    /* Each member must end before the next one begins. The exact size of its local header is known
     * only once it is read. */
    qsort(zip->members, zip->count, sizeof(zip->members[0]), by_offset);
    for (size_t i = 0; i < zip->count; i++) {
        struct hs_zip_member *member = &zip->members[i];
        member->limit = i + 1 < zip->count ? zip->members[i + 1].header_offset : extent.offset;
        uint64_t least = HEADER_SIZE + strlen(member->name);
        if (member->header_offset > member->limit || member->limit - member->header_offset < least ||
            member->limit - member->header_offset - least < member->packed_size)
            DAMAGED(zip, "members overlap");
    }
    qsort(zip->members, zip->count, sizeof(zip->members[0]), by_name);
    for (size_t i = 1; i < zip->count; i++)
        if (!strcmp(zip->members[i - 1].name, zip->members[i].name))
            DAMAGED(zip, "two members have the same name");
}

int hs_zip_open(const char *path, struct hs_zip **ret_zip, struct hs_error *err)
{
    struct stat st;
    struct hs_zip *zip = calloc(1, sizeof(*zip));
    if (!zip)
        return hs_error_set(err, HS_ENOMEM, "no memory for reading a zip file");
    zip->err = err;
    zip->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (zip->fd < 0 || fstat(zip->fd, &st) < 0)
        FAIL(zip, errno == ENOENT || errno == ENOTDIR ? HS_ENOTFOUND : HS_EIO, "cannot open the file: %s",
             strerror(errno));
    else if (!S_ISREG(st.st_mode))
        FAIL(zip, HS_EIO, "not a regular file");
    else
        zip->file_size = (uint64_t) st.st_size;
    if (zip->status == 0)
        read_directory(zip);
    int r = zip->status;
    if (r < 0)
        hs_zip_close(zip);
    else
        *ret_zip = zip;
    return r;
}

void hs_zip_close(struct hs_zip *zip)
{
    if (!zip)
        return;
    if (zip->fd >= 0)
        close(zip->fd);
    free(zip->directory);
    free(zip->members);
    free(zip);
}

uint64_t hs_zip_file_size(const struct hs_zip *zip)
{
    return zip->file_size;
}

size_t hs_zip_count(const struct hs_zip *zip)
{
    return zip->count;
}

struct hs_zip_member *hs_zip_at(struct hs_zip *zip, size_t i)
{
    return i < zip->count ? &zip->members[i] : NULL;
}

struct hs_zip_member *hs_zip_find(struct hs_zip *zip, const char *name)
{
    const struct hs_zip_member key = { .name = name };
    return bsearch(&key, zip->members, zip->count, sizeof(key), by_name);
}

static void member_error(struct hs_zip *zip, const struct hs_zip_member *member, const char *reason)
{
    char name[NAME_IN_MESSAGES];
    hs_str_quote(name, sizeof(name), member->name, strlen(member->name));
    FAIL(zip, HS_EMODEL, "%s in the zip file %s", name, reason);
}

/* Compares the local header with the directory. A writer that does not know size and CRC yet writes
 * 0 and sets a flag. */
static bool header_agrees(const struct hs_zip_member *member, const uint8_t header[HEADER_SIZE], const uint8_t *extra,
                          size_t extra_len)
{
    uint64_t crc = u32(header + 14), packed_size = u32(header + 18), size = u32(header + 22);
    uint64_t *const numbers[] = { &size, &packed_size };
    /* Fields other than zip64 may contain anything: PyTorch uses one to align the data. */
    if ((size == UINT32_MAX || packed_size == UINT32_MAX) && !read_extra(extra, extra_len, numbers, 2))
        return false;
    if (u16(header + 6) != member->flags || u16(header + 8) != member->method)
        return false;
    bool later = member->flags & FLAG_SIZES_LATER;
    return (crc == member->crc || (later && crc == 0)) && (size == member->size || (later && size == 0)) &&
           (packed_size == member->packed_size || (later && packed_size == 0));
}

/* Compares the local header (and the name and extra field after it) with the directory, and finds the data. */
static void read_header(struct hs_zip *zip, struct hs_zip_member *member)
{
    uint8_t header[HEADER_SIZE];
    size_t name_len = strlen(member->name);
    if (!read_at(zip, member->header_offset, header, sizeof(header)))
        return;
    if (!is_signature(header, "PK\3\4") || u16(header + 26) != name_len)
        member_error(zip, member, "has a wrong position in the directory");
    size_t extra_len = u16(header + 28);
    uint64_t start = member->header_offset + HEADER_SIZE + name_len + extra_len;
    if (start > member->limit || member->packed_size > member->limit - start)
        member_error(zip, member, "overlaps the next member");
    uint8_t *rest = alloc(zip, name_len + extra_len, 1);
    if (rest && read_at(zip, member->header_offset + HEADER_SIZE, rest, name_len + extra_len) &&
        (memcmp(rest, member->name, name_len) != 0 || !header_agrees(member, header, rest + name_len, extra_len)))
        member_error(zip, member, "has a header that differs from the directory");
    free(rest);
    if (zip->status == 0)
        member->data_offset = start;
}

static void check_crc(struct hs_zip *zip, struct hs_zip_member *member)
{
    uint8_t piece[PIECE];
    uLong crc = crc32(0, NULL, 0);
    size_t len;
    for (uint64_t at = 0; at < member->size && zip->status == 0; at += len) {
        len = member->size - at < PIECE ? (size_t) (member->size - at) : PIECE;
        if (read_at(zip, member->data_offset + at, piece, len))
            crc = crc32(crc, piece, (uInt) len);
    }
    if (crc != member->crc)
        member_error(zip, member, "has a wrong CRC-32");
    member->verified = zip->status == 0;
}

int hs_zip_read(struct hs_zip *zip, struct hs_zip_member *member, uint64_t offset, void *dst, size_t len,
                struct hs_error *err)
{
    zip->err = err;
    zip->status = 0;
    if (member->flags & FLAG_ENCRYPTED)
        member_error(zip, member, "is encrypted");
    if (member->method != 0)
        member_error(zip, member, "is compressed");
    if (offset > member->size || len > member->size - offset)
        member_error(zip, member, "is too short");
    if (zip->status == 0 && !member->data_offset)
        read_header(zip, member);
    if (zip->status == 0 && !member->verified)
        check_crc(zip, member);
    if (zip->status == 0)
        read_at(zip, member->data_offset + offset, dst, len);
    return zip->status;
}
