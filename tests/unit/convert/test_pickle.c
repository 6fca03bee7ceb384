#include "../unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../alloc_fail.h"
#include "assert_message.h"
#include "convert/pickle.h"
#include "pickle_bytes.h"

struct reading {
    struct hs_arena arena;
    uint8_t *copy; /* of exactly the right length, so that a sanitizer detects reads past the end */
    const struct hs_pickle_value *root;
    struct hs_error err;
    int status;
};

static void read_within(struct reading *reading, const void *bytes, size_t len, size_t memory)
{
    *reading = (struct reading) { .copy = malloc(len ? len : 1) };
    assert_non_null(reading->copy);
    memcpy(reading->copy, bytes, len);
    hs_arena_init(&reading->arena, memory);
    reading->status = hs_pickle_read(reading->copy, len, &reading->arena, &reading->root, &reading->err);
    assert_int_equal(reading->status, reading->err.code);
    assert_true((reading->status == 0) == (reading->root != NULL));
}

static void read_all(struct reading *reading, const void *bytes, size_t len)
{
    read_within(reading, bytes, len, HS_PICKLE_MAX_MEMORY);
}

static void finish(struct reading *reading)
{
    hs_arena_finish(&reading->arena);
    free(reading->copy);
}

static void assert_repr(const void *bytes, size_t len, const char *expected)
{
    struct reading reading;
    char text[512];
    read_all(&reading, bytes, len);
    if (reading.status < 0)
        print_error("%s: %s\n", expected, reading.err.message);
    assert_int_equal(reading.status, 0);
    hs_pickle_describe(reading.root, text, sizeof(text));
    assert_string_equal(text, expected);
    finish(&reading);
}

static void assert_refused(const void *bytes, size_t len, const char *reason)
{
    struct reading reading;
    read_all(&reading, bytes, len);
    assert_int_equal(reading.status, HS_EMODEL);
    assert_message(reading.err.message, reason);
    finish(&reading);
}

/* String literals with their length, because they contain NULs. */
#define BYTES(literal) (literal), sizeof(literal) - 1

struct sample {
    const char *bytes;
    size_t len;
    const char *text;
};

static void assert_reprs(const struct sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_repr(samples[i].bytes, samples[i].len, samples[i].text);
}

#define ASSERT_REPRS(samples) assert_reprs(samples, sizeof(samples) / sizeof((samples)[0]))

static void plain_values(void **state)
{
    (void) state;
    static const struct sample samples[] = {
        { BYTES("N."), "None" },
        { BYTES("\x88."), "True" },
        { BYTES("\x89."), "False" },
        { BYTES("K\xff."), "255" },
        { BYTES("M\xff\xff."), "65535" },
        { BYTES("J\xff\xff\xff\xff."), "-1" },
        { BYTES("J\x00\x00\x00\x80."), "-2147483648" },
        { BYTES("\x8a\x00."), "0" },
        { BYTES("\x8a\x01\xff."), "-1" },
        { BYTES("\x8a\x02\xff\x00."), "255" },
        { BYTES("\x8a\x05\x00\x00\x00\x00\x01."), "4294967296" },
        { BYTES("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f."), "9223372036854775807" },
        { BYTES("\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80."), "-9223372036854775808" },
        { BYTES("G\x3f\xb9\x99\x99\x99\x99\x99\x9a."), "0.1" },
        { BYTES("G\xff\xf0\x00\x00\x00\x00\x00\x00."), "-inf" },
        { BYTES("X\x03\x00\x00\x00"
                "a\xc3\xa4."),
          "'a\xc3\xa4'" },
        { BYTES("X\x00\x00\x00\x00."), "''" },
        { BYTES("\x8c\x02hi."), "'hi'" },
        { BYTES("C\x02\xff\x00."), "b'\\xff\\x00'" },
    };
    ASSERT_REPRS(samples);
}

static void containers(void **state)
{
    (void) state;
    static const struct sample samples[] = {
        { BYTES(")."), "()" },
        { BYTES("(t."), "()" },
        { BYTES("K\1\x85."), "(1,)" },
        { BYTES("K\1K\2\x86."), "(1, 2)" },
        { BYTES("NK\1K\2K\3\x87\x86."), "(None, (1, 2, 3))" },
        { BYTES("(K\1(K\2tK\3t."), "(1, (2,), 3)" },
        { BYTES("]."), "[]" },
        { BYTES("]K\1a."), "[1]" },
        { BYTES("](K\1K\2e."), "[1, 2]" },
        { BYTES("](e."), "[]" },
        { BYTES("\x8f(K\1K\2\x90."), "[1, 2]" },
        { BYTES("}."), "{}" },
        { BYTES("}K\1K\2s."), "{1: 2}" },
        { BYTES("}(K\1K\2K\3K\4K\1K\5u."), "{1: 5, 3: 4}" },
        { BYTES("}(u."), "{}" },
        { BYTES("}\x88K\1sK\1K\2s."), "{True: 2}" },
        { BYTES("\x80\2]."), "[]" },
        { BYTES("\x80\4\x95\2\0\0\0\0\0\0\0]."), "[]" },
    };
    ASSERT_REPRS(samples);
}

static void the_memo_gives_the_same_value_again(void **state)
{
    (void) state;
    static const struct sample samples[] = {
        { BYTES("(]q\7K\1ah\7t."), "([1], [1])" },
        { BYTES("(]r\0\1\0\0K\1aj\0\1\0\0t."), "([1], [1])" },
        { BYTES("(]\x94}\x94h\1h\0t."), "([], {}, {}, [])" },
        { BYTES("(K\1q\0K\2q\0h\0t."), "(1, 2, 2)" },
        { BYTES("(K\1q\5K\2\x94h\1t."), "(1, 2, 2)" },
    };
    ASSERT_REPRS(samples);
    struct reading reading;
    read_all(&reading, BYTES("(]q\7K\1ah\7t."));
    const struct hs_pickle_items *items = hs_pickle_to_items(reading.root);
    assert_ptr_equal(items->data[0], items->data[1]);
    finish(&reading);
}

static void unknown_classes_become_records(void **state)
{
    (void) state;
    static const struct sample samples[] = {
        { BYTES(GLOBAL("posix", "system") "."), "<posix system>" },
        { BYTES("\x8c\2os\x8c\6system\x93."), "<os system>" },
        { BYTES(GLOBAL("posix", "system") "\x8c\x08rm -rf /\x85R."), "<posix system>" },
        { BYTES(GLOBAL("torch.nn", "Conv2d") ")\x81."), "<torch.nn Conv2d>" },
        { BYTES("K\7Q."), "<storage>" },
        { BYTES(GLOBAL("builtins", "eval") "Nb."), "<builtins eval>" },
        { BYTES("]}b."), "[]" },
    };
    ASSERT_REPRS(samples);
}

static void records_keep_arguments_and_attributes(void **state)
{
    (void) state;
    struct reading reading;
    int64_t number;
    read_all(&reading, BYTES(GLOBAL("a.b", "C") "K\1K\2\x86R}(\x8c\1xK\3\x8c\1yK\4ub}\x8c\1xK\5sb."));
    assert_int_equal(reading.status, 0);
    assert_string_equal(hs_pickle_kind(reading.root), "a.b C");
    assert_string_equal(hs_pickle_kind_name(reading.root), "C");
    assert_int_equal(hs_pickle_to_items(reading.root->record->args)->len, 2);
    assert_true(hs_pickle_to_int(hs_pickle_attribute(reading.root, "x"), &number));
    assert_int_equal(number, 5);
    assert_true(hs_pickle_to_int(hs_pickle_attribute(reading.root, "y"), &number));
    assert_int_equal(number, 4);
    assert_null(hs_pickle_attribute(reading.root, "z"));
    finish(&reading);
}

static void three_calls_are_evaluated(void **state)
{
    (void) state;
    static const struct sample samples[] = {
        { BYTES(GLOBAL("collections", "OrderedDict") ")R."), "{}" },
        { BYTES(GLOBAL("collections", "OrderedDict") ")R(K\1K\2u."), "{1: 2}" },
        { BYTES(GLOBAL("collections", "OrderedDict") "]K\1K\2\x86"
                                                     "a\x85R."),
          "{1: 2}" },
        { BYTES(GLOBAL("collections", "OrderedDict") "}K\1K\2s\x85R."), "{1: 2}" },
        { BYTES(GLOBAL("torch._utils", "_rebuild_parameter") "K\7\x89\x86R."), "7" },
        { BYTES(TENSOR("FloatStorage", "0", "\6", "\0", "K\2K\3\x86", "K\3K\1\x86") "."), "<tensor>" },
    };
    ASSERT_REPRS(samples);
}

static void a_tensor_refers_to_its_storage(void **state)
{
    (void) state;
    struct reading reading;
    read_all(&reading, BYTES(TENSOR("HalfStorage", "7", "\x63", "\5", "K\2K\3\x86", "K\3K\1\x86") "."));
    assert_int_equal(reading.status, 0);
    assert_int_equal(reading.root->type, HS_PICKLE_TENSOR);
    const struct hs_pickle_tensor *tensor = reading.root->tensor;
    assert_int_equal(tensor->dtype, HS_PICKLE_F16);
    assert_string_equal(tensor->storage_kind, "torch HalfStorage");
    assert_int_equal(tensor->key.len, 1);
    assert_int_equal(tensor->key.data[0], '7');
    assert_int_equal(tensor->count, 99);
    assert_int_equal(tensor->offset, 5);
    assert_int_equal(tensor->dims, 2);
    assert_int_equal(tensor->size[1], 3);
    assert_int_equal(tensor->stride[0], 3);
    finish(&reading);
    read_all(&reading, BYTES(TENSOR("BFloat16Storage", "0", "\1", "\0", ")", ")") "."));
    assert_int_equal(reading.root->tensor->dtype, HS_PICKLE_OTHER);
    assert_int_equal(reading.root->tensor->dims, 0);
    finish(&reading);
}

static void damaged_pickles_are_rejected_with_the_offset(void **state)
{
    (void) state;
    static const struct sample samples[] = {
        { BYTES(""), "unexpected end at byte 0" },
        { BYTES("NN."), "result is not one value at byte 2" },
        { BYTES("."), "result is not one value at byte 0" },
        { BYTES("(N."), "result is not one value at byte 2" },
        { BYTES("N.N"), "data after the end at byte 1" },
        { BYTES("\x80\6N."), "unknown protocol at byte 0" },
        { BYTES("\x95\3\0\0\0\0\0\0\0N."), "unexpected end at byte 0" },
        { BYTES("\x8a\x09"
                "123456789."),
          "integer larger than 64 bits at byte 0" },
        { BYTES("X\xff\xff\xff\xffN."), "unexpected end at byte 0" },
        { BYTES("X\1\0\0\0\xff."), "string is not UTF-8 at byte 0" },
        { BYTES("X\3\0\0\0\xed\xa0\x80."), "string is not UTF-8 at byte 0" },
        { BYTES("\x85."), "stack underflow at byte 0" },
        { BYTES("N(\x85."), "stack underflow at byte 2" },
        { BYTES("Nt."), "missing mark at byte 1" },
        { BYTES("a."), "stack underflow at byte 0" },
        { BYTES("Na."), "stack underflow at byte 1" },
        { BYTES("NNa."), "append to a value that is not a list at byte 2" },
        { BYTES(")Na."), "append to a value that is not a list at byte 2" },
        { BYTES("N(Ne."), "append to a value that is not a list at byte 3" },
        { BYTES("(Ne."), "stack underflow at byte 2" },
        { BYTES("]NNs."), "assignment to a value that is not a dictionary at byte 3" },
        { BYTES("}(Nu."), "key without a value at byte 3" },
        { BYTES("}]Ns."), "a key is a list or a dictionary at byte 3" },
        { BYTES("}(}Nu."), "a key is a list or a dictionary at byte 4" },
        { BYTES("h\0."), "unknown memo entry at byte 0" },
        { BYTES("Nq\5h\6."), "unknown memo entry at byte 3" },
        { BYTES("Nq\5j\xff\xff\xff\xff."), "unknown memo entry at byte 3" },
        { BYTES("q\0."), "stack underflow at byte 0" },
        { BYTES("\x94."), "stack underflow at byte 0" },
        { BYTES("Nr\x80\x84\x1e\0."), "memo too large at byte 1" },
        { BYTES("b."), "stack underflow at byte 0" },
        { BYTES("Nb."), "stack underflow at byte 1" },
        { BYTES("Q."), "stack underflow at byte 0" },
        { BYTES("R."), "stack underflow at byte 0" },
        { BYTES("N)R."), "call of a value that is not a function at byte 2" },
        { BYTES(GLOBAL("a", "b") "]R."), "call of a value that is not a function at byte 6" },
        { BYTES("cos\nsystem"), "unexpected end at byte 0" },
        { BYTES("cos"), "unexpected end at byte 0" },
        { BYTES("c\nsystem\n."), "invalid name at byte 0" },
        { BYTES("cos\n\n."), "invalid name at byte 0" },
        { BYTES("co s\nsystem\n."), "invalid name at byte 0" },
        { BYTES("cos\nsys\x1btem\n."), "invalid name at byte 0" },
        { BYTES("cos\nsyst\xc3\xa4m\n."), "invalid name at byte 0" },
        { BYTES("NN\x93."), "invalid name at byte 2" },
        { BYTES("\x8c\1aC\1b\x93."), "invalid name at byte 6" },
        { BYTES("N\x93."), "stack underflow at byte 1" },
        { BYTES(GLOBAL("collections", "OrderedDict") "NN\x86R."), "OrderedDict has several arguments at byte 28" },
        { BYTES(GLOBAL("collections", "OrderedDict") "N\x85R."),
          "OrderedDict has an item that is not a pair at byte 27" },
        { BYTES(GLOBAL("collections", "OrderedDict") "]Na\x85R."), "OrderedDict has an item that is not a pair" },
        { BYTES(GLOBAL("collections", "OrderedDict") "])a\x85R."), "OrderedDict has an item that is not a pair" },
        { BYTES(GLOBAL("collections", "OrderedDict") "]]N\x86"
                                                     "a\x85R."),
          "a key is a list or a dictionary" },
        { BYTES(GLOBAL("torch._utils", "_rebuild_parameter") ")R."), "parameter without a value" },
    };
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        assert_refused(samples[i].bytes, samples[i].len, samples[i].text);
}

static void invalid_tensor_records_are_rejected(void **state)
{
    (void) state;
#define NONE_OF(arguments) GLOBAL("torch._utils", "_rebuild_tensor_v2") "(" arguments "tR."
#define ID(kind, key, count) "(" TEXT("\7", "storage") kind key TEXT("\3", "cpu") count "tQ"
#define KIND GLOBAL("torch", "FloatStorage")
    static const struct sample samples[] = {
        { BYTES(NONE_OF("")), "" },
        { BYTES(NONE_OF(STORAGE("FloatStorage", "0", "\1") "K\0)")), "" },
        { BYTES(NONE_OF("NK\0))")), "" },
        { BYTES(NONE_OF("NQK\0))")), "" },
        { BYTES(NONE_OF(")QK\0))")), "" },
        { BYTES(NONE_OF(ID("N", TEXT("\1", "0"), "K\1") "K\0))")), "" },
        { BYTES(NONE_OF(ID(KIND, "N", "K\1") "K\0))")), "" },
        { BYTES(NONE_OF(ID(KIND, TEXT("\1", "0"), "N") "K\0))")), "" },
        { BYTES(NONE_OF(STORAGE("FloatStorage", "0", "\1") "N))")), "" },
        { BYTES(NONE_OF(STORAGE("FloatStorage", "0", "\1") "K\0N)")), "" },
        { BYTES(NONE_OF(STORAGE("FloatStorage", "0", "\1") "K\0)N")), "" },
        { BYTES(NONE_OF(STORAGE("FloatStorage", "0", "\1") "K\0N\x85K\1\x85")), "" },
        { BYTES(NONE_OF(STORAGE("FloatStorage", "0", "\1") "K\0\x88\x85K\1\x85")), "" },
        { BYTES(NONE_OF(STORAGE("FloatStorage", "0", "\1") "K\0K\1\x85)")), "" },
        { BYTES(NONE_OF(
              STORAGE("FloatStorage", "0", "\1") "K\0(K\1K\1K\1K\1K\1K\1K\1K\1K\1t(K\1K\1K\1K\1K\1K\1K\1K\1K\1t")),
          "" },
    };
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        assert_refused(samples[i].bytes, samples[i].len, "invalid tensor record");
}

static void every_other_opcode_is_forbidden(void **state)
{
    (void) state;
    static const char known[] = "().CGJKMNQRX]abcehjqrstu}\x80\x81\x85\x86\x87\x88\x89\x8a\x8c\x8f\x90\x93\x94\x95";
    assert_int_equal(strlen(known), 39);
    for (int code = 1; code < 256; code++) {
        char bytes[] = { 'N', (char) code, '.' }, expected[64];
        snprintf(expected, sizeof(expected), "forbidden pickle opcode 0x%02x at byte 1", (unsigned) code);
        if (!strchr(known, code))
            assert_refused(bytes, sizeof(bytes), expected);
    }
    assert_refused("\0", 1, "forbidden pickle opcode 0x00 at byte 0");
}

/* A pickle with values of every type. */
static const char whole[] =
    "\x80\4\x95\3\0\0\0\0\0\0\0}(X\1\0\0\0aq\0]q\1(K\1M\2\0J\3\0\0\0\x8a\1\4G\0\0\0\0\0\0\0\0\x88\x89Ne"
    "\x8c\1bC\1b\x8c\1c\x8f(K\1\x90\x8c\1dK\1\x85\x8c\1eK\1K\2\x86\x8c\1fK\1K\2K\3\x87h\0h\1"
    "\x8c\1g\x8c\1m\x8c\1n\x93\x94)\x81}\x8c\1xNsb\x8c\1hj\1\0\0\0r\2\1\0\0"
    "\x8c\1i" TENSOR("FloatStorage", "0", "\6", "\0", "K\2K\3\x86", "K\3K\1\x86") "u.";

static void truncated_pickles_are_rejected(void **state)
{
    (void) state;
    struct reading reading;
    read_all(&reading, BYTES(whole));
    assert_string_equal(reading.err.message, "");
    assert_int_equal(reading.status, 0);
    finish(&reading);
    for (size_t len = 0; len < sizeof(whole) - 1; len++)
        assert_refused(whole, len, "");
}

static void the_memory_limit_is_enforced(void **state)
{
    (void) state;
    struct reading reading;
    uint8_t *many = malloc(300000);
    assert_non_null(many);
    memset(many, ']', 300000);
    for (size_t memory = 0; memory <= 8 << 20; memory += 64 << 10) {
        read_within(&reading, many, 300000, memory);
        assert_int_equal(reading.status, HS_EMODEL);
        finish(&reading);
    }
    free(many);
    read_within(&reading, BYTES(whole), 0);
    assert_int_equal(reading.status, HS_EMODEL);
    assert_non_null(strstr(reading.err.message, "too much memory required at byte 0"));
    finish(&reading);
}

/* ---- expensive input ---- */

/* Repeats `count` times the same bytes, between a prefix and a suffix. */
struct repeated {
    uint8_t *data;
    size_t len;
};

static struct repeated repeat(const char *first, size_t first_len, const char *unit, size_t unit_len, size_t count,
                              const char *last)
{
    struct repeated result = { malloc(first_len + unit_len * count + strlen(last) + 1), first_len };
    assert_non_null(result.data);
    memcpy(result.data, first, first_len);
    for (size_t i = 0; i < count; i++, result.len += unit_len)
        memcpy(result.data + result.len, unit, unit_len);
    memcpy(result.data + result.len, last, strlen(last));
    result.len += strlen(last);
    return result;
}

/* Reads the pickle and returns the time that took. */
static double seconds_to_refuse(struct repeated input, const char *reason)
{
    struct timespec start, end;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    assert_refused(input.data, input.len, reason);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    free(input.data);
    return (double) (end.tv_sec - start.tv_sec) + (double) (end.tv_nsec - start.tv_nsec) / 1e9;
}

/* Generous, for sanitizers on slow machines; quadratic code would take hours. */
enum { SECONDS = 20 };

static void limits_are_enforced_early(void **state)
{
    (void) state;
    assert_true(seconds_to_refuse(repeat("", 0, "(", 1, 5000000, "."), "too many open marks at byte 10000") < 1);
    assert_true(seconds_to_refuse(repeat("", 0, "N", 1, 5000000, "."), "stack too large at byte 1000000") < 1);
    assert_true(seconds_to_refuse(repeat("]", 1, "K\1a", 3, 3000000, "."), "too many values") < SECONDS);
    assert_true(seconds_to_refuse(repeat("]", 1, "}a", 2, 3000000, "."), "too much memory") < SECONDS);
    struct repeated huge = repeat("", 0, "N", 1, HS_PICKLE_MAX_BYTES, ".");
    assert_refused(huge.data, huge.len, "the limit is 67108864");
    free(huge.data);
}

static void copies_of_the_same_are_counted(void **state)
{
    (void) state;
    /* a list of 100 000 references to one pair, then repeated OrderedDict calls with it */
    struct repeated list =
        repeat(BYTES("](K\1K\2\x86q\0"), BYTES("h\0"), 100000, "e\x85q\1" GLOBAL("collections", "OrderedDict") "q\2");
    struct repeated calls = repeat((const char *) list.data, list.len, BYTES("h\2h\1R\x86"), 1000000, ".");
    free(list.data);
    assert_true(seconds_to_refuse(calls, "too many values") < SECONDS);
    /* a dictionary of 10 000 numbers, set repeatedly as the state of one object */
    uint8_t *data = malloc(10000 * 6 + 4000000 + 64);
    size_t len = 0;
    assert_non_null(data);
    data[len++] = '}';
    data[len++] = '(';
    for (int i = 0; i < 10000; i++, len += 4) {
        const uint8_t entry[] = { 'M', (uint8_t) i, (uint8_t) (i >> 8), 'N' };
        memcpy(data + len, entry, sizeof(entry));
    }
    memcpy(data + len, "uq\0ca\nb\n", 9);
    len += 8;
    struct repeated builds = repeat((const char *) data, len, BYTES("h\0b"), 1000000, ".");
    free(data);
    assert_true(seconds_to_refuse(builds, "too many values") < SECONDS);
}

static void long_keys_are_counted(void **state)
{
    (void) state;
    enum { LEN = 8 << 20 };
    char head[5] = { 'X', 0, 0, (char) (LEN >> 16 & 0xff), (char) (LEN >> 24) };
    struct repeated key = repeat(head, 5, "k", 1, LEN, "q");
    uint8_t *data = realloc(key.data, key.len + 64);
    assert_non_null(data);
    memcpy(data + key.len, "\0\x85}", 3); /* memo 0; the text in a tuple below a dictionary */
    size_t len = key.len + 3;
    struct repeated sets = repeat((const char *) data, len, BYTES("h\0Ns"), 1000000, "\x86.");
    free(data);
    assert_true(seconds_to_refuse(sets, "too many values") < SECONDS);
}

/* Each NaN is a distinct key. */
static void many_text_keys_take_linear_time(void **state)
{
    (void) state;
    struct repeated nans = repeat("}(", 2, BYTES("G\x7f\xf8\0\0\0\0\0\0N"), 200000, "u");
    assert_true(seconds_to_refuse(nans, "unexpected end") < SECONDS);
}

static void depth_and_cycles_are_safe(void **state)
{
    (void) state;
    struct reading reading;
    struct repeated deep = repeat("N", 1, "\x85", 1, 1000000, ".");
    char text[64];
    read_all(&reading, deep.data, deep.len);
    assert_int_equal(reading.status, 0);
    hs_pickle_describe(reading.root, text, sizeof(text));
    assert_string_equal(text, "((((((((((((((((");
    finish(&reading);
    free(deep.data);
    read_all(&reading, BYTES("]q\0h\0a."));
    assert_int_equal(reading.status, 0);
    assert_ptr_equal(hs_pickle_to_items(reading.root)->data[0], reading.root);
    hs_pickle_describe(reading.root, text, sizeof(text));
    finish(&reading);
    read_all(&reading, BYTES("}q\0K\1h\0s" GLOBAL("a", "b") "q\1}\x8c\1xh\1sb\x86."));
    assert_int_equal(reading.status, 0);
    finish(&reading);
}

/* Reads a whole pickle and prints one value. */
static int read_without_memory(void *arg)
{
    static const char bytes[] =
        "\x80\2}(" TEXT("\1", "a") "](K\1K\2e" TEXT("\1", "b") GLOBAL("some", "Thing") ")\x81}(" TEXT("\1", "c")
            TENSOR("FloatStorage", "0", "\6", "\0", "K\6\x85", "K\1\x85") "ubu.";
    struct hs_arena arena;
    struct hs_error err = { 0 };
    struct hs_buf text;
    const struct hs_pickle_value *root = NULL;
    (void) arg;
    hs_arena_init(&arena, HS_PICKLE_MAX_MEMORY);
    hs_buf_init(&text, 1000);
    int r = hs_pickle_read((const uint8_t *) bytes, sizeof(bytes) - 1, &arena, &root, &err);
    assert_int_equal(r, err.code);
    assert_true((r == 0) == (root != NULL));
    if (r < 0)
        assert_message(err.message, "no memory for reading a pickle");
    if (r == 0)
        r = hs_pickle_repr(root, &text);
    if (r == 0) {
        static const char wanted[] = "{'a': [1, 2], 'b': <some Thing>}";
        assert_int_equal(text.len, sizeof(wanted) - 1);
        assert_memory_equal(text.data, wanted, text.len);
    }
    hs_buf_finish(&text);
    hs_arena_finish(&arena);
    return r;
}

static void each_allocation_may_fail(void **state)
{
    (void) state;
    assert_true(hs_fail_each_allocation(read_without_memory, NULL) >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_values),
        cmocka_unit_test(containers),
        cmocka_unit_test(the_memo_gives_the_same_value_again),
        cmocka_unit_test(unknown_classes_become_records),
        cmocka_unit_test(records_keep_arguments_and_attributes),
        cmocka_unit_test(three_calls_are_evaluated),
        cmocka_unit_test(a_tensor_refers_to_its_storage),
        cmocka_unit_test(damaged_pickles_are_rejected_with_the_offset),
        cmocka_unit_test(invalid_tensor_records_are_rejected),
        cmocka_unit_test(every_other_opcode_is_forbidden),
        cmocka_unit_test(truncated_pickles_are_rejected),
        cmocka_unit_test(the_memory_limit_is_enforced),
        cmocka_unit_test(limits_are_enforced_early),
        cmocka_unit_test(copies_of_the_same_are_counted),
        cmocka_unit_test(long_keys_are_counted),
        cmocka_unit_test(many_text_keys_take_linear_time),
        cmocka_unit_test(depth_and_cycles_are_safe),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return HS_RUN_TESTS(tests);
}
