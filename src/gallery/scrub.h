/* Keeps old content out of the unused parts of a database file. SQLite overwrites deleted rows
 * (secure_delete), but balancing a b-tree leaves copies of moved cells between the cell pointers
 * and the cells of a page. An attached connection zeroes that gap whenever it writes a page to the
 * database file. SQLite never reads those bytes. The log still contains them until it is emptied. */
#ifndef HS_GALLERY_SCRUB_H
#define HS_GALLERY_SCRUB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "hs/status.h"

/* The largest page size of SQLite, and the largest number of pages for which a page that begins
 * with another page's number (an overflow or free page) cannot look like a b-tree page. */
enum { HS_SCRUB_PAGE_MAX = 65536, HS_SCRUB_PAGES_MAX = 0x01ffffff };

struct hs_scrub {
    sqlite3_io_methods methods; /* must be first: the file's methods, except xWrite */
    const sqlite3_io_methods *real;
    uint8_t page[HS_SCRUB_PAGE_MAX];
};

/* Attaches the scrubber to db. `scrub` must stay valid until db is closed. The file must not use
 * auto_vacuum, whose pages look like b-tree pages. */
int hs_scrub_attach(struct hs_scrub *scrub, sqlite3 *db, struct hs_error *err);

/* Returns true if an unused part of the database file (free space in b-tree pages, free pages) is
 * not zero, which means that another program wrote it, or if the file cannot be read. Reads the
 * whole file. */
bool hs_scrub_is_needed(sqlite3 *db);

#endif
