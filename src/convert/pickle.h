/* Reads a Python pickle as data. A pickle is a program; this interpreter knows the opcodes that PyTorch's serialiser
 * uses for data, and three calls (OrderedDict, _rebuild_parameter, _rebuild_tensor_v2), which it answers itself. Every
 * other class or function that the file names becomes an inert record. Nothing is looked up, imported or executed. */
#ifndef HS_CONVERT_PICKLE_H
#define HS_CONVERT_PICKLE_H

#include "convert/pickle_value.h"
#include "hs/status.h"

/* A checkpoint saved in training holds about 100 000 values. */
enum {
    HS_PICKLE_MAX_BYTES = 64 << 20,
    HS_PICKLE_MAX_MEMORY = 128 << 20,
    HS_PICKLE_MAX_VALUES = 2000000,
    HS_PICKLE_MAX_STACK = 1000000,
    HS_PICKLE_MAX_MARKS = 10000,
    HS_PICKLE_MAX_MEMO = 2000000,
};

/* Fills an arena (initialised, the caller finishes it whatever happens) with what `data` describes. Texts in the values
 * point into `data`, which therefore must live as long. HS_EMODEL with the reason and the byte, HS_ENOMEM. */
int hs_pickle_read(const uint8_t *data, size_t len, struct hs_arena *arena, const struct hs_pickle_value **ret_root,
                   struct hs_error *err);

#endif
