/* From an embedding's id to its row. Not thread-safe. */
#ifndef HS_GALLERY_SEARCH_MAP_H
#define HS_GALLERY_SEARCH_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hs_search_map_slot {
    int64_t id;
    uint32_t row, used;
};

/* Open addressing with linear probing; mask + 1 slots, a power of two, or none yet. */
struct hs_search_map_part {
    struct hs_search_map_slot *slots;
    uint32_t mask, count;
};

/* Many small tables instead of a large one, so that no single addition pays for moving a million entries. */
enum { HS_SEARCH_MAP_PARTS = 64 };

struct hs_search_map {
    struct hs_search_map_part parts[HS_SEARCH_MAP_PARTS];
};

/* A map of zeros is empty. */
void hs_search_map_finish(struct hs_search_map *map);

/* Borrowed until the next change; NULL where the id is absent. */
uint32_t *hs_search_map_find(const struct hs_search_map *map, int64_t id);

/* The id is absent. HS_ENOMEM, and nothing changes. */
int hs_search_map_add(struct hs_search_map *map, int64_t id, uint32_t row);

/* The id is present. */
void hs_search_map_remove(struct hs_search_map *map, int64_t id);

size_t hs_search_map_memory(const struct hs_search_map *map);

#endif
