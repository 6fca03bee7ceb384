/* Looks for what is left of erased bytes in a database file. SQLite overwrites what it deletes (secure_delete), but
 * moving rows between pages can leave older copies of them in a page's unused part, where no deletion finds them. */
#ifndef HS_GALLERY_RESIDUE_H
#define HS_GALLERY_RESIDUE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hs_residue {
    uint64_t *pieces; /* of 8 bytes each */
    size_t count, room;
};

/* Remembers pieces of the data, a few for each cache line; those of one repeated byte say nothing and are left out.
 * false without memory. Start with zeros; the caller frees with hs_residue_finish. */
bool hs_residue_add(struct hs_residue *residue, const void *data, size_t len);
void hs_residue_finish(struct hs_residue *residue);

/* Whether the file of db has one of the pieces. True also where it cannot be read. */
bool hs_residue_is_in(const struct hs_residue *residue, sqlite3 *db);

#endif
