/* Which embeddings of one identity stay when there are too many: those that are most different from one another, for
 * each space by itself. Fed one by one, oldest first, it holds no more than may stay. */
#ifndef HS_GALLERY_DIVERSITY_PRUNE_H
#define HS_GALLERY_DIVERSITY_PRUNE_H

#include <stddef.h>
#include <stdint.h>

struct hs_prune_item;

struct hs_prune {
    size_t max;
    struct hs_prune_item *items; /* those that stay, so far */
    size_t count, room;
    int64_t *dropped; /* ids, in the order in which they went */
    size_t dropped_count, dropped_room;
};

void hs_prune_init(struct hs_prune *kept, size_t max);
void hs_prune_finish(struct hs_prune *kept);

/* Takes one more; if its space now has more than max, one of that space is dropped: of the most similar pair the one
 * with the lower score, then the older. Vectors are of length 1; one of dimension 0 cannot be compared and goes first.
 * Texts and values are copied. 0 or HS_ENOMEM. */
int hs_prune_add(struct hs_prune *kept, int64_t id, const char *space, const float *values, size_t dimension,
                 double score);

#endif
