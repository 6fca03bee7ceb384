/* Which embeddings of one identity stay when there are too many: those that are most different from one another, for
 * each space by itself. Fed one by one, oldest first, it holds no more than may stay. */
#ifndef HS_GALLERY_KEPT_H
#define HS_GALLERY_KEPT_H

#include <stddef.h>
#include <stdint.h>

struct hs_kept_one;

struct hs_kept {
    size_t max;
    struct hs_kept_one *items; /* those that stay, so far */
    size_t count, room;
    int64_t *dropped; /* ids, in the order in which they went */
    size_t dropped_count, dropped_room;
};

void hs_kept_init(struct hs_kept *kept, size_t max);
void hs_kept_finish(struct hs_kept *kept);

/* Takes one more; where its space now has more than max, one of that space is dropped: of the most similar pair the one
 * with the lower score, then the older. Vectors are of length 1; one of dimension 0 cannot be compared and goes first.
 * Texts and values are copied. 0 or HS_ENOMEM. */
int hs_kept_add(struct hs_kept *kept, int64_t id, const char *space, const float *values, size_t dimension,
                double score);

#endif
