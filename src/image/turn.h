/* Maps EXIF orientations to columns and rows. */
#ifndef HS_IMAGE_TURN_H
#define HS_IMAGE_TURN_H

#include <assert.h>
#include <stdbool.h>

/* The upright pixel (x, y) is the stored pixel at column x and row y, or with `swap` at column y and
 * row x. A coordinate is counted from the far end if its flag is set. */
struct hs_turn {
    bool swap, far_column, far_row;
};

/* EXIF 2.32, 4.6.4 A, "Orientation": 1..8. */
static inline struct hs_turn hs_turn_of(int orientation)
{
    static const struct hs_turn turns[9] = {
        [2] = { false, true, false }, [3] = { false, true, true }, [4] = { false, false, true },
        [5] = { true, false, false }, [6] = { true, false, true }, [7] = { true, true, true },
        [8] = { true, true, false },
    };
    assert(orientation >= 1 && orientation <= 8);
    return turns[orientation];
}

#endif
