/* Reads a Python pickle as data. A pickle is a program; this interpreter implements the opcodes
 * that PyTorch's serialiser uses for data, and three calls (OrderedDict, _rebuild_parameter,
 * _rebuild_tensor_v2). Every other class or function named in the file becomes an inert record.
 * Nothing is looked up, imported or executed. Values may be shared and may form cycles; code that
 * walks them must limit the depth. */
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
    HS_PICKLE_LIST, /* also a set */
    HS_PICKLE_DICT,
    HS_PICKLE_TENSOR,
    HS_PICKLE_RECORD,
};

enum { HS_PICKLE_MAX_DIMS = 8 };

enum hs_pickle_dtype { HS_PICKLE_F16, HS_PICKLE_F32, HS_PICKLE_F64, HS_PICKLE_I32, HS_PICKLE_I64, HS_PICKLE_OTHER };

struct hs_pickle_value;

/* Text in the pickle's own bytes, without a terminator. */
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

/* Entries in order of insertion, with unique keys. `index` is a hash table of entry numbers. */
struct hs_pickle_dict {
    struct hs_pickle_entry *entries;
    uint32_t *index;
    uint32_t len, capacity;
};

/* `offset`, `size` and `stride` count elements. Only the number of strides has been checked (one
 * for each size); hs_pt_archive_read_tensor checks the values against the storage. */
struct hs_pickle_tensor {
    enum hs_pickle_dtype dtype;
    const char *storage_kind; /* "torch HalfStorage" */
    struct hs_pickle_text key;
    int64_t count; /* elements of the whole storage */
    int64_t offset;
    int dims;
    int64_t size[HS_PICKLE_MAX_DIMS], stride[HS_PICKLE_MAX_DIMS];
};

/* A class, a function or an object named in the file: name, arguments, attributes. It has no
 * behaviour. */
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

/* Building. Memory comes from the arena; HS_ENOMEM if it is exhausted. hs_pickle_dict_set replaces
 * the value of an existing key in place; HS_EINVAL for an unhashable key (a list, a dict). Equality
 * of keys is Python's: True, 1 and 1.0 are one key. However, a tuple, a record or a tensor is equal
 * only to itself. */
int hs_pickle_items_append(struct hs_arena *arena, struct hs_pickle_items *items, struct hs_pickle_value *value);
int hs_pickle_dict_set(struct hs_arena *arena, struct hs_pickle_dict *dict, struct hs_pickle_value *key,
                       struct hs_pickle_value *value);

/* Reading. All accept NULL and values of any type, and return NULL or false if the value has no
 * such part or is of another type. */
const struct hs_pickle_value *hs_pickle_get(const struct hs_pickle_value *dict, const char *key);
const struct hs_pickle_value *hs_pickle_attribute(const struct hs_pickle_value *record, const char *name);
const char *hs_pickle_kind(const struct hs_pickle_value *record);      /* "" if it is not a record */
const char *hs_pickle_kind_name(const struct hs_pickle_value *record); /* the part of the kind after the last space */
bool hs_pickle_is_text(const struct hs_pickle_value *value, const char *text);
bool hs_pickle_is_true(const struct hs_pickle_value *value); /* Python's truth value; records and tensors are true */
bool hs_pickle_to_int(const struct hs_pickle_value *value, int64_t *ret);              /* an int, not a bool */
bool hs_pickle_to_double(const struct hs_pickle_value *value, double *ret);            /* a float or an int */
const struct hs_pickle_items *hs_pickle_to_items(const struct hs_pickle_value *value); /* of a tuple or a list */

/* Appends Python's repr(); a record is written as <kind>. HS_ETOOLARGE if `buf` is full, HS_EINVAL
 * at a depth of 16. */
int hs_pickle_repr(const struct hs_pickle_value *value, struct hs_buf *buf);

/* Writes repr() for an error message: one line, truncated to size. NULL is written as "nothing". */
void hs_pickle_describe(const struct hs_pickle_value *value, char *dst, size_t size);

/* For comparison, a checkpoint saved in training holds about 100 000 values. */
enum {
    HS_PICKLE_MAX_BYTES = 64 << 20,
    HS_PICKLE_MAX_MEMORY = 128 << 20,
    HS_PICKLE_MAX_VALUES = 2000000,
    HS_PICKLE_MAX_STACK = 1000000,
    HS_PICKLE_MAX_MARKS = 10000,
    HS_PICKLE_MAX_MEMO = 2000000,
};

/* Reads a pickle into an initialised arena, which the caller finishes in every case. Texts in the
 * values point into `data`, which must outlive them. HS_EMODEL with the reason and the byte offset,
 * HS_ENOMEM. */
int hs_pickle_read(const uint8_t *data, size_t len, struct hs_arena *arena, const struct hs_pickle_value **ret_root,
                   struct hs_error *err);

#endif
