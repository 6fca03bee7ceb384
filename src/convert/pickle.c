/* A stack machine for the 39 opcodes that PyTorch's serialiser writes. An attacker may control
 * every byte, so each opcode takes constant time, except for the values that it takes from the
 * stack (other opcodes pushed them, one each) and for copies of whole dictionaries, which count as
 * that many values. No code here recurses into values, so their depth does not matter. Python's
 * Lib/pickletools.py describes the opcodes. */
#include "convert/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum { MAX_PROTOCOL = 5, MAX_NAME = 255 };

struct reader {
    const uint8_t *data;
    size_t len, at, op_at; /* op_at: the current opcode */
    struct hs_arena *arena;
    int status; /* the first failure; once set, all functions below do nothing */
    struct hs_error *err;
    struct hs_pickle_value **stack, **memo;
    size_t stack_len, stack_capacity, memo_capacity, memo_count;
    size_t *marks; /* stack lengths */
    size_t mark_count, mark_capacity;
    size_t values;
    struct hs_pickle_value *none, *yes, *no, *empty_tuple; /* created once, immutable */
    struct hs_pickle_value *root;
    struct hs_pickle_value scratch; /* returned after a failure, so that callers need no check */
};

static void fail(struct reader *r, const char *reason)
{
    if (r->status == 0)
        r->status = hs_error_set(r->err, HS_EMODEL, "invalid pickle: %s at byte %zu", reason, r->op_at);
}

/* The arena is full because of the file's contents, or memory is exhausted. */
static void fail_memory(struct reader *r, bool full)
{
    if (full)
        fail(r, "too much memory required");
    else if (r->status == 0)
        r->status = hs_error_set(r->err, HS_ENOMEM, "no memory for reading a pickle");
}

/* ---- bytes ---- */

static const uint8_t *take(struct reader *r, uint64_t count)
{
    if (r->status < 0 || count > r->len - r->at) {
        fail(r, "unexpected end");
        return NULL;
    }
    r->at += (size_t) count;
    return r->data + r->at - count;
}

/* Reads a little-endian unsigned number of at most 8 bytes; returns 0 after a failure. */
static uint64_t take_number(struct reader *r, size_t size)
{
    const uint8_t *bytes = take(r, size);
    uint64_t number = 0;
    for (size_t i = 0; bytes && i < size; i++)
        number |= (uint64_t) bytes[i] << (8 * i);
    return number;
}

/* Reads text up to a newline. */
static struct hs_pickle_text take_line(struct reader *r)
{
    const uint8_t *start = r->data + r->at, *end = r->len > r->at ? memchr(start, '\n', r->len - r->at) : NULL;
    if (!end) {
        fail(r, "unexpected end");
        return (struct hs_pickle_text) { NULL, 0 };
    }
    r->at += (size_t) (end - start) + 1;
    return (struct hs_pickle_text) { (const char *) start, (size_t) (end - start) };
}

/* ---- values, the stack, the memo ---- */

static void count_values(struct reader *r, size_t count)
{
    if (count > HS_PICKLE_MAX_VALUES - r->values)
        fail(r, "too many values");
    else
        r->values += count;
}

static void *alloc(struct reader *r, size_t size)
{
    void *memory = r->status == 0 ? hs_arena_alloc(r->arena, size) : NULL;
    if (!memory)
        fail_memory(r, r->arena->full);
    return memory;
}

/* Never returns NULL. */
static struct hs_pickle_value *make(struct reader *r, enum hs_pickle_type type)
{
    count_values(r, 1);
    struct hs_pickle_value *value = alloc(r, sizeof(*value));
    value = value ? value : &r->scratch;
    value->type = type;
    return value;
}

static struct hs_pickle_value *make_dict(struct reader *r)
{
    struct hs_pickle_value *value = make(r, HS_PICKLE_DICT);
    value->dict = alloc(r, sizeof(*value->dict));
    return value;
}

static struct hs_pickle_value *make_record(struct reader *r, const char *kind, const struct hs_pickle_value *args)
{
    struct hs_pickle_value *value = make(r, HS_PICKLE_RECORD);
    value->record = alloc(r, sizeof(*value->record));
    if (value->record)
        *value->record = (struct hs_pickle_record) { .kind = kind, .args = args };
    return value;
}

static void push(struct reader *r, struct hs_pickle_value *value)
{
    if (r->stack_len >= HS_PICKLE_MAX_STACK)
        fail(r, "stack too large");
    else if (!HS_ARRAY_RESERVE(r->stack, r->stack_capacity, r->stack_len + 1))
        fail_memory(r, false);
    if (r->status == 0)
        r->stack[r->stack_len++] = value;
}

/* Returns how many values are above the last mark; only these can be popped. */
static size_t reachable(const struct reader *r)
{
    return r->stack_len - (r->mark_count ? r->marks[r->mark_count - 1] : 0);
}

/* Pops `count` values, which stay in place until the next push. Returns NULL after a failure. */
static struct hs_pickle_value **pop(struct reader *r, size_t count)
{
    if (count > reachable(r))
        fail(r, "stack underflow");
    if (r->status < 0)
        return NULL;
    r->stack_len -= count;
    return r->stack + r->stack_len;
}

static struct hs_pickle_value **pop_to_mark(struct reader *r, size_t *ret_count)
{
    *ret_count = 0;
    if (r->mark_count == 0) {
        fail(r, "missing mark");
        return NULL;
    }
    *ret_count = reachable(r);
    r->stack_len = r->marks[--r->mark_count];
    return r->stack ? r->stack + r->stack_len : NULL;
}

/* Returns the top value; NULL and a failure if there is none. */
static struct hs_pickle_value *top(struct reader *r)
{
    if (reachable(r) == 0)
        fail(r, "stack underflow");
    return r->status == 0 ? r->stack[r->stack_len - 1] : NULL;
}

static void set(struct reader *r, struct hs_pickle_dict *dict, struct hs_pickle_value *key,
                struct hs_pickle_value *value)
{
    /* A long key is hashed at each use, so it counts as several values. */
    if (key->type == HS_PICKLE_STRING || key->type == HS_PICKLE_BYTES)
        count_values(r, key->text.len / 128);
    int e = r->status < 0 ? 0 : hs_pickle_dict_set(r->arena, dict, key, value);
    if (e == HS_EINVAL)
        fail(r, "a key is a list or a dictionary");
    else if (e < 0)
        fail_memory(r, r->arena->full);
}

static void update(struct reader *r, struct hs_pickle_dict *dict, const struct hs_pickle_dict *from)
{
    count_values(r, from->len);
    for (uint32_t i = 0; i < from->len && r->status == 0; i++)
        set(r, dict, from->entries[i].key, from->entries[i].value);
}

/* ---- the three calls that are implemented ---- */

static struct hs_pickle_value *call_ordered_dict(struct reader *r, const struct hs_pickle_items *args)
{
    if (args->len > 1)
        fail(r, "OrderedDict has several arguments");
    struct hs_pickle_value *dict = make_dict(r);
    if (r->status < 0 || args->len == 0)
        return dict;
    const struct hs_pickle_items *pairs = hs_pickle_to_items(args->data[0]);
    if (args->data[0]->type == HS_PICKLE_DICT)
        update(r, dict->dict, args->data[0]->dict);
    else if (!pairs)
        fail(r, "OrderedDict has an item that is not a pair");
    else
        count_values(r, pairs->len);
    for (uint32_t i = 0; pairs && i < pairs->len && r->status == 0; i++) {
        const struct hs_pickle_items *pair = hs_pickle_to_items(pairs->data[i]);
        if (pair && pair->len == 2)
            set(r, dict->dict, pair->data[0], pair->data[1]);
        else
            fail(r, "OrderedDict has an item that is not a pair");
    }
    return dict;
}

static struct hs_pickle_value *call_parameter(struct reader *r, const struct hs_pickle_items *args)
{
    if (args->len == 0)
        fail(r, "parameter without a value");
    return args->len ? args->data[0] : NULL;
}

/* The persistent id of a storage: ("storage", class, key, device, elements). */
static bool read_storage(const struct hs_pickle_value *value, struct hs_pickle_tensor *tensor)
{
    static const char *const kinds[] = { [HS_PICKLE_F16] = "torch HalfStorage",
                                         [HS_PICKLE_F32] = "torch FloatStorage",
                                         [HS_PICKLE_F64] = "torch DoubleStorage",
                                         [HS_PICKLE_I32] = "torch IntStorage",
                                         [HS_PICKLE_I64] = "torch LongStorage" };
    if (strcmp(hs_pickle_kind(value), "storage") != 0)
        return false;
    const struct hs_pickle_items *id = hs_pickle_to_items(value->record->args);
    if (!id || id->len != 5 || id->data[1]->type != HS_PICKLE_RECORD || id->data[2]->type != HS_PICKLE_STRING)
        return false;
    tensor->storage_kind = hs_pickle_kind(id->data[1]);
    tensor->dtype = HS_PICKLE_OTHER;
    for (size_t i = 0; i < HS_ARRAY_LEN(kinds); i++)
        if (!strcmp(kinds[i], tensor->storage_kind))
            tensor->dtype = (enum hs_pickle_dtype) i;
    tensor->key = id->data[2]->text;
    return hs_pickle_to_int(id->data[4], &tensor->count);
}

static bool read_dims(const struct hs_pickle_value *value, int64_t dims[HS_PICKLE_MAX_DIMS], int *ret_count)
{
    const struct hs_pickle_items *items = hs_pickle_to_items(value);
    if (!items || items->len > HS_PICKLE_MAX_DIMS)
        return false;
    for (uint32_t i = 0; i < items->len; i++)
        if (!hs_pickle_to_int(items->data[i], &dims[i]))
            return false;
    *ret_count = (int) items->len;
    return true;
}

/* _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks, ...) */
static struct hs_pickle_value *call_tensor(struct reader *r, const struct hs_pickle_items *args)
{
    int strides;
    struct hs_pickle_tensor *tensor = alloc(r, sizeof(*tensor));
    if (tensor &&
        (args->len < 4 || !read_storage(args->data[0], tensor) || !hs_pickle_to_int(args->data[1], &tensor->offset) ||
         !read_dims(args->data[2], tensor->size, &tensor->dims) ||
         !read_dims(args->data[3], tensor->stride, &strides) || strides != tensor->dims))
        fail(r, "invalid tensor record");
    struct hs_pickle_value *value = make(r, HS_PICKLE_TENSOR);
    value->tensor = tensor;
    return value;
}

/* Records any other call without executing it. */
static struct hs_pickle_value *call(struct reader *r, const struct hs_pickle_value *function,
                                    const struct hs_pickle_value *args)
{
    static const struct {
        const char *kind;
        struct hs_pickle_value *(*handler)(struct reader *r, const struct hs_pickle_items *args);
    } known[] = {
        { "collections OrderedDict", call_ordered_dict },
        { "torch._utils _rebuild_parameter", call_parameter },
        { "torch._utils _rebuild_tensor_v2", call_tensor },
    };
    if (function->type != HS_PICKLE_RECORD || args->type != HS_PICKLE_TUPLE) {
        fail(r, "call of a value that is not a function");
        return NULL;
    }
    for (size_t i = 0; i < HS_ARRAY_LEN(known); i++)
        if (!strcmp(known[i].kind, function->record->kind))
            return known[i].handler(r, &args->items);
    return make_record(r, function->record->kind, args);
}

/* ---- shared by several opcodes ---- */

static struct hs_pickle_value *make_int(struct reader *r, int64_t integer)
{
    struct hs_pickle_value *value = make(r, HS_PICKLE_INT);
    value->integer = integer;
    return value;
}

/* Reads a two's complement integer of variable length; length 0 is 0. */
static int64_t take_long(struct reader *r)
{
    uint64_t size = take_number(r, 1);
    if (size > 8)
        fail(r, "integer larger than 64 bits");
    uint64_t bits = r->status == 0 ? take_number(r, (size_t) size) : 0;
    if (size > 0 && size < 8 && bits >> (8 * size - 1))
        bits |= UINT64_MAX << (8 * size);
    return (int64_t) bits;
}

/* Reads a double, which is big-endian, unlike all other numbers. */
static struct hs_pickle_value *make_double(struct reader *r)
{
    const uint8_t *bytes = take(r, 8);
    uint64_t bits = 0;
    for (size_t i = 0; bytes && i < 8; i++)
        bits = bits << 8 | bytes[i];
    struct hs_pickle_value *value = make(r, HS_PICKLE_DOUBLE);
    memcpy(&value->real, &bits, sizeof(bits));
    return value;
}

static struct hs_pickle_value *make_text(struct reader *r, enum hs_pickle_type type, size_t size_of_len)
{
    uint64_t len = take_number(r, size_of_len);
    const char *bytes = (const char *) take(r, len);
    if (bytes && type == HS_PICKLE_STRING && !hs_utf8_valid(bytes, (size_t) len))
        fail(r, "string is not UTF-8");
    struct hs_pickle_value *value = make(r, type);
    value->text = (struct hs_pickle_text) { bytes, (size_t) len };
    return value;
}

static struct hs_pickle_value *make_tuple(struct reader *r, struct hs_pickle_value *const *items, size_t count)
{
    if (r->status < 0 || count == 0)
        return r->empty_tuple;
    struct hs_pickle_value **copy = alloc(r, count * sizeof(items[0])), *value = make(r, HS_PICKLE_TUPLE);
    if (copy)
        memcpy(copy, items, count * sizeof(items[0]));
    value->items = (struct hs_pickle_items) { copy, (uint32_t) count, (uint32_t) count };
    return value;
}

static void append(struct reader *r, struct hs_pickle_value **items, size_t count)
{
    struct hs_pickle_value *list = top(r);
    if (list && list->type != HS_PICKLE_LIST)
        fail(r, "append to a value that is not a list");
    for (size_t i = 0; i < count && r->status == 0; i++)
        if (hs_pickle_items_append(r->arena, &list->items, items[i]) < 0)
            fail_memory(r, r->arena->full);
}

static void set_items(struct reader *r, struct hs_pickle_value **items, size_t count)
{
    if (count % 2)
        fail(r, "key without a value");
    struct hs_pickle_value *dict = top(r);
    if (dict && dict->type != HS_PICKLE_DICT)
        fail(r, "assignment to a value that is not a dictionary");
    for (size_t i = 0; i < count && r->status == 0; i += 2)
        set(r, dict->dict, items[i], items[i + 1]);
}

static void put(struct reader *r, uint64_t at)
{
    if (at >= HS_PICKLE_MAX_MEMO)
        fail(r, "memo too large");
    struct hs_pickle_value *value = top(r);
    size_t before = r->memo_capacity;
    if (value && !HS_ARRAY_RESERVE(r->memo, r->memo_capacity, (size_t) at + 1))
        fail_memory(r, false);
    if (r->memo_capacity > before)
        memset(r->memo + before, 0, (r->memo_capacity - before) * sizeof(r->memo[0]));
    if (r->status < 0)
        return;
    r->memo_count += !r->memo[at];
    r->memo[at] = value;
}

static bool is_name(struct hs_pickle_text text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~')
            return false;
    return text.len > 0 && text.len <= MAX_NAME;
}

static struct hs_pickle_value *make_name(struct reader *r, struct hs_pickle_text module, struct hs_pickle_text name)
{
    if (!is_name(module) || !is_name(name))
        fail(r, "invalid name");
    size_t size = module.len + name.len + 2;
    char *kind = alloc(r, size);
    if (kind)
        hs_str_format(kind, size, "%.*s %.*s", (int) module.len, module.data, (int) name.len, name.data);
    return make_record(r, kind, NULL);
}

/* ---- the interpreter ---- */

/* Runs one opcode. Returns the value that it pushes; NULL if it pushes none or failed. */
static struct hs_pickle_value *run(struct reader *r, uint8_t code)
{
    struct hs_pickle_value **items, *object;
    struct hs_pickle_text module;
    size_t count = 1;
    switch (code) {
    case 'N': /* NONE */
        return r->none;
    case 0x88: /* NEWTRUE */
        return r->yes;
    case 0x89: /* NEWFALSE */
        return r->no;
    case ')': /* EMPTY_TUPLE */
        return r->empty_tuple;
    case 'J': /* BININT */
        return make_int(r, (int32_t) (uint32_t) take_number(r, 4));
    case 'K': /* BININT1 */
    case 'M': /* BININT2 */
        return make_int(r, (int64_t) take_number(r, code == 'K' ? 1 : 2));
    case 0x8a: /* LONG1 */
        return make_int(r, take_long(r));
    case 'G': /* BINFLOAT */
        return make_double(r);
    case 'X':  /* BINUNICODE */
    case 0x8c: /* SHORT_BINUNICODE */
        return make_text(r, HS_PICKLE_STRING, code == 'X' ? 4 : 1);
    case 'C': /* SHORT_BINBYTES */
        return make_text(r, HS_PICKLE_BYTES, 1);
    case ']':  /* EMPTY_LIST */
    case 0x8f: /* EMPTY_SET */
        return make(r, HS_PICKLE_LIST);
    case '}': /* EMPTY_DICT */
        return make_dict(r);
    case 't': /* TUPLE */
        items = pop_to_mark(r, &count);
        return make_tuple(r, items, count);
    case 0x85: /* TUPLE1 */
    case 0x86: /* TUPLE2 */
    case 0x87: /* TUPLE3 */
        count = code - 0x85u + 1;
        return make_tuple(r, pop(r, count), count);
    case 'h': /* BINGET */
    case 'j': /* LONG_BINGET */
        count = (size_t) take_number(r, code == 'h' ? 1 : 4);
        if (count >= r->memo_capacity || !r->memo[count])
            fail(r, "unknown memo entry");
        return r->status < 0 ? NULL : r->memo[count];
    case 'c': /* GLOBAL */
        module = take_line(r);
        return make_name(r, module, take_line(r));
    case 0x93: /* STACK_GLOBAL */
        items = pop(r, 2);
        if (items && (items[0]->type != HS_PICKLE_STRING || items[1]->type != HS_PICKLE_STRING))
            fail(r, "invalid name");
        return r->status < 0 ? NULL : make_name(r, items[0]->text, items[1]->text);
    case 'R':  /* REDUCE */
    case 0x81: /* NEWOBJ */
        items = pop(r, 2);
        return items ? call(r, items[0], items[1]) : NULL;
    case 'Q': /* BINPERSID */
        items = pop(r, 1);
        return items ? make_record(r, "storage", items[0]) : NULL;
    case 0x80: /* PROTO */
        if (take_number(r, 1) > MAX_PROTOCOL)
            fail(r, "unknown protocol");
        break;
    case 0x95: /* FRAME */
        count = (size_t) take_number(r, 8);
        if (count > r->len - r->at)
            fail(r, "unexpected end");
        break;
    case '(': /* MARK */
        if (r->mark_count >= HS_PICKLE_MAX_MARKS)
            fail(r, "too many open marks");
        else if (!HS_ARRAY_RESERVE(r->marks, r->mark_capacity, r->mark_count + 1))
            fail_memory(r, false);
        else
            r->marks[r->mark_count++] = r->stack_len;
        break;
    case 'a':  /* APPEND */
    case 'e':  /* APPENDS */
    case 0x90: /* ADDITEMS */
        items = code == 'a' ? pop(r, count) : pop_to_mark(r, &count);
        append(r, items, count);
        break;
    case 's': /* SETITEM */
    case 'u': /* SETITEMS */
        count = 2;
        items = code == 's' ? pop(r, count) : pop_to_mark(r, &count);
        set_items(r, items, count);
        break;
    case 'q':  /* BINPUT */
    case 'r':  /* LONG_BINPUT */
    case 0x94: /* MEMOIZE */
        put(r, code == 0x94 ? r->memo_count : take_number(r, code == 'q' ? 1 : 4));
        break;
    case 'b': /* BUILD */
        items = pop(r, 1);
        object = top(r);
        /* Stores attributes for records; ignores the state of all other objects. */
        if (object && object->type == HS_PICKLE_RECORD && items[0]->type == HS_PICKLE_DICT)
            update(r, &object->record->state, items[0]->dict);
        break;
    case '.': /* STOP */
        if (r->stack_len != 1 || r->mark_count)
            fail(r, "result is not one value");
        else if (r->at != r->len)
            fail(r, "data after the end");
        else
            r->root = r->stack[0];
        break;
    default:
        r->status = hs_error_set(r->err, HS_EMODEL, "forbidden pickle opcode 0x%02x at byte %zu", code, r->op_at);
    }
    return NULL;
}

int hs_pickle_read(const uint8_t *data, size_t len, struct hs_arena *arena, const struct hs_pickle_value **ret_root,
                   struct hs_error *err)
{
    if (len > HS_PICKLE_MAX_BYTES)
        return hs_error_set(err, HS_EMODEL, "the pickle is too large: %zu bytes, the limit is %d", len,
                            HS_PICKLE_MAX_BYTES);
    struct reader reader = { .data = data, .len = len, .arena = arena, .err = err }, *r = &reader;
    r->none = make(r, HS_PICKLE_NONE);
    r->yes = make(r, HS_PICKLE_BOOL);
    r->no = make(r, HS_PICKLE_BOOL);
    r->empty_tuple = make(r, HS_PICKLE_TUPLE);
    r->yes->boolean = true;
    while (r->status == 0 && !r->root) {
        r->op_at = r->at;
        const uint8_t *code = take(r, 1);
        struct hs_pickle_value *value = code ? run(r, *code) : NULL;
        if (value)
            push(r, value);
    }
    if (r->status == 0)
        *ret_root = r->root;
    free(r->stack);
    free(r->memo);
    free(r->marks);
    return r->status;
}
