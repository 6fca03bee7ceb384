/* Reads a Python pickle as data. A pickle is a program; this interpreter knows the opcodes that PyTorch's serialiser
 * uses for data, and three calls (OrderedDict, _rebuild_parameter, _rebuild_tensor_v2), which it answers itself. Every
 * other class or function that the file names becomes an inert record. Nothing is looked up, imported or executed.
 * Values may be shared and may form cycles; who walks them bounds the depth. */
#ifndef HS_CONVERT_PICKLE_H
#define HS_CONVERT_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "convert/arena.h"
#include "hs/status.h"

enum hs_pickle_type {
    HS_PICKLE_NONE,
    HS_PICKLE_BOOL,
    HS_PICKLE_INT,
    HS_PICKLE_DOUBLE,
    HS_PICKLE_STRING, /* well-formed UTF-8 */
    HS_PICKLE_BYTES,
    HS_PICKLE_TUPLE,
    HS_PICKLE_LIST, /* a set too */
    HS_PICKLE_DICT,
    HS_PICKLE_TENSOR,
    HS_PICKLE_RECORD,
};

enum { HS_PICKLE_MAX_DIMS = 8 };

enum hs_pickle_dtype { HS_PICKLE_F16, HS_PICKLE_F32, HS_PICKLE_F64, HS_PICKLE_I32, HS_PICKLE_I64, HS_PICKLE_OTHER };

struct hs_pickle_value;

/* A text is not terminated: it lies in the pickle itself. */
struct hs_pickle_text {
    const char *data;
    size_t len;
};

struct hs_pickle_items {
    struct hs_pickle_value **data;
    uint32_t len, capacity;
};

struct hs_pickle_entry {
    struct hs_pickle_value *key, *value;
};

/* Entries in the order of insertion, keys unique. `index` is a hash table of entry numbers. */
struct hs_pickle_dict {
    struct hs_pickle_entry *entries;
    uint32_t *index;
    uint32_t len, capacity;
};

/* Numbers `offset`, `size` and `stride` count elements. Nothing is checked here but that there are as many strides as
 * sizes: hs_pt_archive_read_tensor checks them against the storage. */
struct hs_pickle_tensor {
    enum hs_pickle_dtype dtype;
    const char *storage_kind; /* "torch HalfStorage" */
    struct hs_pickle_text key;
    int64_t count; /* elements of the whole storage */
    int64_t offset;
    int dims;
    int64_t size[HS_PICKLE_MAX_DIMS], stride[HS_PICKLE_MAX_DIMS];
};

/* A class, a function or an object that the file names: its name, its arguments, its attributes. No behaviour. */
struct hs_pickle_record {
    const char *kind;                   /* "module name", printable ASCII */
    const struct hs_pickle_value *args; /* NULL for a bare name */
    struct hs_pickle_dict state;
};

struct hs_pickle_value {
    enum hs_pickle_type type;
    union {
        bool boolean;
        int64_t integer;
        double real;
        struct hs_pickle_text text;
        struct hs_pickle_items items; /* tuple, list */
        struct hs_pickle_dict *dict;
        struct hs_pickle_tensor *tensor;
        struct hs_pickle_record *record;
    };
};

/* Building; memory comes from the arena. HS_ENOMEM if that has none. hs_pickle_dict_set keeps the place of a key
 * that is there; HS_EINVAL for a key that cannot be one (a list, a dict). Python's equality: True, 1 and 1.0 are one
 * key; but a tuple, a record or a tensor is equal only to itself. */
int hs_pickle_items_append(struct hs_arena *arena, struct hs_pickle_items *items, struct hs_pickle_value *value);
int hs_pickle_dict_set(struct hs_arena *arena, struct hs_pickle_dict *dict, struct hs_pickle_value *key,
                       struct hs_pickle_value *value);

/* Reading. All take NULL and values of any type, and return NULL or false if there is no such thing. */
const struct hs_pickle_value *hs_pickle_get(const struct hs_pickle_value *dict, const char *key);
const struct hs_pickle_value *hs_pickle_attribute(const struct hs_pickle_value *record, const char *name);
const char *hs_pickle_kind(const struct hs_pickle_value *record);      /* "" for what is no record */
const char *hs_pickle_kind_name(const struct hs_pickle_value *record); /* what follows the last space of the kind */
bool hs_pickle_is_text(const struct hs_pickle_value *value, const char *text);
bool hs_pickle_is_true(const struct hs_pickle_value *value); /* Python's truth; a record and a tensor are true */
bool hs_pickle_to_int(const struct hs_pickle_value *value, int64_t *ret);              /* an int, not a bool */
bool hs_pickle_to_double(const struct hs_pickle_value *value, double *ret);            /* a float or an int */
const struct hs_pickle_items *hs_pickle_to_items(const struct hs_pickle_value *value); /* of a tuple or a list */

/* Appends Python's repr(); a record is <kind>. HS_ETOOLARGE past `buf`'s maximum, HS_EINVAL at a depth of 16. */
int hs_pickle_repr(const struct hs_pickle_value *value, struct hs_buf *buf);

/* repr for an error message: one line, cut to size. NULL gives "nothing". */
void hs_pickle_describe(const struct hs_pickle_value *value, char *dst, size_t size);

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
