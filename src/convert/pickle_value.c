#include "convert/pickle.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>
#include <sys/random.h>

#include "base/json_writer.h"
#include "base/mem.h"
#include "base/str.h"

enum { MAX_DEPTH = 16 };

/* Doubles the array `data` of `size`-byte elements if it is full. */
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

static uint8_t hash_key[crypto_shorthash_KEYBYTES];

/* The hash key is secret, because a hostile pickle could otherwise choose keys that all collide. */
static void make_hash_key(void)
{
    if (getrandom(hash_key, sizeof(hash_key), GRND_NONBLOCK) < 0)
        memset(hash_key, 0, sizeof(hash_key));
}

/* The form in which keys are compared: equal keys have equal type, bits and text. */
struct canonical {
    enum hs_pickle_type type;
    uint64_t bits;
    struct hs_pickle_text text;
};

/* True, 1 and 1.0 are the same key. Tuples, records and a NaN are equal only to themselves. */
static struct canonical canonical_of(const struct hs_pickle_value *key)
{
    struct canonical ret = { .type = key->type, .bits = (uintptr_t) key };
    bool whole =
        key->type == HS_PICKLE_DOUBLE && key->real >= -0x1p62 && key->real <= 0x1p62 && key->real == floor(key->real);
    if (key->type == HS_PICKLE_INT || whole)
        ret.bits = (uint64_t) (whole ? (int64_t) key->real : key->integer);
    else if (key->type == HS_PICKLE_BOOL || key->type == HS_PICKLE_NONE)
        ret.bits = key->type == HS_PICKLE_BOOL && key->boolean;
    else if (key->type == HS_PICKLE_DOUBLE && !isnan(key->real))
        memcpy(&ret.bits, &key->real, sizeof(ret.bits));
    else if (key->type == HS_PICKLE_STRING || key->type == HS_PICKLE_BYTES)
        ret = (struct canonical) { .type = key->type, .text = key->text };
    if (key->type == HS_PICKLE_BOOL || whole)
        ret.type = HS_PICKLE_INT;
    return ret;
}

static uint64_t hash_of(const struct hs_pickle_value *key)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    uint64_t hash;
    const struct canonical k = canonical_of(key);
    const uint8_t *bytes = k.text.len ? (const uint8_t *) k.text.data : (const uint8_t *) &k.bits;
    _Static_assert(crypto_shorthash_BYTES == sizeof(hash), "a 64-bit hash");
    pthread_once(&once, make_hash_key);
    crypto_shorthash((uint8_t *) &hash, bytes, k.text.len ? k.text.len : sizeof(k.bits), hash_key);
    return hash;
}

static bool keys_equal(const struct hs_pickle_value *a, const struct hs_pickle_value *b)
{
    const struct canonical x = canonical_of(a), y = canonical_of(b);
    return x.type == y.type && x.bits == y.bits && x.text.len == y.text.len &&
           (x.text.len == 0 || !memcmp(x.text.data, y.text.data, x.text.len));
}

/* The index has twice the capacity, which is a power of two: it never fills up, and a mask replaces
 * the modulo. */
static void index_insert(const struct hs_pickle_dict *dict, uint32_t entry)
{
    size_t mask = 2 * (size_t) dict->capacity - 1, at = hash_of(dict->entries[entry].key) & mask;
    while (dict->index[at])
        at = (at + 1) & mask;
    dict->index[at] = entry + 1;
}

static struct hs_pickle_entry *dict_find(const struct hs_pickle_dict *dict, const struct hs_pickle_value *key)
{
    size_t mask = 2 * (size_t) dict->capacity - 1;
    if (dict->len == 0)
        return NULL;
    for (size_t at = hash_of(key) & mask; dict->index[at]; at = (at + 1) & mask) {
        struct hs_pickle_entry *entry = &dict->entries[dict->index[at] - 1];
        if (keys_equal(entry->key, key))
            return entry;
    }
    return NULL;
}

static int dict_grow(struct hs_arena *arena, struct hs_pickle_dict *dict)
{
    uint32_t before = dict->capacity;
    void *entries = dict->entries;
    int r = grow(arena, &entries, dict->len, &dict->capacity, sizeof(dict->entries[0]));
    if (r < 0)
        return r;
    dict->entries = entries;
    if (dict->capacity == before)
        return 0;
    uint32_t *index = hs_arena_alloc(arena, 2 * (size_t) dict->capacity * sizeof(*index));
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
    index_insert(dict, dict->len - 1);
    return 0;
}

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
    enum hs_pickle_type type = value ? value->type : HS_PICKLE_NONE;
    return type == HS_PICKLE_BOOL                                ? value->boolean
           : type == HS_PICKLE_INT                               ? value->integer != 0
           : type == HS_PICKLE_DOUBLE                            ? value->real != 0
           : type == HS_PICKLE_STRING || type == HS_PICKLE_BYTES ? value->text.len != 0
           : type == HS_PICKLE_TUPLE || type == HS_PICKLE_LIST   ? value->items.len != 0
           : type == HS_PICKLE_DICT                              ? value->dict->len != 0
                                                                 : type != HS_PICKLE_NONE;
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

static uint32_t code_point(const char *text, size_t len)
{
    static const uint8_t first[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 }; /* data bits of the first byte */
    uint32_t c = (uint8_t) text[0] & first[len];
    for (size_t i = 1; i < len; i++)
        c = c << 6 | (text[i] & 0x3f);
    return c;
}

/* Unicode's separators, format and control characters, and private-use areas are not printable.
 * Unlike Python, this counts unassigned code points as printable. */
static bool is_printable(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } hidden[] = {
        { 0, 0x1f },        { 0x7f, 0xa0 },     { 0xad, 0xad },        { 0x600, 0x605 },   { 0x61c, 0x61c },
        { 0x6dd, 0x6dd },   { 0x70f, 0x70f },   { 0x1680, 0x1680 },    { 0x180e, 0x180e }, { 0x2000, 0x200f },
        { 0x2028, 0x202f }, { 0x205f, 0x206f }, { 0x3000, 0x3000 },    { 0xe000, 0xf8ff }, { 0xfeff, 0xfeff },
        { 0xfff0, 0xfffb }, { 0xfffe, 0xffff }, { 0xe0000, 0x10ffff },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(hidden); i++)
        if (c >= hidden[i].first && c <= hidden[i].last)
            return false;
    return true;
}

static void put_character(struct hs_buf *buf, const char *text, size_t len, char quote)
{
    uint32_t c = code_point(text, len);
    if (c == (uint32_t) quote || c == '\\')
        hs_buf_printf(buf, "\\%c", (char) c);
    else if (c == '\n' || c == '\r' || c == '\t')
        hs_buf_append_str(buf, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
    else if (is_printable(c))
        hs_buf_append(buf, text, len);
    else
        hs_buf_printf(buf, c <= 0xff ? "\\x%02" PRIx32 : c <= 0xffff ? "\\u%04" PRIx32 : "\\U%08" PRIx32, c);
}

static bool has(const struct hs_pickle_text *text, char c)
{
    return text->len && memchr(text->data, c, text->len);
}

static void put_text(struct hs_buf *buf, const struct hs_pickle_text *text, bool bytes)
{
    char quote = has(text, '\'') && !has(text, '"') ? '"' : '\'';
    size_t len;
    hs_buf_printf(buf, "%s%c", bytes ? "b" : "", quote);
    for (size_t i = 0; i < text->len && hs_buf_error(buf) == 0; i += len) {
        size_t sequence = bytes ? 0 : hs_utf8_sequence(text->data + i, text->len - i);
        uint8_t byte = (uint8_t) text->data[i];
        len = sequence ? sequence : 1;
        if (sequence == 0 && byte > 0x7f)
            hs_buf_printf(buf, "\\x%02x", byte);
        else
            put_character(buf, text->data + i, len, quote);
    }
    hs_buf_printf(buf, "%c", quote);
}

static void put(struct hs_buf *buf, const struct hs_pickle_value *value, int depth)
{
    bool tuple = value->type == HS_PICKLE_TUPLE;
    char number[32];
    if (depth >= MAX_DEPTH && hs_buf_error(buf) == 0)
        buf->error = HS_EINVAL;
    if (hs_buf_error(buf) < 0)
        return;
    switch (value->type) {
    case HS_PICKLE_NONE:
        hs_buf_append_str(buf, "None");
        break;
    case HS_PICKLE_BOOL:
        hs_buf_append_str(buf, value->boolean ? "True" : "False");
        break;
    case HS_PICKLE_INT:
        hs_buf_printf(buf, "%" PRId64, value->integer);
        break;
    case HS_PICKLE_DOUBLE:
        if (isfinite(value->real))
            hs_buf_append(buf, number, hs_json_double(value->real, number));
        else
            hs_buf_append_str(buf, isnan(value->real) ? "nan" : value->real < 0 ? "-inf" : "inf");
        break;
    case HS_PICKLE_STRING:
    case HS_PICKLE_BYTES:
        put_text(buf, &value->text, value->type == HS_PICKLE_BYTES);
        break;
    case HS_PICKLE_TUPLE:
    case HS_PICKLE_LIST:
        hs_buf_append_str(buf, tuple ? "(" : "[");
        for (uint32_t i = 0; i < value->items.len && hs_buf_error(buf) == 0; i++) {
            hs_buf_append_str(buf, i ? ", " : "");
            put(buf, value->items.data[i], depth + 1);
        }
        hs_buf_append_str(buf, !tuple ? "]" : value->items.len == 1 ? ",)" : ")");
        break;
    case HS_PICKLE_DICT:
        hs_buf_append_str(buf, "{");
        for (uint32_t i = 0; i < value->dict->len && hs_buf_error(buf) == 0; i++) {
            hs_buf_append_str(buf, i ? ", " : "");
            put(buf, value->dict->entries[i].key, depth + 1);
            hs_buf_append_str(buf, ": ");
            put(buf, value->dict->entries[i].value, depth + 1);
        }
        hs_buf_append_str(buf, "}");
        break;
    case HS_PICKLE_TENSOR:
        hs_buf_append_str(buf, "<tensor>");
        break;
    case HS_PICKLE_RECORD:
        hs_buf_printf(buf, "<%s>", value->record->kind);
        break;
    }
}

int hs_pickle_repr(const struct hs_pickle_value *value, struct hs_buf *buf)
{
    put(buf, value, 0);
    return hs_buf_error(buf);
}

void hs_pickle_describe(const struct hs_pickle_value *value, char *dst, size_t size)
{
    struct hs_buf buf;
    hs_buf_init(&buf, size - 1);
    if (value)
        hs_pickle_repr(value, &buf);
    else
        hs_buf_append_str(&buf, "nothing");
    const char *text = hs_buf_str(&buf);
    hs_str_copy(dst, size, text ? text : "");
    hs_buf_finish(&buf);
}
