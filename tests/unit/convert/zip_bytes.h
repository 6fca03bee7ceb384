/* Zip files in memory, which tests then modify. */
#ifndef HS_TESTS_ZIP_BYTES_H
#define HS_TESTS_ZIP_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ZIP_MAX_MEMBERS = 8, ZIP_MAX_BYTES = 16384 };

struct zip_bytes {
    uint8_t data[ZIP_MAX_BYTES];
    size_t len;
    bool wide;  /* zip64: all sizes and offsets go there; set it before the first member is added */
    bool later; /* local headers have no sizes and no CRC, like those of a writer that cannot seek */
    size_t count;
    const char *names[ZIP_MAX_MEMBERS];
    /* offsets, for tests that modify these parts */
    size_t headers[ZIP_MAX_MEMBERS], contents[ZIP_MAX_MEMBERS], sizes[ZIP_MAX_MEMBERS], entries[ZIP_MAX_MEMBERS];
    size_t directory, end64, locator, end;
};

void zip_add(struct zip_bytes *zip, const char *name, const void *data, size_t len);
void zip_end(struct zip_bytes *zip, const char *comment);

void zip_append(struct zip_bytes *zip, const void *data, size_t len);
void zip_put(struct zip_bytes *zip, size_t at, size_t size, uint64_t value);

/* Writes the CRC of member i's present contents into both its headers. */
void zip_update_crc(struct zip_bytes *zip, size_t i);

/* Returns the path of an in-memory file with the first len bytes; valid until the next call. */
const char *zip_path(const void *data, size_t len);

#endif
