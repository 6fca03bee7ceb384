/* Searches files for parts of vectors and for texts, byte by byte, whatever the structure of the file. */
#ifndef HS_GALLERY_BYTE_SEARCH_H
#define HS_GALLERY_BYTE_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

/* Length of a part of a vector that is searched for, and of the start of a text. Any 63 consecutive bytes of a vector
 * contain one whole part. */
enum { HS_BYTE_SEARCH_PART = 32, HS_BYTE_SEARCH_TEXT_MIN = 4 };

enum hs_byte_search_kind { HS_BYTE_SEARCH_VECTOR, HS_BYTE_SEARCH_NAME, HS_BYTE_SEARCH_METADATA, HS_BYTE_SEARCH_KINDS };

struct hs_byte_pattern;

struct hs_byte_search {
    struct hs_byte_pattern *patterns;
    size_t count, capacity;
    int32_t *heads; /* by a hash of the first four bytes: the last added pattern, or -1 */
};

/* The number of matches of each kind. */
struct hs_byte_hits {
    int64_t bytes; /* searched */
    int64_t hits[HS_BYTE_SEARCH_KINDS];
};

int hs_byte_search_init(struct hs_byte_search *search);    /* HS_ENOMEM */
void hs_byte_search_finish(struct hs_byte_search *search); /* wipes the patterns */

/* Copies the data. Parts of one repeated byte are left out, because they occur everywhere. HS_ENOMEM. */
int hs_byte_search_add_vector(struct hs_byte_search *search, const void *data, size_t size);

/* Adds the first bytes of a text. Returns 1, or 0 if it is too short to search for; HS_ENOMEM. */
int hs_byte_search_add_text(struct hs_byte_search *search, enum hs_byte_search_kind kind, const char *text);

/* Adds the matches in the data to *hits. */
void hs_byte_search_data(const struct hs_byte_search *search, const void *data, size_t size, struct hs_byte_hits *hits);

/* Searches a regular file, after decompression if it is a gzip file, which is read at the same time. HS_EIO: it cannot
 * be read to its end; *hits has the matches before. Never call it for a file that SQLite has open in this process:
 * closing a file drops all POSIX locks of the process on it. */
int hs_byte_search_file(const struct hs_byte_search *search, const char *path, struct hs_byte_hits *hits,
                        struct hs_error *err);

/* The same for a source that `read` reads: it copies at most `size` bytes from `at` on, and returns their number, 0 at
 * the end, or a negative code, which ends the search. */
int hs_byte_search_source(const struct hs_byte_search *search,
                          int64_t (*read)(void *arg, int64_t at, void *data, size_t size), void *arg,
                          struct hs_byte_hits *hits, struct hs_error *err);

#endif
