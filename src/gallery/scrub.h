/* Keeps the unused parts of a database file free of old content. SQLite overwrites what it deletes (secure_delete), but
 * balancing a b-tree leaves copies of moved cells between a page's cell pointers and its cells. An attached connection
 * writes zeros there whenever it writes a page to the database file. SQLite never reads those bytes. The log still has
 * them until it is emptied. */
#ifndef HS_GALLERY_SCRUB_H
#define HS_GALLERY_SCRUB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "hs/status.h"

/* The largest page of SQLite; and the most pages of a file, so that no page that begins with the number of another one
 * (of overflow, or free) begins like a b-tree page. */
enum { HS_SCRUB_PAGE_MAX = 65536, HS_SCRUB_PAGES_MAX = 0x01ffffff };

struct hs_scrub {
    sqlite3_io_methods methods; /* comes first: the file's methods, except xWrite */
    const sqlite3_io_methods *real;
    uint8_t page[HS_SCRUB_PAGE_MAX];
};

/* `scrub` must live until db is closed. The file must not have auto_vacuum, whose pages look like others. */
int hs_scrub_attach(struct hs_scrub *scrub, sqlite3 *db, struct hs_error *err);

/* True if an unused part of the database file (free space of b-tree pages, free pages) is not zero: another program
 * wrote it. True also if the file cannot be read. Reads the whole file. */
bool hs_scrub_is_needed(sqlite3 *db);

#endif
