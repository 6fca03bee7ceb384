/* A stack machine over the 39 opcodes that PyTorch's serialiser writes. Whoever made the file chose every byte, so each
 * opcode costs constant time but for what it takes from the stack (which other opcodes put there, one each) and for
 * copies of whole dictionaries, which count as so many values. Nothing here follows values down: depth costs nothing.
 * The opcodes are described in Python's Lib/pickletools.py. */
#include "convert/pickle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum opcode {
    OP_MARK = '(',
    OP_EMPTY_TUPLE = ')',
    OP_STOP = '.',
    OP_SHORT_BINBYTES = 'C',
    OP_BINFLOAT = 'G',
    OP_BININT = 'J',
    OP_BININT1 = 'K',
    OP_BININT2 = 'M',
    OP_NONE = 'N',
    OP_BINPERSID = 'Q',
    OP_REDUCE = 'R',
    OP_BINUNICODE = 'X',
    OP_EMPTY_LIST = ']',
    OP_APPEND = 'a',
    OP_BUILD = 'b',
    OP_GLOBAL = 'c',
    OP_APPENDS = 'e',
    OP_BINGET = 'h',
    OP_LONG_BINGET = 'j',
    OP_BINPUT = 'q',
    OP_LONG_BINPUT = 'r',
    OP_SETITEM = 's',
    OP_TUPLE = 't',
    OP_SETITEMS = 'u',
    OP_EMPTY_DICT = '}',
    OP_PROTO = 0x80,
    OP_NEWOBJ = 0x81,
    OP_TUPLE1 = 0x85,
    OP_TUPLE2 = 0x86,
    OP_TUPLE3 = 0x87,
    OP_NEWTRUE = 0x88,
    OP_NEWFALSE = 0x89,
    OP_LONG1 = 0x8a,
    OP_SHORT_BINUNICODE = 0x8c,
    OP_EMPTY_SET = 0x8f,
    OP_ADDITEMS = 0x90,
    OP_STACK_GLOBAL = 0x93,
    OP_MEMOIZE = 0x94,
    OP_FRAME = 0x95,
};

enum { MAX_PROTOCOL = 5, MAX_NAME = 255 };

struct reader {
    const uint8_t *data;
    size_t len, at, op_at; /* op_at: the opcode that is being done */
    struct hs_arena *arena;
    struct hs_error *err;
    struct hs_pickle_value **stack, **memo;
    size_t stack_len, stack_capacity, memo_capacity, memo_count;
    size_t *marks; /* lengths that the stack had */
    size_t mark_count, mark_capacity;
    size_t values;
    struct hs_pickle_value *none, *yes, *no, *empty_tuple; /* made once: nothing can change them */
    struct hs_pickle_value *root;
};

static int fail(struct reader *r, const char *reason)
{
    hs_error_set(r->err, HS_EMODEL, "damaged or foreign pickle: %s at byte %zu", reason, r->op_at);
    return HS_EMODEL;
}

static int no_memory(struct reader *r)
{
    hs_error_set(r->err, HS_ENOMEM, "no memory for reading a pickle");
    return HS_ENOMEM;
}

/* The arena is full because of what the file asks for, or there is no memory. */
static int fail_memory(struct reader *r)
{
    return r->arena->full ? fail(r, "too much memory is needed") : no_memory(r);
}

/* ---- bytes ---- */

static int take(struct reader *r, uint64_t count, const uint8_t **ret)
{
    if (count > r->len - r->at)
        return fail(r, "it ends too early");
    *ret = r->data + r->at;
    r->at += (size_t) count;
    return 0;
}

/* A little-endian number without sign, at most 8 bytes. */
static int take_number(struct reader *r, size_t size, uint64_t *ret)
{
    const uint8_t *bytes;
    int e = take(r, size, &bytes);
    if (e < 0)
        return e;
    *ret = 0;
    for (size_t i = 0; i < size; i++)
        *ret |= (uint64_t) bytes[i] << (8 * i);
    return 0;
}

/* A text that a newline ends. */
static int take_line(struct reader *r, struct hs_pickle_text *ret)
{
    const uint8_t *start = r->data + r->at, *end = r->len > r->at ? memchr(start, '\n', r->len - r->at) : NULL;
    if (!end)
        return fail(r, "it ends too early");
    *ret = (struct hs_pickle_text){(const char *) start, (size_t) (end - start)};
    r->at += ret->len + 1;
    return 0;
}

/* ---- values, the stack, the memo ---- */

/* Makes room for at least `need` elements; new ones are zero. */
static int grow(struct reader *r, void **data, size_t *capacity, size_t need, size_t size)
{
    if (need <= *capacity)
        return 0;
    size_t more = *capacity ? *capacity : 64;
    while (more < need)
        more *= 2;
    uint8_t *bytes = realloc(*data, more * size);
    if (!bytes)
        return no_memory(r);
    memset(bytes + *capacity * size, 0, (more - *capacity) * size);
    *data = bytes;
    *capacity = more;
    return 0;
}

static int count_values(struct reader *r, size_t count)
{
    if (count > HS_PICKLE_MAX_VALUES - r->values)
        return fail(r, "too many values");
    r->values += count;
    return 0;
}

static int make(struct reader *r, enum hs_pickle_type type, struct hs_pickle_value **ret)
{
    int e = count_values(r, 1);
    if (e < 0)
        return e;
    struct hs_pickle_value *value = hs_arena_alloc(r->arena, sizeof(*value));
    if (!value)
        return fail_memory(r);
    value->type = type;
    *ret = value;
    return 0;
}

static int make_dict(struct reader *r, struct hs_pickle_value **ret)
{
    struct hs_pickle_dict *dict = hs_arena_alloc(r->arena, sizeof(*dict));
    if (!dict)
        return fail_memory(r);
    int e = make(r, HS_PICKLE_DICT, ret);
    if (e == 0)
        (*ret)->dict = dict;
    return e;
}

static int make_record(struct reader *r, const char *kind, const struct hs_pickle_value *args,
                       struct hs_pickle_value **ret)
{
    struct hs_pickle_record *record = hs_arena_alloc(r->arena, sizeof(*record));
    if (!record)
        return fail_memory(r);
    record->kind = kind;
    record->args = args;
    int e = make(r, HS_PICKLE_RECORD, ret);
    if (e == 0)
        (*ret)->record = record;
    return e;
}

static int push(struct reader *r, struct hs_pickle_value *value)
{
    if (r->stack_len >= HS_PICKLE_MAX_STACK)
        return fail(r, "too many values at once");
    void *stack = r->stack;
    int e = grow(r, &stack, &r->stack_capacity, r->stack_len + 1, sizeof(r->stack[0]));
    if (e < 0)
        return e;
    r->stack = stack;
    r->stack[r->stack_len++] = value;
    return 0;
}

/* What lies below the last mark is out of reach. */
static size_t reachable(const struct reader *r)
{
    return r->stack_len - (r->mark_count ? r->marks[r->mark_count - 1] : 0);
}

/* Takes `count` values off; they stay in place until the next push. */
static int pop(struct reader *r, size_t count, struct hs_pickle_value ***ret)
{
    if (count > reachable(r))
        return fail(r, "a value is missing");
    r->stack_len -= count;
    *ret = r->stack + r->stack_len;
    return 0;
}

static int pop_to_mark(struct reader *r, struct hs_pickle_value ***ret, size_t *ret_count)
{
    if (r->mark_count == 0)
        return fail(r, "a mark is missing");
    *ret_count = reachable(r);
    r->stack_len = r->marks[--r->mark_count];
    *ret = r->stack ? r->stack + r->stack_len : NULL;
    return 0;
}

/* The value on top, which must be of that type. */
static int top(struct reader *r, enum hs_pickle_type type, struct hs_pickle_value **ret)
{
    if (reachable(r) == 0)
        return fail(r, "a value is missing");
    struct hs_pickle_value *value = r->stack[r->stack_len - 1];
    if (value->type != type)
        return fail(r, type == HS_PICKLE_LIST ? "something is added to what is no list"
                                              : "something is set in what is no dictionary");
    *ret = value;
    return 0;
}

static int set(struct reader *r, struct hs_pickle_dict *dict, struct hs_pickle_value *key,
               struct hs_pickle_value *value)
{
    /* A long key is hashed each time that it is used, so that takes from what a file may cost, too. */
    bool text = key->type == HS_PICKLE_STRING || key->type == HS_PICKLE_BYTES;
    int e = text ? count_values(r, key->text.len / 128) : 0;
    if (e < 0)
        return e;
    e = hs_pickle_dict_set(r->arena, dict, key, value);
    if (e == HS_EINVAL)
        return fail(r, "a list or a dictionary as a key");
    return e < 0 ? fail_memory(r) : 0;
}

static int update(struct reader *r, struct hs_pickle_dict *dict, const struct hs_pickle_dict *from)
{
    int e = count_values(r, from->len);
    for (uint32_t i = 0; i < from->len && e == 0; i++)
        e = set(r, dict, from->entries[i].key, from->entries[i].value);
    return e;
}

/* ---- the three calls that mean something ---- */

static int dict_of_pairs(struct reader *r, const struct hs_pickle_items *pairs, struct hs_pickle_dict *dict)
{
    int e = count_values(r, pairs->len);
    for (uint32_t i = 0; i < pairs->len && e == 0; i++) {
        const struct hs_pickle_items *pair = hs_pickle_to_items(pairs->data[i]);
        if (!pair || pair->len != 2)
            return fail(r, "an OrderedDict of what are no pairs");
        e = set(r, dict, pair->data[0], pair->data[1]);
    }
    return e;
}

static int call_ordered_dict(struct reader *r, const struct hs_pickle_items *args, struct hs_pickle_value **ret)
{
    int e = args->len > 1 ? fail(r, "an OrderedDict with several arguments") : make_dict(r, ret);
    if (e < 0 || args->len == 0)
        return e;
    const struct hs_pickle_value *from = args->data[0];
    if (from->type == HS_PICKLE_DICT)
        return update(r, (*ret)->dict, from->dict);
    const struct hs_pickle_items *pairs = hs_pickle_to_items(from);
    return pairs ? dict_of_pairs(r, pairs, (*ret)->dict) : fail(r, "an OrderedDict of what are no pairs");
}

static int call_parameter(struct reader *r, const struct hs_pickle_items *args, struct hs_pickle_value **ret)
{
    if (args->len == 0)
        return fail(r, "a parameter of nothing");
    *ret = args->data[0];
    return 0;
}

static enum hs_pickle_dtype dtype_of(const char *storage_kind)
{
    static const struct {
        const char *kind;
        enum hs_pickle_dtype dtype;
    } known[] = {
        {"torch HalfStorage", HS_PICKLE_F16}, {"torch FloatStorage", HS_PICKLE_F32},
        {"torch DoubleStorage", HS_PICKLE_F64}, {"torch IntStorage", HS_PICKLE_I32},
        {"torch LongStorage", HS_PICKLE_I64},
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(known); i++)
        if (!strcmp(known[i].kind, storage_kind))
            return known[i].dtype;
    return HS_PICKLE_OTHER;
}

/* The persistent id of a storage: ("storage", class, key, device, elements). */
static bool read_storage(const struct hs_pickle_value *value, struct hs_pickle_tensor *tensor)
{
    if (strcmp(hs_pickle_kind(value), "storage") != 0)
        return false;
    const struct hs_pickle_items *id = hs_pickle_to_items(value->record->args);
    if (!id || id->len != 5 || id->data[1]->type != HS_PICKLE_RECORD || id->data[2]->type != HS_PICKLE_STRING)
        return false;
    tensor->storage_kind = hs_pickle_kind(id->data[1]);
    tensor->dtype = dtype_of(tensor->storage_kind);
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
static int call_tensor(struct reader *r, const struct hs_pickle_items *args, struct hs_pickle_value **ret)
{
    struct hs_pickle_tensor *tensor = hs_arena_alloc(r->arena, sizeof(*tensor));
    if (!tensor)
        return fail_memory(r);
    int strides;
    if (args->len < 4 || !read_storage(args->data[0], tensor) || !hs_pickle_to_int(args->data[1], &tensor->offset) ||
        !read_dims(args->data[2], tensor->size, &tensor->dims) || !read_dims(args->data[3], tensor->stride, &strides) ||
        strides != tensor->dims)
        return fail(r, "a tensor that is none");
    int e = make(r, HS_PICKLE_TENSOR, ret);
    if (e == 0)
        (*ret)->tensor = tensor;
    return e;
}

/* Any other call is written down, not made. */
static int call(struct reader *r, const struct hs_pickle_value *function, const struct hs_pickle_value *args,
                struct hs_pickle_value **ret)
{
    static const struct {
        const char *kind;
        int (*answer)(struct reader *r, const struct hs_pickle_items *args, struct hs_pickle_value **ret);
    } known[] = {
        {"collections OrderedDict", call_ordered_dict},
        {"torch._utils _rebuild_parameter", call_parameter},
        {"torch._utils _rebuild_tensor_v2", call_tensor},
    };
    if (function->type != HS_PICKLE_RECORD || args->type != HS_PICKLE_TUPLE)
        return fail(r, "a call of what is no function");
    for (size_t i = 0; i < HS_ARRAY_LEN(known); i++)
        if (!strcmp(known[i].kind, function->record->kind))
            return known[i].answer(r, &args->items, ret);
    return make_record(r, function->record->kind, args, ret);
}

/* ---- opcodes: framing, plain values ---- */

static int op_proto(struct reader *r, uint8_t code)
{
    (void) code;
    uint64_t version;
    int e = take_number(r, 1, &version);
    return e == 0 && version > MAX_PROTOCOL ? fail(r, "an unknown protocol") : e;
}

static int op_frame(struct reader *r, uint8_t code)
{
    (void) code;
    uint64_t len;
    int e = take_number(r, 8, &len);
    return e == 0 && len > r->len - r->at ? fail(r, "it ends too early") : e;
}

static int op_stop(struct reader *r, uint8_t code)
{
    (void) code;
    if (r->stack_len != 1 || r->mark_count)
        return fail(r, "it does not end with one value");
    if (r->at != r->len)
        return fail(r, "something follows its end");
    r->root = r->stack[0];
    return 0;
}

static int op_constant(struct reader *r, uint8_t code)
{
    return push(r, code == OP_NONE ? r->none : code == OP_NEWTRUE ? r->yes : code == OP_NEWFALSE ? r->no
                                                                                                  : r->empty_tuple);
}

static int push_int(struct reader *r, int64_t integer)
{
    struct hs_pickle_value *value;
    int e = make(r, HS_PICKLE_INT, &value);
    if (e < 0)
        return e;
    value->integer = integer;
    return push(r, value);
}

static int op_int(struct reader *r, uint8_t code)
{
    uint64_t bits;
    int e = take_number(r, code == OP_BININT ? 4 : code == OP_BININT2 ? 2 : 1, &bits);
    if (e < 0)
        return e;
    return push_int(r, code == OP_BININT ? (int32_t) (uint32_t) bits : (int64_t) bits);
}

/* Two's complement in as many bytes as it needs; none is 0. */
static int op_long(struct reader *r, uint8_t code)
{
    (void) code;
    uint64_t size, bits = 0;
    int e = take_number(r, 1, &size);
    if (e == 0)
        e = size > 8 ? fail(r, "an integer beyond 64 bits") : take_number(r, (size_t) size, &bits);
    if (e < 0)
        return e;
    if (size > 0 && size < 8 && bits >> (8 * size - 1))
        bits |= UINT64_MAX << (8 * size);
    return push_int(r, (int64_t) bits);
}

/* Big-endian, as nothing else is. */
static int op_float(struct reader *r, uint8_t code)
{
    (void) code;
    const uint8_t *bytes;
    struct hs_pickle_value *value;
    int e = take(r, 8, &bytes);
    if (e == 0)
        e = make(r, HS_PICKLE_DOUBLE, &value);
    if (e < 0)
        return e;
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | bytes[i];
    memcpy(&value->real, &bits, sizeof(bits));
    return push(r, value);
}

static int op_text(struct reader *r, uint8_t code)
{
    uint64_t len;
    const uint8_t *bytes = NULL;
    struct hs_pickle_value *value;
    int e = take_number(r, code == OP_BINUNICODE ? 4 : 1, &len);
    if (e == 0)
        e = take(r, len, &bytes);
    if (e == 0 && code != OP_SHORT_BINBYTES && !hs_utf8_valid((const char *) bytes, (size_t) len))
        e = fail(r, "a text that is not UTF-8");
    if (e == 0)
        e = make(r, code == OP_SHORT_BINBYTES ? HS_PICKLE_BYTES : HS_PICKLE_STRING, &value);
    if (e < 0)
        return e;
    value->text = (struct hs_pickle_text){(const char *) bytes, (size_t) len};
    return push(r, value);
}

/* ---- opcodes: containers ---- */

static int op_empty_list(struct reader *r, uint8_t code)
{
    (void) code;
    struct hs_pickle_value *value;
    int e = make(r, HS_PICKLE_LIST, &value);
    return e < 0 ? e : push(r, value);
}

static int op_empty_dict(struct reader *r, uint8_t code)
{
    (void) code;
    struct hs_pickle_value *value;
    int e = make_dict(r, &value);
    return e < 0 ? e : push(r, value);
}

static int op_mark(struct reader *r, uint8_t code)
{
    (void) code;
    if (r->mark_count >= HS_PICKLE_MAX_MARKS)
        return fail(r, "too many open marks");
    void *marks = r->marks;
    int e = grow(r, &marks, &r->mark_capacity, r->mark_count + 1, sizeof(r->marks[0]));
    if (e < 0)
        return e;
    r->marks = marks;
    r->marks[r->mark_count++] = r->stack_len;
    return 0;
}

static int push_tuple(struct reader *r, struct hs_pickle_value *const *items, size_t count)
{
    if (count == 0)
        return push(r, r->empty_tuple);
    struct hs_pickle_value *value, **copy = hs_arena_alloc(r->arena, count * sizeof(items[0]));
    if (!copy)
        return fail_memory(r);
    int e = make(r, HS_PICKLE_TUPLE, &value);
    if (e < 0)
        return e;
    memcpy(copy, items, count * sizeof(items[0]));
    value->items = (struct hs_pickle_items){copy, (uint32_t) count, (uint32_t) count};
    return push(r, value);
}

static int op_tuple(struct reader *r, uint8_t code)
{
    struct hs_pickle_value **items;
    size_t count = code - (size_t) OP_TUPLE1 + 1;
    int e = code == OP_TUPLE ? pop_to_mark(r, &items, &count) : pop(r, count, &items);
    return e < 0 ? e : push_tuple(r, items, count);
}

static int op_append(struct reader *r, uint8_t code)
{
    struct hs_pickle_value **items, *list;
    size_t count = 1;
    int e = code == OP_APPEND ? pop(r, 1, &items) : pop_to_mark(r, &items, &count);
    if (e == 0)
        e = top(r, HS_PICKLE_LIST, &list);
    if (e < 0)
        return e;
    for (size_t i = 0; i < count; i++)
        if (hs_pickle_items_append(r->arena, &list->items, items[i]) < 0)
            return fail_memory(r);
    return 0;
}

static int op_set_item(struct reader *r, uint8_t code)
{
    struct hs_pickle_value **items, *dict;
    size_t count = 2;
    int e = code == OP_SETITEM ? pop(r, 2, &items) : pop_to_mark(r, &items, &count);
    if (e == 0)
        e = count % 2 ? fail(r, "a key without a value") : top(r, HS_PICKLE_DICT, &dict);
    for (size_t i = 0; i < count && e == 0; i += 2)
        e = set(r, dict->dict, items[i], items[i + 1]);
    return e;
}

/* ---- opcodes: the memo ---- */

static int put(struct reader *r, uint64_t at)
{
    if (at >= HS_PICKLE_MAX_MEMO)
        return fail(r, "too large a memo");
    if (reachable(r) == 0)
        return fail(r, "a value is missing");
    void *memo = r->memo;
    int e = grow(r, &memo, &r->memo_capacity, (size_t) at + 1, sizeof(r->memo[0]));
    if (e < 0)
        return e;
    r->memo = memo;
    r->memo_count += !r->memo[at];
    r->memo[at] = r->stack[r->stack_len - 1];
    return 0;
}

static int op_put(struct reader *r, uint8_t code)
{
    uint64_t at;
    int e = take_number(r, code == OP_BINPUT ? 1 : 4, &at);
    return e < 0 ? e : put(r, at);
}

static int op_memoize(struct reader *r, uint8_t code)
{
    (void) code;
    return put(r, r->memo_count);
}

static int op_get(struct reader *r, uint8_t code)
{
    uint64_t at;
    int e = take_number(r, code == OP_BINGET ? 1 : 4, &at);
    if (e < 0)
        return e;
    if (at >= r->memo_capacity || !r->memo[at])
        return fail(r, "the memo has no such value");
    return push(r, r->memo[at]);
}

/* ---- opcodes: names, calls, objects ---- */

static bool is_name(const struct hs_pickle_text *text)
{
    for (size_t i = 0; i < text->len; i++)
        if (text->data[i] <= ' ' || text->data[i] > '~')
            return false;
    return text->len > 0 && text->len <= MAX_NAME;
}

static int push_name(struct reader *r, const struct hs_pickle_text *module, const struct hs_pickle_text *name)
{
    if (!is_name(module) || !is_name(name))
        return fail(r, "a name that is none");
    struct hs_pickle_value *value;
    const char *kind = hs_arena_printf(r->arena, "%.*s %.*s", (int) module->len, module->data, (int) name->len,
                                       name->data);
    int e = kind ? make_record(r, kind, NULL, &value) : fail_memory(r);
    return e < 0 ? e : push(r, value);
}

static int op_global(struct reader *r, uint8_t code)
{
    (void) code;
    struct hs_pickle_text module, name;
    int e = take_line(r, &module);
    if (e == 0)
        e = take_line(r, &name);
    return e < 0 ? e : push_name(r, &module, &name);
}

static int op_stack_global(struct reader *r, uint8_t code)
{
    (void) code;
    struct hs_pickle_value **names;
    int e = pop(r, 2, &names);
    if (e < 0)
        return e;
    if (names[0]->type != HS_PICKLE_STRING || names[1]->type != HS_PICKLE_STRING)
        return fail(r, "a name that is none");
    return push_name(r, &names[0]->text, &names[1]->text);
}

static int op_reduce(struct reader *r, uint8_t code)
{
    (void) code;
    struct hs_pickle_value **call_args, *value;
    int e = pop(r, 2, &call_args);
    if (e == 0)
        e = call(r, call_args[0], call_args[1], &value);
    return e < 0 ? e : push(r, value);
}

static int op_persistent_id(struct reader *r, uint8_t code)
{
    (void) code;
    struct hs_pickle_value **id, *value;
    int e = pop(r, 1, &id);
    if (e == 0)
        e = make_record(r, "storage", id[0], &value);
    return e < 0 ? e : push(r, value);
}

/* Attributes are kept for records; whatever else may have a state means nothing here. */
static int op_build(struct reader *r, uint8_t code)
{
    (void) code;
    struct hs_pickle_value **state;
    int e = pop(r, 1, &state);
    if (e < 0)
        return e;
    if (reachable(r) == 0)
        return fail(r, "a value is missing");
    struct hs_pickle_value *object = r->stack[r->stack_len - 1];
    if (object->type != HS_PICKLE_RECORD || state[0]->type != HS_PICKLE_DICT)
        return 0;
    return update(r, &object->record->state, state[0]->dict);
}

/* ---- the machine ---- */

static int (*const operations[256])(struct reader *r, uint8_t code) = {
    [OP_MARK] = op_mark, [OP_EMPTY_TUPLE] = op_constant, [OP_STOP] = op_stop, [OP_SHORT_BINBYTES] = op_text,
    [OP_BINFLOAT] = op_float, [OP_BININT] = op_int, [OP_BININT1] = op_int, [OP_BININT2] = op_int,
    [OP_NONE] = op_constant, [OP_BINPERSID] = op_persistent_id, [OP_REDUCE] = op_reduce, [OP_BINUNICODE] = op_text,
    [OP_EMPTY_LIST] = op_empty_list, [OP_APPEND] = op_append, [OP_BUILD] = op_build, [OP_GLOBAL] = op_global,
    [OP_APPENDS] = op_append, [OP_BINGET] = op_get, [OP_LONG_BINGET] = op_get, [OP_BINPUT] = op_put,
    [OP_LONG_BINPUT] = op_put, [OP_SETITEM] = op_set_item, [OP_TUPLE] = op_tuple, [OP_SETITEMS] = op_set_item,
    [OP_EMPTY_DICT] = op_empty_dict, [OP_PROTO] = op_proto, [OP_NEWOBJ] = op_reduce, [OP_TUPLE1] = op_tuple,
    [OP_TUPLE2] = op_tuple, [OP_TUPLE3] = op_tuple, [OP_NEWTRUE] = op_constant, [OP_NEWFALSE] = op_constant,
    [OP_LONG1] = op_long, [OP_SHORT_BINUNICODE] = op_text, [OP_EMPTY_SET] = op_empty_list,
    [OP_ADDITEMS] = op_append, [OP_STACK_GLOBAL] = op_stack_global, [OP_MEMOIZE] = op_memoize, [OP_FRAME] = op_frame,
};

static int make_constants(struct reader *r)
{
    int e = make(r, HS_PICKLE_NONE, &r->none);
    if (e == 0)
        e = make(r, HS_PICKLE_BOOL, &r->yes);
    if (e == 0)
        e = make(r, HS_PICKLE_BOOL, &r->no);
    if (e == 0)
        e = make(r, HS_PICKLE_TUPLE, &r->empty_tuple);
    if (e == 0)
        r->yes->boolean = true;
    return e;
}

static int run(struct reader *r)
{
    int e = make_constants(r);
    while (e == 0 && !r->root) {
        r->op_at = r->at;
        if (r->at == r->len)
            return fail(r, "it ends too early");
        uint8_t code = r->data[r->at++];
        if (!operations[code])
            return hs_error_set(r->err, HS_EMODEL, "forbidden pickle opcode 0x%02x at byte %zu", code, r->op_at);
        e = operations[code](r, code);
    }
    return e;
}

int hs_pickle_read(const uint8_t *data, size_t len, struct hs_arena *arena, const struct hs_pickle_value **ret_root,
                   struct hs_error *err)
{
    if (len > HS_PICKLE_MAX_BYTES)
        return hs_error_set(err, HS_EMODEL, "a pickle of %zu bytes; at most %d are read", len, HS_PICKLE_MAX_BYTES);
    struct reader reader = {.data = data, .len = len, .arena = arena, .err = err};
    int e = run(&reader);
    if (e == 0)
        *ret_root = reader.root;
    free(reader.stack);
    free(reader.memo);
    free(reader.marks);
    return e;
}
