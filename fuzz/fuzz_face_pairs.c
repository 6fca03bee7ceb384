/* Pairs of an evaluation: an accepted list holds only valid values. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "face/pairs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(const struct hs_face_pairs *pairs)
{
    if (pairs->pair_count == 0)
        abort();
    for (size_t i = 0; i < pairs->pair_count; i++)
        if (pairs->pairs[i].a >= pairs->picture_count || pairs->pairs[i].b >= pairs->picture_count)
            abort();
    for (size_t i = 0; i < pairs->picture_count; i++) {
        const struct hs_face_picture *p = &pairs->pictures[i];
        if (!p->path[0] || (p->has_box && !(p->box.x2 > p->box.x1 && p->box.y2 > p->box.y1)))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct hs_face_pairs *pairs;
    struct hs_error err;
    int r = hs_face_pairs_parse((const char *) data, len, "input", &pairs, &err);
    if (r < 0 && (err.code != r || !err.message[0]))
        abort();
    if (r < 0)
        return 0;
    check(pairs);
    hs_face_pairs_destroy(pairs);
    return 0;
}
