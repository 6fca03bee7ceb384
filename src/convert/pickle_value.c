#include "convert/pickle_value.h"

#include <math.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>
#include <sys/random.h>

#include "base/str.h"

enum { INDEX_FROM = 16 };

/* Doubles the array `data` of `size`-byte elements when it is full. */
static int grow(struct hs_arena *arena, void **data, uint32_t len, uint32_t *capacity, size_t size)
{
    if (len < *capacity)
        return 0;
    if (*capacity > UINT32_MAX / 2)
        return HS_ENOMEM;
    uint32_t more = *capacity ? *capacity * 2 : 4;
    void *copy = hs_arena_alloc(arena, more * size);
    if (!copy)
        return HS_ENOMEM;
    if (len)
        memcpy(copy, *data, len * size);
    *data = copy;
    *capacity = more;
    return 0;
}

int hs_pickle_items_append(struct hs_arena *arena, struct hs_pickle_items *items, struct hs_pickle_value *value)
{
    void *data = items->data;
    int r = grow(arena, &data, items->len, &items->capacity, sizeof(items->data[0]));
    if (r < 0)
        return r;
    items->data = data;
    items->data[items->len++] = value;
    return 0;
}

/* ---- dictionaries: linear while small, then an open-addressing table of entry numbers + 1 ---- */

static uint8_t hash_key[crypto_shorthash_KEYBYTES];

/* A secret key, because whoever writes a pickle could else choose keys that all fall on one place. */
static void make_hash_key(void)
{
    if (getrandom(hash_key, sizeof(hash_key), GRND_NONBLOCK) < 0)
        memset(hash_key, 0, sizeof(hash_key));
}

/* True, 1 and 1.0 are the same key. */
static bool key_as_int(const struct hs_pickle_value *key, int64_t *ret)
{
    switch (key->type) {
    case HS_PICKLE_BOOL:
        *ret = key->boolean;
        return true;
    case HS_PICKLE_INT:
        *ret = key->integer;
        return true;
    case HS_PICKLE_DOUBLE:
        if (!(key->real >= -0x1p62 && key->real <= 0x1p62) || key->real != floor(key->real))
            return false;
        *ret = (int64_t) key->real;
        return true;
    default:
        return false;
    }
}

static uint64_t hash_bytes(const void *data, size_t len)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    uint8_t out[crypto_shorthash_BYTES];
    uint64_t hash;
    _Static_assert(sizeof(out) == sizeof(hash), "a 64-bit hash");
    pthread_once(&once, make_hash_key);
    crypto_shorthash(out, data, len, hash_key);
    memcpy(&hash, out, sizeof(hash));
    return hash;
}

static uint64_t hash_of(const struct hs_pickle_value *key)
{
    int64_t integer;
    if (key_as_int(key, &integer))
        return hash_bytes(&integer, sizeof(integer));
    if (key->type == HS_PICKLE_STRING || key->type == HS_PICKLE_BYTES)
        return hash_bytes(key->text.data, key->text.len);
    if (key->type == HS_PICKLE_DOUBLE && !isnan(key->real)) /* a NaN is equal only to itself, so many may be keys */
        return hash_bytes(&key->real, sizeof(key->real));
    if (key->type == HS_PICKLE_NONE)
        return 0;
    return hash_bytes(&key, sizeof(key));
}

/* Tuples and records are equal only to themselves: a checkpoint has no use for more. */
static bool keys_equal(const struct hs_pickle_value *a, const struct hs_pickle_value *b)
{
    int64_t x, y;
    if (a == b)
        return true;
    if (key_as_int(a, &x))
        return key_as_int(b, &y) && x == y;
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case HS_PICKLE_NONE:
        return true;
    case HS_PICKLE_DOUBLE:
        return a->real == b->real;
    case HS_PICKLE_STRING:
    case HS_PICKLE_BYTES:
        return a->text.len == b->text.len && (a->text.len == 0 || !memcmp(a->text.data, b->text.data, a->text.len));
    default:
        return false;
    }
}

static size_t index_size(const struct hs_pickle_dict *dict)
{
    return (size_t) dict->capacity * 2;
}

static void index_insert(const struct hs_pickle_dict *dict, uint32_t entry)
{
    size_t mask = index_size(dict) - 1, at = hash_of(dict->entries[entry].key) & mask;
    while (dict->index[at])
        at = (at + 1) & mask;
    dict->index[at] = entry + 1;
}

static struct hs_pickle_entry *dict_find(const struct hs_pickle_dict *dict, const struct hs_pickle_value *key)
{
    for (uint32_t i = 0; !dict->index && i < dict->len; i++)
        if (keys_equal(dict->entries[i].key, key))
            return &dict->entries[i];
    size_t mask = index_size(dict) - 1;
    for (size_t at = dict->index ? hash_of(key) & mask : 0; dict->index && dict->index[at]; at = (at + 1) & mask) {
        struct hs_pickle_entry *entry = &dict->entries[dict->index[at] - 1];
        if (keys_equal(entry->key, key))
            return entry;
    }
    return NULL;
}

/* Capacities are powers of two, so the index (twice as large) never fills and masks work. */
static int dict_grow(struct hs_arena *arena, struct hs_pickle_dict *dict)
{
    uint32_t before = dict->capacity;
    void *entries = dict->entries;
    int r = grow(arena, &entries, dict->len, &dict->capacity, sizeof(dict->entries[0]));
    if (r < 0)
        return r;
    dict->entries = entries;
    if (dict->capacity == before || dict->capacity < INDEX_FROM)
        return 0;
    uint32_t *index = hs_arena_alloc(arena, index_size(dict) * sizeof(*index));
    if (!index) {
        dict->capacity = before;
        return HS_ENOMEM;
    }
    dict->index = index;
    for (uint32_t i = 0; i < dict->len; i++)
        index_insert(dict, i);
    return 0;
}

int hs_pickle_dict_set(struct hs_arena *arena, struct hs_pickle_dict *dict, struct hs_pickle_value *key,
                       struct hs_pickle_value *value)
{
    if (key->type == HS_PICKLE_LIST || key->type == HS_PICKLE_DICT)
        return HS_EINVAL;
    struct hs_pickle_entry *entry = dict_find(dict, key);
    if (entry) {
        entry->value = value;
        return 0;
    }
    int r = dict_grow(arena, dict);
    if (r < 0)
        return r;
    dict->entries[dict->len++] = (struct hs_pickle_entry) { key, value };
    if (dict->index)
        index_insert(dict, dict->len - 1);
    return 0;
}

/* ---- reading ---- */

static const struct hs_pickle_value *dict_get(const struct hs_pickle_dict *dict, const char *key)
{
    const struct hs_pickle_value name = { .type = HS_PICKLE_STRING, .text = { key, strlen(key) } };
    const struct hs_pickle_entry *entry = dict_find(dict, &name);
    return entry ? entry->value : NULL;
}

const struct hs_pickle_value *hs_pickle_get(const struct hs_pickle_value *dict, const char *key)
{
    return dict && dict->type == HS_PICKLE_DICT ? dict_get(dict->dict, key) : NULL;
}

const struct hs_pickle_value *hs_pickle_attribute(const struct hs_pickle_value *record, const char *name)
{
    return record && record->type == HS_PICKLE_RECORD ? dict_get(&record->record->state, name) : NULL;
}

const char *hs_pickle_kind(const struct hs_pickle_value *record)
{
    return record && record->type == HS_PICKLE_RECORD ? record->record->kind : "";
}

const char *hs_pickle_kind_name(const struct hs_pickle_value *record)
{
    const char *kind = hs_pickle_kind(record), *space = strrchr(kind, ' ');
    return space ? space + 1 : kind;
}

bool hs_pickle_is_text(const struct hs_pickle_value *value, const char *text)
{
    return value && value->type == HS_PICKLE_STRING && value->text.len == strlen(text) &&
           !memcmp(value->text.data, text, value->text.len);
}

bool hs_pickle_is_true(const struct hs_pickle_value *value)
{
    switch (value ? value->type : HS_PICKLE_NONE) {
    case HS_PICKLE_NONE:
        return false;
    case HS_PICKLE_BOOL:
        return value->boolean;
    case HS_PICKLE_INT:
        return value->integer != 0;
    case HS_PICKLE_DOUBLE:
        return value->real != 0;
    case HS_PICKLE_STRING:
    case HS_PICKLE_BYTES:
        return value->text.len != 0;
    case HS_PICKLE_TUPLE:
    case HS_PICKLE_LIST:
        return value->items.len != 0;
    case HS_PICKLE_DICT:
        return value->dict->len != 0;
    default:
        return true;
    }
}

bool hs_pickle_to_int(const struct hs_pickle_value *value, int64_t *ret)
{
    if (!value || value->type != HS_PICKLE_INT)
        return false;
    *ret = value->integer;
    return true;
}

bool hs_pickle_to_double(const struct hs_pickle_value *value, double *ret)
{
    if (!value || (value->type != HS_PICKLE_DOUBLE && value->type != HS_PICKLE_INT))
        return false;
    *ret = value->type == HS_PICKLE_DOUBLE ? value->real : (double) value->integer;
    return true;
}

const struct hs_pickle_items *hs_pickle_to_items(const struct hs_pickle_value *value)
{
    return value && (value->type == HS_PICKLE_TUPLE || value->type == HS_PICKLE_LIST) ? &value->items : NULL;
}
