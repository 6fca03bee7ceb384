#include "gallery/search_map.h"

#include <assert.h>
#include <stdlib.h>

#include "hs/status.h"

enum { FIRST_SLOTS = 8 };

/* The last step of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). */
static uint64_t hash_of(int64_t id)
{
    uint64_t h = (uint64_t) id + UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ h >> 27) * UINT64_C(0x94d049bb133111eb);
    return h ^ h >> 31;
}

_Static_assert(HS_SEARCH_MAP_PARTS == 1 << 6, "the highest six bits choose a part");

static size_t part_of(uint64_t hash)
{
    return hash >> 58;
}

/* The slot that has the id, or the empty one where it belongs. A part is never full. */
static struct hs_search_map_slot *probe(const struct hs_search_map_part *part, uint64_t hash, int64_t id)
{
    uint32_t at = (uint32_t) hash & part->mask;
    while (part->slots[at].used && part->slots[at].id != id)
        at = (at + 1) & part->mask;
    return &part->slots[at];
}

void hs_search_map_finish(struct hs_search_map *map)
{
    for (size_t i = 0; i < HS_SEARCH_MAP_PARTS; i++)
        free(map->parts[i].slots);
}

uint32_t *hs_search_map_find(const struct hs_search_map *map, int64_t id)
{
    uint64_t hash = hash_of(id);
    const struct hs_search_map_part *part = &map->parts[part_of(hash)];
    if (!part->slots)
        return NULL;
    struct hs_search_map_slot *slot = probe(part, hash, id);
    return slot->used ? &slot->row : NULL;
}

static int grow(struct hs_search_map_part *part)
{
    uint32_t old = part->slots ? part->mask + 1 : 0, wanted = old ? old * 2 : FIRST_SLOTS;
    struct hs_search_map_part larger = { .mask = wanted - 1, .count = part->count };
    larger.slots = calloc(wanted, sizeof(*larger.slots));
    if (!larger.slots)
        return HS_ENOMEM;
    for (uint32_t i = 0; i < old; i++)
        if (part->slots[i].used)
            *probe(&larger, hash_of(part->slots[i].id), part->slots[i].id) = part->slots[i];
    free(part->slots);
    *part = larger;
    return 0;
}

int hs_search_map_add(struct hs_search_map *map, int64_t id, uint32_t row)
{
    uint64_t hash = hash_of(id);
    struct hs_search_map_part *part = &map->parts[part_of(hash)];
    /* at most three quarters full */
    if (!part->slots || part->count + 1 > part->mask - part->mask / 4) {
        int r = grow(part);
        if (r < 0)
            return r;
    }
    *probe(part, hash, id) = (struct hs_search_map_slot) { .id = id, .row = row, .used = 1 };
    part->count++;
    return 0;
}

/* Entries behind the hole move into it where that brings them no further than their own place (Knuth, The Art of
 * Computer Programming 3, 6.4, algorithm R), so no marks of removed entries pile up. */
void hs_search_map_remove(struct hs_search_map *map, int64_t id)
{
    uint64_t hash = hash_of(id);
    struct hs_search_map_part *part = &map->parts[part_of(hash)];
    struct hs_search_map_slot *hole = probe(part, hash, id);
    assert(hole->used);
    for (struct hs_search_map_slot *slot = hole;;) {
        slot = &part->slots[(uint32_t) (slot - part->slots + 1) & part->mask];
        if (!slot->used)
            break;
        uint32_t home = (uint32_t) hash_of(slot->id) & part->mask;
        uint32_t from_home = ((uint32_t) (slot - part->slots) - home) & part->mask;
        uint32_t from_hole = (uint32_t) (slot - hole) & part->mask;
        if (from_home >= from_hole) {
            *hole = *slot;
            hole = slot;
        }
    }
    hole->used = 0;
    part->count--;
}

size_t hs_search_map_memory(const struct hs_search_map *map)
{
    size_t bytes = sizeof(*map);
    for (size_t i = 0; i < HS_SEARCH_MAP_PARTS; i++)
        if (map->parts[i].slots)
            bytes += ((size_t) map->parts[i].mask + 1) * sizeof(*map->parts[i].slots);
    return bytes;
}
