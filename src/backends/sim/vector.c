#include "backends/sim/vector.h"

#include "backends/sim/tensor_write.h"

enum { GRID = 16, BLOCKS = GRID * GRID };

#define CONSTANT 8.0f

void hs_sim_vector_describe(enum hs_dtype dtype, struct hs_tensor_desc *ret_desc)
{
    /* Eight bits represent -256 to 254. */
    float finer = dtype == HS_DTYPE_U16 ? 256 : 1;
    hs_sim_describe(ret_desc, "embedding", 1, 1, 1, HS_SIM_VECTOR_SIZE, dtype, 2 / finer, 128 * finer);
    hs_str_copy(ret_desc->name, sizeof(ret_desc->name), "sim/embedding");
}

/* Returns the first pixel of block `index` of a side; one seventh on each edge is left out. */
static int edge(int index, int side)
{
    return side / 7 + index * (side - 2 * (side / 7)) / GRID;
}

static void measure_block(const uint8_t *rgb, int h, int w, int block, float *ret_brightness, float *ret_warmth)
{
    int x1 = edge(block % GRID, w), x2 = edge(block % GRID + 1, w), y1 = edge(block / GRID, h),
        y2 = edge(block / GRID + 1, h);
    float sums[3] = { 0 };
    for (int y = y1; y < y2; y++)
        for (int x = x1; x < x2; x++)
            for (int c = 0; c < 3; c++)
                sums[c] += (float) rgb[((size_t) y * (size_t) w + (size_t) x) * 3 + (size_t) c];
    float pixels = (float) ((x2 - x1) * (y2 - y1));
    *ret_brightness = pixels > 0 ? (sums[0] + sums[1] + sums[2]) / 3 / pixels : 0;
    *ret_warmth = pixels > 0 ? (sums[0] - sums[2]) / pixels : 0;
}

void hs_sim_vector_fill(const struct hs_tensor_desc *desc, const uint8_t *rgb, int h, int w, void *data)
{
    float values[HS_SIM_VECTOR_SIZE], mean = 0;
    for (int i = 0; i < BLOCKS; i++) {
        measure_block(rgb, h, w, i, &values[i], &values[BLOCKS + i]);
        mean += values[i] / BLOCKS;
    }
    for (int i = 0; i < BLOCKS; i++)
        values[i] -= mean;
    values[HS_SIM_VECTOR_SIZE - 1] = CONSTANT;
    for (int i = 0; i < HS_SIM_VECTOR_SIZE; i++)
        hs_sim_tensor_set(desc, data, (size_t) i, values[i]);
}
