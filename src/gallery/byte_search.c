#include "gallery/byte_search.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "base/mem.h"

enum { HEADS = 1 << 16, PIECE = 1 << 20, KEY = 4 /* bytes of a pattern that are hashed */ };

struct hs_byte_pattern {
    uint8_t data[HS_BYTE_SEARCH_PART];
    uint8_t size;
    uint8_t kind;
    int32_t next; /* pattern with the same hash, or -1 */
};

int hs_byte_search_init(struct hs_byte_search *search)
{
    *search = (struct hs_byte_search) { .heads = malloc(HEADS * sizeof(*search->heads)) };
    for (size_t i = 0; search->heads && i < HEADS; i++)
        search->heads[i] = -1;
    return search->heads ? 0 : HS_ENOMEM;
}

void hs_byte_search_finish(struct hs_byte_search *search)
{
    hs_mem_free_wiped(search->patterns, search->capacity * sizeof(*search->patterns));
    free(search->heads);
    *search = (struct hs_byte_search) { 0 };
}

static uint32_t hash_of(const uint8_t *data)
{
    uint32_t key;
    memcpy(&key, data, sizeof(key));
    return key * UINT32_C(2654435761) >> 16;
}

/* Not with HS_ARRAY_RESERVE, which would leave the old patterns in freed memory. */
static bool make_room(struct hs_byte_search *search)
{
    if (search->count < search->capacity)
        return true;
    size_t capacity = search->capacity ? 2 * search->capacity : 64;
    struct hs_byte_pattern *larger = calloc(capacity, sizeof(*larger));
    if (!larger)
        return false;
    if (search->count)
        memcpy(larger, search->patterns, search->count * sizeof(*larger));
    hs_mem_free_wiped(search->patterns, search->capacity * sizeof(*larger));
    search->patterns = larger;
    search->capacity = capacity;
    return true;
}

static bool is_known(const struct hs_byte_search *search, enum hs_byte_search_kind kind, const uint8_t *data,
                     size_t size)
{
    for (int32_t i = search->heads[hash_of(data)]; i >= 0; i = search->patterns[i].next) {
        const struct hs_byte_pattern *pattern = &search->patterns[i];
        if (pattern->kind == kind && pattern->size == size && memcmp(pattern->data, data, size) == 0)
            return true;
    }
    return false;
}

static int add(struct hs_byte_search *search, enum hs_byte_search_kind kind, const void *data, size_t size)
{
    if (is_known(search, kind, data, size))
        return 0;
    if (!make_room(search))
        return HS_ENOMEM;
    struct hs_byte_pattern *pattern = &search->patterns[search->count];
    memcpy(pattern->data, data, size);
    uint32_t hash = hash_of(pattern->data);
    pattern->size = (uint8_t) size;
    pattern->kind = (uint8_t) kind;
    pattern->next = search->heads[hash];
    search->heads[hash] = (int32_t) search->count++;
    return 0;
}

int hs_byte_search_add_vector(struct hs_byte_search *search, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    int r = 0;
    for (size_t at = 0; r == 0 && at + HS_BYTE_SEARCH_PART <= size; at += HS_BYTE_SEARCH_PART)
        if (memcmp(bytes + at, bytes + at + 1, HS_BYTE_SEARCH_PART - 1) != 0)
            r = add(search, HS_BYTE_SEARCH_VECTOR, bytes + at, HS_BYTE_SEARCH_PART);
    return r;
}

int hs_byte_search_add_text(struct hs_byte_search *search, enum hs_byte_search_kind kind, const char *text)
{
    size_t len = strnlen(text, HS_BYTE_SEARCH_PART);
    if (len < HS_BYTE_SEARCH_TEXT_MIN)
        return 0;
    int r = add(search, kind, text, len);
    return r < 0 ? r : 1;
}

/* Counts the matches that begin in the first `begin` of `size` bytes. */
static void scan(const struct hs_byte_search *search, const uint8_t *data, size_t begin, size_t size,
                 struct hs_byte_hits *hits)
{
    for (size_t at = 0; at < begin && at + KEY <= size; at++) {
        for (int32_t i = search->heads[hash_of(data + at)]; i >= 0; i = search->patterns[i].next) {
            const struct hs_byte_pattern *pattern = &search->patterns[i];
            if (pattern->size <= size - at && memcmp(data + at, pattern->data, pattern->size) == 0)
                hits->hits[pattern->kind]++;
        }
    }
}

void hs_byte_search_data(const struct hs_byte_search *search, const void *data, size_t size, struct hs_byte_hits *hits)
{
    scan(search, data, size, size, hits);
    hits->bytes += (int64_t) size;
}

/* Each piece begins with the end of the one before, in which a match could not begin yet. */
int hs_byte_search_source(const struct hs_byte_search *search,
                          int64_t (*read)(void *arg, int64_t at, void *data, size_t size), void *arg,
                          struct hs_byte_hits *hits, struct hs_error *err)
{
    enum { OVERLAP = HS_BYTE_SEARCH_PART - 1 };
    uint8_t *piece = malloc(OVERLAP + PIECE);
    if (!piece)
        return hs_error_set(err, HS_ENOMEM, "no memory for the search");
    size_t kept = 0;
    int64_t got, at = 0;
    while ((got = read(arg, at, piece + kept, PIECE)) > 0) {
        size_t size = kept + (size_t) got, rest = size < OVERLAP ? size : OVERLAP;
        scan(search, piece, size - rest, size, hits);
        memmove(piece, piece + size - rest, rest);
        kept = rest;
        at += got;
    }
    scan(search, piece, kept, kept, hits);
    hits->bytes += at;
    hs_mem_free_wiped(piece, OVERLAP + PIECE);
    return got < 0 ? hs_error_set(err, (int) got, "cannot be read to its end") : 0;
}

static int64_t read_gzip(void *arg, int64_t at, void *data, size_t size)
{
    (void) at;
    int got = gzread(arg, data, (unsigned) size);
    return got < 0 ? HS_EIO : got;
}

int hs_byte_search_file(const struct hs_byte_search *search, const char *path, struct hs_byte_hits *hits,
                        struct hs_error *err)
{
    int fd, r = hs_file_open(path, &fd, err);
    if (r < 0)
        return r;
    gzFile in = gzdopen(fd, "rb"); /* reads a file that is not compressed as it is */
    if (!in) {
        close(fd);
        return hs_error_set(err, HS_ENOMEM, "no memory for the search");
    }
    r = hs_byte_search_source(search, read_gzip, in, hits, err);
    if (gzclose(in) != Z_OK && r == 0)
        r = hs_error_set(err, HS_EIO, "cannot be read to its end");
    return r;
}
