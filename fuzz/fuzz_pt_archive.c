/* Untrusted checkpoints, as they are and again with corrected CRCs, because a fuzzer cannot find these. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "convert/pt_archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { DEPTH = 8 };

static void read_tensor(struct hs_pt_archive *archive, const struct hs_pickle_value *value)
{
    struct hs_pt_array array;
    struct hs_error err;
    int r = hs_pt_archive_read_tensor(archive, value, "it", &array, &err);
    if (r < 0) {
        if (r != HS_EMODEL || err.code != r || strncmp(err.message, "it: ", 4) != 0)
            abort();
        return;
    }
    size_t count = 1;
    for (int i = 0; i < array.dims; i++)
        count *= (size_t) array.size[i];
    if (count != array.count)
        abort();
    for (size_t i = 0; i < count; i++)
        if (!isfinite(array.data[i]))
            abort();
    free(array.data);
}

static void read_tensors(struct hs_pt_archive *archive, const struct hs_pickle_value *value, int depth, size_t *budget)
{
    if (depth == DEPTH || *budget == 0)
        return;
    --*budget;
    read_tensor(archive, value);
    const struct hs_pickle_items *items = hs_pickle_to_items(value);
    for (uint32_t i = 0; items && i < items->len; i++)
        read_tensors(archive, items->data[i], depth + 1, budget);
    for (uint32_t i = 0; value->type == HS_PICKLE_DICT && i < value->dict->len; i++)
        read_tensors(archive, value->dict->entries[i].value, depth + 1, budget);
}

static void open_archive(const uint8_t *data, size_t len)
{
    char path[64];
    struct hs_pt_archive *archive;
    struct hs_error err;
    size_t budget = 200;
    int fd = memfd_create("checkpoint", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, len) != (ssize_t) len)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int r = hs_pt_archive_open(path, &archive, &err);
    if (r < 0 && (r != HS_EMODEL || err.code != r || !err.message[0]))
        abort();
    if (r == 0) {
        if (hs_pt_archive_file_size(archive) != len)
            abort();
        read_tensors(archive, hs_pt_archive_root(archive), 0, &budget);
        hs_pt_archive_close(archive);
    }
    close(fd);
}

static uint32_t number(const uint8_t *data, int size)
{
    uint32_t value = 0;
    for (int i = size; i-- > 0;)
        value = value << 8 | data[i];
    return value;
}

/* Corrects the CRC of the member that the directory entry describes, if the member lies within the file. */
static void fix_crc(uint8_t *data, size_t len, uint8_t *entry)
{
    size_t header = number(entry + 42, 4), size = number(entry + 24, 4);
    if (header > len || len - header < 30)
        return;
    size_t start = header + 30 + number(data + header + 26, 2) + number(data + header + 28, 2);
    if (start > len || len - start < size)
        return;
    uLong crc = crc32(crc32(0, NULL, 0), data + start, (uInt) size);
    for (int i = 0; i < 4; i++)
        entry[16 + i] = data[header + 14 + (size_t) i] = (uint8_t) (crc >> (8 * i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    open_archive(data, len);
    uint8_t *copy = malloc(len + 1);
    if (!copy)
        return 0;
    if (len)
        memcpy(copy, data, len);
    for (size_t at = 0; at + 46 <= len; at++)
        if (!memcmp(copy + at, "PK\1\2", 4))
            fix_crc(copy, len, copy + at);
    open_archive(copy, len);
    free(copy);
    return 0;
}
