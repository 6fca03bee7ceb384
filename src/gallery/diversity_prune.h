/* Selects the embeddings of one identity to keep if there are too many: the most diverse ones,
 * separately for each space. Takes embeddings one at a time, oldest first, and holds no more than
 * may be kept. */
#ifndef HS_GALLERY_DIVERSITY_PRUNE_H
#define HS_GALLERY_DIVERSITY_PRUNE_H

#include <stddef.h>
#include <stdint.h>

struct hs_prune_item;

struct hs_prune {
    size_t max;
    struct hs_prune_item *items; /* embeddings kept so far */
    size_t count, capacity;
    int64_t *dropped; /* ids, in the order in which they were dropped */
    size_t dropped_count, dropped_capacity;
};

void hs_prune_init(struct hs_prune *prune, size_t max);
void hs_prune_finish(struct hs_prune *prune);

/* Adds an embedding. If its space then has more than max, drops one of that space: of the most
 * similar pair the one with the lower score, or else the older. Vectors have length 1; an embedding
 * of dimension 0 cannot be compared and is dropped first. Copies texts and values. Returns 0 or
 * HS_ENOMEM. */
int hs_prune_add(struct hs_prune *prune, int64_t id, const char *space, const float *values, size_t dimension,
                 double score);

#endif
