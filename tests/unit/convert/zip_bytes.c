#include "zip_bytes.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "../unit.h"

void zip_append(struct zip_bytes *zip, const void *data, size_t len)
{
    assert_true(len <= sizeof(zip->data) - zip->len);
    if (len)
        memcpy(zip->data + zip->len, data, len);
    zip->len += len;
}

void zip_put(struct zip_bytes *zip, size_t at, size_t size, uint64_t value)
{
    assert_true(at + size <= sizeof(zip->data));
    for (size_t i = 0; i < size; i++)
        zip->data[at + i] = (uint8_t) (value >> (8 * i));
}

static void add(struct zip_bytes *zip, size_t size, uint64_t value)
{
    zip_put(zip, zip->len, size, value);
    zip->len += size;
}

static uint32_t crc_of(const struct zip_bytes *zip, size_t i)
{
    return (uint32_t) crc32(crc32(0, NULL, 0), zip->data + zip->contents[i], (uInt) zip->sizes[i]);
}

/* Adds the fields from version to length of the name, which are the same in both headers. */
static void add_description(struct zip_bytes *zip, size_t i, bool unknown)
{
    add(zip, 2, 20);
    add(zip, 2, zip->later ? 8 : 0);
    add(zip, 2, 0);
    add(zip, 4, 0x21 << 16); /* 1980-01-01 */
    add(zip, 4, unknown ? 0 : crc_of(zip, i));
    for (int times = 0; times < 2; times++)
        add(zip, 4, zip->wide ? UINT32_MAX : unknown ? 0 : zip->sizes[i]);
    add(zip, 2, strlen(zip->names[i]));
}

void zip_add(struct zip_bytes *zip, const char *name, const void *data, size_t len)
{
    size_t i = zip->count++, extra = zip->wide ? 20 : 5;
    assert_true(i < ZIP_MAX_MEMBERS);
    zip->names[i] = name;
    zip->headers[i] = zip->len;
    zip->contents[i] = zip->len + 30 + strlen(name) + extra;
    zip->sizes[i] = len;
    assert_true(zip->contents[i] + len <= sizeof(zip->data));
    if (len)
        memcpy(zip->data + zip->contents[i], data, len);
    zip_append(zip, "PK\3\4", 4);
    add_description(zip, i, zip->later);
    add(zip, 2, extra);
    zip_append(zip, name, strlen(name));
    if (zip->wide) {
        add(zip, 4, 1 | 16 << 16);
        add(zip, 8, zip->later ? 0 : len);
        add(zip, 8, zip->later ? 0 : len);
    } else {
        zip_append(zip, "FB\1\0Z", 5); /* PyTorch's alignment field */
    }
    zip->len += len;
}

static void add_entry(struct zip_bytes *zip, size_t i)
{
    zip->entries[i] = zip->len;
    zip_append(zip, "PK\1\2\0\0", 6);
    add_description(zip, i, false);
    add(zip, 2, zip->wide ? 28 : 0);
    add(zip, 2, 0); /* comment */
    add(zip, 2, 0); /* disk */
    add(zip, 6, 0); /* attributes */
    add(zip, 4, zip->wide ? UINT32_MAX : zip->headers[i]);
    zip_append(zip, zip->names[i], strlen(zip->names[i]));
    if (zip->wide) {
        add(zip, 4, 1 | 24 << 16);
        add(zip, 8, zip->sizes[i]);
        add(zip, 8, zip->sizes[i]);
        add(zip, 8, zip->headers[i]);
    }
}

static void add_end64(struct zip_bytes *zip, size_t size)
{
    zip->end64 = zip->len;
    zip_append(zip, "PK\6\6", 4);
    add(zip, 8, 44);
    add(zip, 4, 45 | 45 << 16);
    add(zip, 8, 0); /* disks */
    add(zip, 8, zip->count);
    add(zip, 8, zip->count);
    add(zip, 8, size);
    add(zip, 8, zip->directory);
    zip->locator = zip->len;
    zip_append(zip, "PK\6\7\0\0\0\0", 8);
    add(zip, 8, zip->end64);
    add(zip, 4, 1);
}

void zip_end(struct zip_bytes *zip, const char *comment)
{
    zip->directory = zip->len;
    for (size_t i = 0; i < zip->count; i++)
        add_entry(zip, i);
    size_t size = zip->len - zip->directory;
    if (zip->wide)
        add_end64(zip, size);
    zip->end = zip->len;
    zip_append(zip, "PK\5\6\0\0\0\0", 8);
    add(zip, 2, zip->wide ? UINT16_MAX : zip->count);
    add(zip, 2, zip->wide ? UINT16_MAX : zip->count);
    add(zip, 4, zip->wide ? UINT32_MAX : size);
    add(zip, 4, zip->wide ? UINT32_MAX : zip->directory);
    add(zip, 2, strlen(comment));
    zip_append(zip, comment, strlen(comment));
}

void zip_update_crc(struct zip_bytes *zip, size_t i)
{
    zip_put(zip, zip->headers[i] + 14, 4, crc_of(zip, i));
    zip_put(zip, zip->entries[i] + 16, 4, crc_of(zip, i));
}

const char *zip_path(const void *data, size_t len)
{
    static int fd = -1;
    static char path[64];
    if (fd >= 0)
        close(fd);
    fd = memfd_create("archive", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return path;
}
