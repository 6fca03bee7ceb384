/* Reads a zip file whose members are stored, as PyTorch writes them. Strict: what contradicts itself is refused. */
#ifndef HS_CONVERT_ZIP_STORED_H
#define HS_CONVERT_ZIP_STORED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

struct hs_zip;

struct hs_zip_member {
    const char *name; /* any text without NUL */
    uint64_t size, packed_size;
    uint64_t header_offset;
    uint64_t limit; /* where the next member or the directory begins */
    uint32_t crc;
    uint16_t method, flags;
    uint64_t data_offset; /* 0 until the local header was read */
    bool verified;        /* the CRC was checked */
};

/* Reads the central directory (zip64 too). Messages do not name the file. HS_EMODEL for what is no such zip file,
 * HS_ENOTFOUND, HS_EIO, HS_ENOMEM. Caller frees with hs_zip_close (NULL allowed). One thread at a time. */
int hs_zip_open(const char *path, struct hs_zip **ret_zip, struct hs_error *err);
void hs_zip_close(struct hs_zip *zip);

uint64_t hs_zip_file_size(const struct hs_zip *zip);

/* Members sorted by name; the zip file owns them. find gives NULL if there is none. */
size_t hs_zip_count(const struct hs_zip *zip);
struct hs_zip_member *hs_zip_at(struct hs_zip *zip, size_t i);
struct hs_zip_member *hs_zip_find(struct hs_zip *zip, const char *name);

/* Copies `len` bytes from `offset` of the member to dst. The first read of a member checks its local header and the CRC
 * of all of it; a compressed or encrypted member is refused. HS_EMODEL, HS_EIO. */
int hs_zip_read(struct hs_zip *zip, struct hs_zip_member *member, uint64_t offset, void *dst, size_t len,
                struct hs_error *err);

#endif
