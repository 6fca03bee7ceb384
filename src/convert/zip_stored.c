/* The end record leads to the directory, the directory to the members; "4.3.x" below are the sections of PKWARE's
 * APPNOTE.TXT. Readers of zip files differ in what they believe where two places disagree, and that is what files are
 * built on that look harmless to one and not to the other. So everything said twice must agree, and no byte may belong
 * to two members. pread, not mmap: a file that shrinks meanwhile is an error, not a signal. */
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
    END_SIZE = 22,           /* 4.3.16, and a comment of at most 65535 bytes */
    END64_SIZE = 56,         /* 4.3.14 */
    LOCATOR_SIZE = 20,       /* 4.3.15 */
    ENTRY_SIZE = 46,         /* 4.3.12 */
    HEADER_SIZE = 30,        /* 4.3.7 */
    ZIP64_EXTRA = 1,         /* 4.5.3 */
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
    uint8_t *directory; /* the names lie in it */
    struct hs_zip_member *members;
    size_t count;
};

/* Where the directory is. */
struct extent {
    uint64_t offset, size, count, end; /* end: where what follows it begins */
};

/* ---- bytes ---- */

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

static int damaged(struct hs_error *err, const char *reason)
{
    hs_error_set(err, HS_EMODEL, "damaged zip file: %s", reason);
    return HS_EMODEL;
}

static int no_memory(struct hs_error *err)
{
    hs_error_set(err, HS_ENOMEM, "no memory for reading a zip file");
    return HS_ENOMEM;
}

static int read_at(const struct hs_zip *zip, uint64_t offset, void *dst, size_t len, struct hs_error *err)
{
    uint8_t *bytes = dst;
    if (offset > zip->file_size || len > zip->file_size - offset)
        return damaged(err, "it ends too early");
    while (len > 0) {
        ssize_t n = pread(zip->fd, bytes, len, (off_t) offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            hs_error_set(err, HS_EIO, "reading: %s", n < 0 ? strerror(errno) : "the file became shorter meanwhile");
            return HS_EIO;
        }
        bytes += n;
        offset += (uint64_t) n;
        len -= (size_t) n;
    }
    return 0;
}

/* ---- the end record ---- */

/* The record whose comment reaches exactly to the end of the file. */
static int find_end(const struct hs_zip *zip, uint8_t end[END_SIZE], uint64_t *ret_offset, struct hs_error *err)
{
    size_t len = zip->file_size < END_SIZE + UINT16_MAX ? (size_t) zip->file_size : END_SIZE + UINT16_MAX;
    uint8_t *tail = malloc(len ? len : 1);
    if (!tail)
        return no_memory(err);
    int r = read_at(zip, zip->file_size - len, tail, len, err);
    bool found = false;
    for (size_t comment = 0; r == 0 && !found && comment + END_SIZE <= len; comment++) {
        const uint8_t *at = tail + len - END_SIZE - comment;
        found = is_signature(at, "PK\5\6") && u16(at + 20) == comment;
        if (found) {
            memcpy(end, at, END_SIZE);
            *ret_offset = zip->file_size - END_SIZE - comment;
        }
    }
    free(tail);
    if (r == 0 && !found) {
        hs_error_set(err, HS_EMODEL, "not a zip file, or one that was cut short");
        r = HS_EMODEL;
    }
    return r;
}

/* A number of the end record and the same one in the zip64 record, where the former is full if it did not fit. */
static bool agree(uint64_t narrow, uint64_t full, uint64_t wide)
{
    return narrow == wide || narrow == full;
}

static int read_end64(const struct hs_zip *zip, const uint8_t end[END_SIZE], const uint8_t locator[LOCATOR_SIZE],
                      uint64_t locator_offset, struct extent *extent, struct hs_error *err)
{
    uint8_t end64[END64_SIZE];
    uint64_t offset = u64(locator + 8);
    int r = read_at(zip, offset, end64, sizeof(end64), err);
    if (r < 0)
        return r;
    if (!is_signature(end64, "PK\6\6") || offset > locator_offset || locator_offset - offset < END64_SIZE ||
        u64(end64 + 4) != locator_offset - offset - 12)
        return damaged(err, "its zip64 record is not where it should be");
    *extent = (struct extent){u64(end64 + 48), u64(end64 + 40), u64(end64 + 32), offset};
    if (u32(locator + 4) != 0 || u32(locator + 16) > 1 || u32(end64 + 16) != 0 || u32(end64 + 20) != 0 ||
        u64(end64 + 24) != extent->count)
        return damaged(err, "it is one part of several");
    if (!agree(u16(end + 10), UINT16_MAX, extent->count) || !agree(u32(end + 12), UINT32_MAX, extent->size) ||
        !agree(u32(end + 16), UINT32_MAX, extent->offset))
        return damaged(err, "its two end records disagree");
    return 0;
}

static int read_end(const struct hs_zip *zip, struct extent *extent, struct hs_error *err)
{
    uint8_t end[END_SIZE] = {0}, locator[LOCATOR_SIZE];
    uint64_t offset = 0;
    int r = find_end(zip, end, &offset, err);
    if (r < 0)
        return r;
    uint16_t disk = u16(end + 4);
    if ((disk != 0 && disk != UINT16_MAX) || u16(end + 6) != disk || u16(end + 8) != u16(end + 10))
        return damaged(err, "it is one part of several");
    *extent = (struct extent){u32(end + 16), u32(end + 12), u16(end + 10), offset};
    if (offset >= LOCATOR_SIZE) {
        r = read_at(zip, offset - LOCATOR_SIZE, locator, sizeof(locator), err);
        if (r == 0 && is_signature(locator, "PK\6\7"))
            r = read_end64(zip, end, locator, offset - LOCATOR_SIZE, extent, err);
        if (r < 0)
            return r;
    }
    if (extent->offset > extent->end || extent->size != extent->end - extent->offset)
        return damaged(err, "its directory is not where it should be");
    if (extent->count > MAX_MEMBERS || extent->size > MAX_DIRECTORY)
        return damaged(err, "it has too many members");
    return 0;
}

/* ---- the directory ---- */

/* Replaces those of the three numbers that did not fit by what the zip64 field says, in the order of 4.5.3. */
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

/* Reads the entry at *at and moves on. The name is moved over its own entry, which makes room for the NUL after it. */
static int read_entry(uint8_t *directory, size_t len, size_t *at, struct hs_zip_member *ret, struct hs_error *err)
{
    uint8_t *entry = directory + *at;
    if (len - *at < ENTRY_SIZE || !is_signature(entry, "PK\1\2"))
        return damaged(err, "its directory is no directory");
    size_t name_len = u16(entry + 28), extra_len = u16(entry + 30), comment_len = u16(entry + 32);
    if (name_len + extra_len + comment_len > len - *at - ENTRY_SIZE)
        return damaged(err, "its directory ends too early");
    *ret = (struct hs_zip_member){.name = (const char *) entry, .size = u32(entry + 24), .packed_size = u32(entry + 20),
                                  .header_offset = u32(entry + 42), .crc = u32(entry + 16), .method = u16(entry + 10),
                                  .flags = u16(entry + 8)};
    uint64_t *const numbers[] = {&ret->size, &ret->packed_size, &ret->header_offset};
    if (u16(entry + 34) != 0 || memchr(entry + ENTRY_SIZE, 0, name_len) ||
        !read_extra(entry + ENTRY_SIZE + name_len, extra_len, numbers, 3))
        return damaged(err, "its directory is no directory");
    if (ret->method == 0 && ret->size != ret->packed_size)
        return damaged(err, "a stored member has two sizes");
    memmove(entry, entry + ENTRY_SIZE, name_len);
    entry[name_len] = '\0';
    *at += ENTRY_SIZE + name_len + extra_len + comment_len;
    return 0;
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

/* Each member ends before the next one begins. How long its local header is shows only when it is read. */
static int set_limits(struct hs_zip *zip, uint64_t directory_offset, struct hs_error *err)
{
    if (zip->count == 0)
        return 0;
    qsort(zip->members, zip->count, sizeof(zip->members[0]), by_offset);
    for (size_t i = 0; i < zip->count; i++) {
        struct hs_zip_member *member = &zip->members[i];
        member->limit = i + 1 < zip->count ? zip->members[i + 1].header_offset : directory_offset;
        uint64_t least = HEADER_SIZE + strlen(member->name);
        if (member->header_offset > member->limit || member->limit - member->header_offset < least ||
            member->limit - member->header_offset - least < member->packed_size)
            return damaged(err, "its members overlap");
    }
    return 0;
}

static int sort_by_name(struct hs_zip *zip, struct hs_error *err)
{
    if (zip->count == 0)
        return 0;
    qsort(zip->members, zip->count, sizeof(zip->members[0]), by_name);
    for (size_t i = 1; i < zip->count; i++)
        if (!strcmp(zip->members[i - 1].name, zip->members[i].name))
            return damaged(err, "two members have the same name");
    return 0;
}

static int read_directory(struct hs_zip *zip, struct hs_error *err)
{
    struct extent extent;
    int r = read_end(zip, &extent, err);
    if (r < 0)
        return r;
    size_t len = (size_t) extent.size, count = (size_t) extent.count, at = 0;
    if (count > len / ENTRY_SIZE)
        return damaged(err, "its directory ends too early");
    zip->directory = malloc(len + 1);
    zip->members = calloc(count + 1, sizeof(zip->members[0]));
    if (!zip->directory || !zip->members)
        return no_memory(err);
    r = read_at(zip, extent.offset, zip->directory, len, err);
    for (; r == 0 && zip->count < count; zip->count++)
        r = read_entry(zip->directory, len, &at, &zip->members[zip->count], err);
    if (r == 0 && at != len)
        r = damaged(err, "its directory is longer than it says");
    if (r == 0)
        r = set_limits(zip, extent.offset, err);
    return r < 0 ? r : sort_by_name(zip, err);
}

/* ---- opening and closing ---- */

static int open_file(struct hs_zip *zip, const char *path, struct hs_error *err)
{
    struct stat st;
    zip->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (zip->fd < 0 || fstat(zip->fd, &st) < 0)
        return hs_error_set(err, errno == ENOENT || errno == ENOTDIR ? HS_ENOTFOUND : HS_EIO, "%s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return hs_error_set(err, HS_EIO, "not a regular file");
    zip->file_size = (uint64_t) st.st_size;
    return 0;
}

int hs_zip_open(const char *path, struct hs_zip **ret_zip, struct hs_error *err)
{
    struct hs_zip *zip = calloc(1, sizeof(*zip));
    if (!zip)
        return no_memory(err);
    int r = open_file(zip, path, err);
    if (r == 0)
        r = read_directory(zip, err);
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
    const struct hs_zip_member key = {.name = name};
    return bsearch(&key, zip->members, zip->count, sizeof(key), by_name);
}

/* ---- members ---- */

static int member_error(const struct hs_zip_member *member, const char *reason, struct hs_error *err)
{
    char name[NAME_IN_MESSAGES];
    hs_str_quote(name, sizeof(name), member->name, strlen(member->name));
    return hs_error_set(err, HS_EMODEL, "%s in the zip file %s", name, reason);
}

/* What the local header says of a member; a writer that did not know size and CRC yet says 0 and sets a flag. */
static bool header_agrees(const struct hs_zip_member *member, const uint8_t header[HEADER_SIZE], const uint8_t *extra,
                          size_t extra_len)
{
    uint64_t crc = u32(header + 14), packed_size = u32(header + 18), size = u32(header + 22);
    uint64_t *const numbers[] = {&size, &packed_size};
    /* What is no zip64 field may be anything: PyTorch aligns the data with it. */
    if ((size == UINT32_MAX || packed_size == UINT32_MAX) && !read_extra(extra, extra_len, numbers, 2))
        return false;
    if (u16(header + 6) != member->flags || u16(header + 8) != member->method)
        return false;
    bool later = member->flags & FLAG_SIZES_LATER;
    return (crc == member->crc || (later && crc == 0)) && (size == member->size || (later && size == 0)) &&
           (packed_size == member->packed_size || (later && packed_size == 0));
}

/* Compares the local header (and the name and extra field after it) with the directory, and finds the data. */
static int read_header(struct hs_zip *zip, struct hs_zip_member *member, struct hs_error *err)
{
    uint8_t header[HEADER_SIZE];
    size_t name_len = strlen(member->name);
    int r = read_at(zip, member->header_offset, header, sizeof(header), err);
    if (r < 0)
        return r;
    if (!is_signature(header, "PK\3\4") || u16(header + 26) != name_len)
        return member_error(member, "is not where the directory says", err);
    size_t extra_len = u16(header + 28);
    uint64_t start = member->header_offset + HEADER_SIZE + name_len + extra_len;
    if (start > member->limit || member->packed_size > member->limit - start)
        return member_error(member, "reaches into what follows it", err);
    uint8_t *rest = malloc(name_len + extra_len + 1);
    if (!rest)
        return no_memory(err);
    r = read_at(zip, member->header_offset + HEADER_SIZE, rest, name_len + extra_len, err);
    if (r == 0 && (memcmp(rest, member->name, name_len) != 0 ||
                   !header_agrees(member, header, rest + name_len, extra_len)))
        r = member_error(member, "is described in two ways", err);
    free(rest);
    if (r == 0)
        member->data_offset = start;
    return r;
}

static int check_crc(struct hs_zip *zip, struct hs_zip_member *member, struct hs_error *err)
{
    uint8_t *piece = malloc(PIECE);
    if (!piece)
        return no_memory(err);
    uLong crc = crc32(0, NULL, 0);
    int r = 0;
    for (uint64_t at = 0; at < member->size && r == 0;) {
        size_t len = member->size - at < PIECE ? (size_t) (member->size - at) : PIECE;
        r = read_at(zip, member->data_offset + at, piece, len, err);
        if (r == 0)
            crc = crc32(crc, piece, (uInt) len);
        at += len;
    }
    free(piece);
    if (r == 0 && crc != member->crc)
        r = member_error(member, "is damaged: its CRC-32 is wrong", err);
    member->verified = r == 0;
    return r;
}

int hs_zip_read(struct hs_zip *zip, struct hs_zip_member *member, uint64_t offset, void *dst, size_t len,
                struct hs_error *err)
{
    int r = 0;
    if (member->flags & FLAG_ENCRYPTED)
        return member_error(member, "is encrypted", err);
    if (member->method != 0)
        return member_error(member, "is compressed", err);
    if (offset > member->size || len > member->size - offset)
        return member_error(member, "is too short", err);
    if (!member->data_offset)
        r = read_header(zip, member, err);
    if (r == 0 && !member->verified)
        r = check_crc(zip, member, err);
    return r < 0 ? r : read_at(zip, member->data_offset + offset, dst, len, err);
}
