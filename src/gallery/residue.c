#include "gallery/residue.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 8, STRIDE = 16, READ_SIZE = 65536, BUCKETS = 1 << 15 };

bool hs_residue_add(struct hs_residue *residue, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    for (size_t at = 0; at + PIECE <= len; at += STRIDE) {
        uint64_t piece;
        memcpy(&piece, bytes + at, PIECE);
        if (piece == bytes[at] * UINT64_C(0x0101010101010101))
            continue;
        if (residue->count == residue->room) {
            size_t room = residue->room ? 2 * residue->room : 256;
            uint64_t *pieces = reallocarray(residue->pieces, room, sizeof(*pieces));
            if (!pieces)
                return false;
            residue->pieces = pieces;
            residue->room = room;
        }
        residue->pieces[residue->count++] = piece;
    }
    return true;
}

void hs_residue_finish(struct hs_residue *residue)
{
    free(residue->pieces);
    *residue = (struct hs_residue) { 0 };
}

static size_t bucket_of(uint64_t piece)
{
    return (size_t) (piece * UINT64_C(0x9e3779b97f4a7c15) >> 49);
}

static int compare_pieces(const void *pa, const void *pb)
{
    const uint64_t *a = pa, *b = pb;
    return *a < *b ? -1 : *a > *b;
}

static bool has_piece(const struct hs_residue *residue, const uint8_t *seen, const uint8_t *data, size_t len)
{
    for (size_t at = 0; at + PIECE <= len; at++) {
        uint64_t piece;
        memcpy(&piece, data + at, PIECE);
        if (seen[bucket_of(piece)] && bsearch(&piece, residue->pieces, residue->count, sizeof(piece), compare_pieces))
            return true;
    }
    return false;
}

/* Through SQLite's own handle: opening and closing the file by hand would drop this process's locks on it. */
static bool search_file(const struct hs_residue *residue, sqlite3_file *file, const uint8_t *seen, uint8_t *data)
{
    sqlite3_int64 size;
    if (file->pMethods->xFileSize(file, &size) != SQLITE_OK)
        return true;
    /* Reads overlap by a piece. */
    for (sqlite3_int64 at = 0; at < size; at += READ_SIZE - PIECE) {
        sqlite3_int64 n = size - at < READ_SIZE ? size - at : READ_SIZE;
        if (file->pMethods->xRead(file, data, (int) n, at) != SQLITE_OK || has_piece(residue, seen, data, (size_t) n))
            return true;
    }
    return false;
}

bool hs_residue_is_in(const struct hs_residue *residue, sqlite3 *db)
{
    sqlite3_file *file = NULL;
    if (residue->count == 0)
        return false;
    uint8_t *seen = calloc(BUCKETS, 1), *data = malloc(READ_SIZE);
    bool found = true;
    if (seen && data && sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) == SQLITE_OK && file &&
        file->pMethods) {
        qsort(residue->pieces, residue->count, sizeof(*residue->pieces), compare_pieces);
        for (size_t i = 0; i < residue->count; i++)
            seen[bucket_of(residue->pieces[i])] = 1;
        found = search_file(residue, file, seen, data);
    }
    free(seen);
    free(data);
    return found;
}
