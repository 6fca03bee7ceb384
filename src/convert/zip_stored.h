/* Reads zip files whose members are stored uncompressed, as PyTorch writes them. Strict: refuses
 * inconsistent files. */
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
    uint64_t limit; /* offset of the next member or the directory */
    uint32_t crc;
    uint16_t method, flags;
    uint64_t data_offset; /* 0 until the local header has been read */
    bool verified;        /* the CRC has been checked */
};

/* Reads the central directory (also zip64). Messages do not name the file. HS_EMODEL if the file is
 * not such a zip file, HS_ENOTFOUND, HS_EIO, HS_ENOMEM. Caller frees with hs_zip_close (NULL
 * allowed). One thread at a time. */
int hs_zip_open(const char *path, struct hs_zip **ret_zip, struct hs_error *err);
void hs_zip_close(struct hs_zip *zip);

uint64_t hs_zip_file_size(const struct hs_zip *zip);

/* Members are sorted by name and owned by the zip file. find returns NULL if there is none. */
size_t hs_zip_count(const struct hs_zip *zip);
struct hs_zip_member *hs_zip_at(struct hs_zip *zip, size_t i);
struct hs_zip_member *hs_zip_find(struct hs_zip *zip, const char *name);

/* Copies `len` bytes at `offset` of the member to dst. The first read of a member checks its local
 * header and the CRC of the whole member. Refuses compressed and encrypted members. HS_EMODEL,
 * HS_EIO. */
int hs_zip_read(struct hs_zip *zip, struct hs_zip_member *member, uint64_t offset, void *dst, size_t len,
                struct hs_error *err);

#endif
