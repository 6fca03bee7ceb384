#include "gallery/scrub.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "gallery/sql.h"

/* Offsets are those of "The SQLite Database File Format", https://sqlite.org/fileformat2.html. */
enum { FILE_HEADER = 100, FIRST_TRUNK = 32, PAGE_MIN = 512 };

static size_t read_2(const uint8_t *at)
{
    return (size_t) at[0] << 8 | at[1];
}

static uint32_t read_4(const uint8_t *at)
{
    return (uint32_t) (read_2(at) << 16 | read_2(at + 2));
}

static bool is_zero(const uint8_t *data, size_t len)
{
    return len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

/* Finds the bytes between the cell pointers and the cells of the b-tree page at offset `at`.
 * Returns false for any other page. */
static bool find_gap(const uint8_t *page, size_t size, int64_t at, size_t *ret_begin, size_t *ret_end)
{
    const uint8_t *header = page + (at == 0 ? FILE_HEADER : 0);
    bool interior = header[0] == 2 || header[0] == 5;
    if (!interior && header[0] != 10 && header[0] != 13)
        return false;
    size_t cells = read_2(header + 3), end = read_2(header + 5);
    *ret_begin = (size_t) (header - page) + (interior ? 12 : 8) + 2 * cells;
    *ret_end = end ? end : HS_SCRUB_PAGE_MAX;
    return *ret_begin <= *ret_end && *ret_end <= size;
}

static int write_scrubbed(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    /* `methods` is the first member of struct hs_scrub, so the cast is valid. The page buffer
     * belongs to the connection, which only one thread uses at a time. */
    struct hs_scrub *scrub = (struct hs_scrub *) (uintptr_t) file->pMethods;
    size_t size = (size_t) len, begin, end;
    bool is_page = size >= PAGE_MIN && size <= HS_SCRUB_PAGE_MAX && (size & (size - 1)) == 0 && at % len == 0;
    if (!is_page || !find_gap(data, size, at, &begin, &end) || is_zero((const uint8_t *) data + begin, end - begin))
        return scrub->real->xWrite(file, data, len, at);
    memcpy(scrub->page, data, size);
    memset(scrub->page + begin, 0, end - begin);
    return scrub->real->xWrite(file, scrub->page, len, at);
}

static sqlite3_file *file_of(sqlite3 *db)
{
    sqlite3_file *file = NULL;
    int code = sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    return code == SQLITE_OK && file && file->pMethods ? file : NULL;
}

int hs_scrub_attach(struct hs_scrub *scrub, sqlite3 *db, struct hs_error *err)
{
    sqlite3_file *file = file_of(db);
    if (!file)
        return hs_error_set(err, HS_EINTERNAL, "the gallery database has no file");
    scrub->real = file->pMethods;
    scrub->methods = *file->pMethods;
    scrub->methods.xWrite = write_scrubbed;
    file->pMethods = &scrub->methods;
    return 0;
}

/* ---- inspection ---- */

/* Returns true if the gap or a free block of a b-tree page is not zero. */
static bool page_is_dirty(const uint8_t *page, size_t size, int64_t at)
{
    size_t begin, end;
    if (!find_gap(page, size, at, &begin, &end))
        return false;
    if (!is_zero(page + begin, end - begin))
        return true;
    size_t block = read_2(page + (at == 0 ? FILE_HEADER : 0) + 1);
    while (block != 0 && block + 4 <= size) {
        size_t next = read_2(page + block), len = read_2(page + block + 2);
        if (len < 4 || block + len > size || !is_zero(page + block + 4, len - 4))
            return true;
        if (next != 0 && next < block + len)
            return true; /* damaged: free blocks must be in ascending order */
        block = next;
    }
    return false;
}

/* Checks the free pages. Trunk pages list them and must contain nothing else. `page` has room for two pages. */
static bool free_pages_are_dirty(sqlite3_file *file, uint8_t *page, size_t size, int64_t pages)
{
    uint8_t *leaf = page + size;
    if (file->pMethods->xRead(file, page, (int) size, 0) != SQLITE_OK)
        return true;
    int64_t trunk = read_4(page + FIRST_TRUNK);
    for (int64_t visited = 0; trunk != 0; visited++) {
        if (trunk > pages || visited > pages ||
            file->pMethods->xRead(file, page, (int) size, (trunk - 1) * (int64_t) size) != SQLITE_OK)
            return true;
        size_t count = read_4(page + 4);
        for (size_t i = 0; i < size / 4 - 2; i++) {
            int64_t number = read_4(page + 8 + 4 * i);
            /* Numbers of former list entries may follow the list. */
            if (number > pages || (number == 0 && i < count))
                return true;
            if (i < count &&
                (file->pMethods->xRead(file, leaf, (int) size, (number - 1) * (int64_t) size) != SQLITE_OK ||
                 !is_zero(leaf, size)))
                return true;
        }
        trunk = read_4(page);
    }
    return false;
}

static bool is_dirty(sqlite3_file *file, uint8_t *page, size_t size)
{
    sqlite3_int64 bytes;
    if (file->pMethods->xFileSize(file, &bytes) != SQLITE_OK)
        return true;
    for (sqlite3_int64 at = 0; at + (sqlite3_int64) size <= bytes; at += (sqlite3_int64) size)
        if (file->pMethods->xRead(file, page, (int) size, at) != SQLITE_OK || page_is_dirty(page, size, at))
            return true;
    return bytes > 0 && free_pages_are_dirty(file, page, size, bytes / (sqlite3_int64) size);
}

/* Reads through SQLite's file handle: opening and closing the file separately would drop this
 * process's locks on it. */
bool hs_scrub_is_needed(sqlite3 *db)
{
    int64_t size;
    sqlite3_file *file = file_of(db);
    if (!file || hs_sql_int(db, "PRAGMA page_size", &size, NULL) < 0)
        return true;
    uint8_t *page = malloc(2 * (size_t) size);
    bool dirty = !page || is_dirty(file, page, (size_t) size);
    hs_mem_free_wiped(page, 2 * (size_t) size);
    return dirty;
}
