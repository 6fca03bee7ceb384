/* Draws pictures that a test distinguishes by the simulated device's output for them. */
#ifndef HS_TESTS_STRIPES_H
#define HS_TESTS_STRIPES_H

#include <stdint.h>

/* Draws a square of coloured stripes; different seeds give different pictures. */
static inline void draw_stripes(uint8_t *rgb, int side, uint64_t seed)
{
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) {
            uint64_t cell = (uint64_t) (y / 7 * 16 + x / 7) + seed * 1000003;
            cell = (cell ^ cell >> 13) * UINT64_C(0x9E3779B97F4A7C15);
            for (int c = 0; c < 3; c++)
                rgb[(y * side + x) * 3 + c] = (uint8_t) (cell >> (24 + 8 * c));
        }
}

#endif
