#include "../unit.h"

#include <stdlib.h>
#include <string.h>

#include "../alloc_fail.h"
#include "assert_message.h"
#include "base/str.h"
#include "convert/pt_archive.h"
#include "pickle_bytes.h"
#include "zip_bytes.h"

#define BYTES(literal) (literal), sizeof(literal) - 1

static struct hs_pt_archive *open_bytes(const struct zip_bytes *zip)
{
    struct hs_pt_archive *archive = NULL;
    struct hs_error err = { 0 };
    int r = hs_pt_archive_open(zip_path(zip->data, zip->len), &archive, &err);
    if (r < 0)
        print_error("%s\n", err.message);
    assert_int_equal(r, 0);
    assert_int_equal(hs_pt_archive_file_size(archive), zip->len);
    return archive;
}

static void assert_not_opened(const struct zip_bytes *zip, const char *reason)
{
    struct hs_pt_archive *archive = NULL;
    struct hs_error err = { 0 };
    assert_int_equal(hs_pt_archive_open(zip_path(zip->data, zip->len), &archive, &err), HS_EMODEL);
    assert_int_equal(err.code, HS_EMODEL);
    assert_null(archive);
    assert_message(err.message, reason);
}

/* Opens a checkpoint of one value, with the numbers of one storage under the key 0. */
static struct hs_pt_archive *open_one(const char *pickle, size_t len, const char *order, const void *storage,
                                      size_t storage_len)
{
    struct zip_bytes zip = { 0 };
    zip_add(&zip, "net/data.pkl", pickle, len);
    if (order)
        zip_add(&zip, "net/byteorder", order, strlen(order));
    zip_add(&zip, "net/data/0", storage, storage_len);
    zip_end(&zip, "");
    return open_bytes(&zip);
}

static void assert_numbers(struct hs_pt_archive *archive, size_t count, const double *expected)
{
    struct hs_pt_array array = { 0 };
    struct hs_error err = { 0 };
    int r = hs_pt_archive_read_tensor(archive, hs_pt_archive_root(archive), "layer.weight", &array, &err);
    if (r < 0)
        print_error("%s\n", err.message);
    assert_int_equal(r, 0);
    assert_int_equal(array.count, count);
    for (size_t i = 0; i < count; i++)
        assert_true(array.data[i] == expected[i]);
    free(array.data);
    hs_pt_archive_close(archive);
}

static void assert_no_numbers(struct hs_pt_archive *archive, const char *message)
{
    struct hs_pt_array array = { 0 };
    struct hs_error err = { 0 };
    int r = hs_pt_archive_read_tensor(archive, hs_pt_archive_root(archive), "layer.weight", &array, &err);
    assert_int_equal(r, HS_EMODEL);
    assert_int_equal(err.code, HS_EMODEL);
    assert_null(array.data);
    assert_message(err.message, message);
    hs_pt_archive_close(archive);
}

static const float six[] = { 1, 2, 3, 4, 5, -6.5f };

#define SIX(offset, size, stride) BYTES(TENSOR("FloatStorage", "0", "\6", offset, size, stride) ".")
#define FAR "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"
#define MINUS "J\xff\xff\xff\xff"
/* The first `count` numbers of a storage of that size. */
#define ROW(kind, count) BYTES(TENSOR(kind, "0", count, "\0", "K" count "\x85", "K\1\x85") ".")
#define ONE(kind) BYTES(TENSOR(kind, "0", "\1", "\0", ")", ")") ".")

static void every_type_of_number(void **state)
{
    (void) state;
    static const int32_t i32[] = { INT32_MIN, 7 };
    static const int64_t i64[] = { -1, INT64_C(1) << 53 };
    static const double f64[] = { 0.1, 1e300 };
    static const char f16[] = "\x00\x3c\x00\xc0\xff\x7b\x01\x00\x00\x80\x55\x35";
    assert_numbers(open_one(ROW("IntStorage", "\2"), NULL, i32, 8), 2, (const double[]) { INT32_MIN, 7 });
    assert_numbers(open_one(ROW("LongStorage", "\2"), NULL, i64, 16), 2, (const double[]) { -1, 9007199254740992.0 });
    assert_numbers(open_one(ROW("DoubleStorage", "\2"), NULL, f64, 16), 2, f64);
    assert_numbers(open_one(ROW("HalfStorage", "\6"), NULL, f16, 12), 6,
                   (const double[]) { 1, -2, 65504, 0x1p-24, 0, 0x1.554p-2 });
    assert_numbers(open_one(SIX("\0", "K\6\x85", "K\1\x85"), "little", six, 24), 6,
                   (const double[]) { 1, 2, 3, 4, 5, -6.5 });
}

static void numbers_may_be_big_endian(void **state)
{
    (void) state;
    static const char f32[] = "\x3f\x80\x00\x00\xc0\x00\x00\x00", i64[] = "\0\0\0\0\0\0\1\2";
    assert_numbers(open_one(ROW("FloatStorage", "\2"), "big", f32, 8), 2, (const double[]) { 1, -2 });
    assert_numbers(open_one(ONE("LongStorage"), "big", i64, 8), 1, (const double[]) { 258 });
}

static void strides_choose_the_order(void **state)
{
    (void) state;
    assert_numbers(open_one(SIX("\0", "K\3K\2\x86", "K\1K\3\x86"), NULL, six, 24), 6,
                   (const double[]) { 1, 4, 2, 5, 3, -6.5 });
    assert_numbers(open_one(SIX("\1", "K\2\x85", "K\2\x85"), NULL, six, 24), 2, (const double[]) { 2, 4 });
    assert_numbers(open_one(SIX("\5", ")", ")"), NULL, six, 24), 1, (const double[]) { -6.5 });
    assert_numbers(open_one(SIX("\2", "K\4\x85", "K\0\x85"), NULL, six, 24), 4, (const double[]) { 3, 3, 3, 3 });
    assert_numbers(open_one(SIX("\0", "K\0K\3\x86", "K\3K\1\x86"), NULL, six, 24), 0, NULL);
    /* the stride of a side of 1 does not matter */
    assert_numbers(open_one(SIX("\4", "K\2K\1\x86", "K\1" FAR "\x86"), NULL, six, 24), 2, (const double[]) { 5, -6.5 });
    assert_numbers(open_one(SIX("\4", "(K\1K\1K\1K\1K\1K\1K\1K\2t", "(K\7K\7K\7K\7K\7K\7K\7K\1t"), NULL, six, 24), 2,
                   (const double[]) { 5, -6.5 });
}

static void the_shape_is_returned(void **state)
{
    (void) state;
    struct hs_pt_archive *archive = open_one(SIX("\0", "K\3K\2\x86", "K\1K\3\x86"), NULL, six, 24);
    struct hs_pt_array array;
    assert_int_equal(hs_pt_archive_read_tensor(archive, hs_pt_archive_root(archive), "w", &array, NULL), 0);
    assert_int_equal(array.dims, 2);
    assert_int_equal(array.size[0], 3);
    assert_int_equal(array.size[1], 2);
    free(array.data);
    hs_pt_archive_close(archive);
}

static void a_tensor_must_fit_its_storage(void **state)
{
    (void) state;
    static const char message[] = "layer.weight: the tensor exceeds its storage";
    assert_no_numbers(open_one(SIX("\0", "K\7\x85", "K\1\x85"), NULL, six, 24), message);
    assert_no_numbers(open_one(SIX("\1", "K\6\x85", "K\1\x85"), NULL, six, 24), message);
    assert_no_numbers(open_one(SIX("\6", ")", ")"), NULL, six, 24), message);
    assert_no_numbers(open_one(SIX("\0", "K\3K\2\x86", "K\2K\2\x86"), NULL, six, 24), message);
    assert_no_numbers(open_one(SIX("\0", "K\7\x85", "K\0\x85"), NULL, six, 24), message); /* unlimited repetitions */
    assert_no_numbers(open_one(SIX("\0", FAR "\x85", "K\0\x85"), NULL, six, 24), message);
    assert_no_numbers(open_one(SIX("\0", FAR FAR "\x86", "K\0K\0\x86"), NULL, six, 24), message);
    assert_no_numbers(open_one(SIX("\0", "K\2\x85", FAR "\x85"), NULL, six, 24), message);
    assert_no_numbers(open_one(SIX("\0", "K\3\x85", FAR "\x85"), NULL, six, 24), message);
    assert_no_numbers(open_one(SIX("\1", "K\2\x85", FAR "\x85"), NULL, six, 24), message);
    assert_no_numbers(open_one(SIX("\0", MINUS "\x85", "K\1\x85"), NULL, six, 24), message);
    assert_no_numbers(open_one(SIX("\5", "K\2\x85", MINUS "\x85"), NULL, six, 24), message);
    assert_no_numbers(open_one(BYTES(GLOBAL("torch._utils", "_rebuild_tensor_v2") "(" STORAGE("FloatStorage", "0", "\6")
                                         MINUS "))tR."),
                               NULL, six, 24),
                      message);
}

static void a_storage_must_have_the_declared_length(void **state)
{
    (void) state;
    assert_no_numbers(open_one(SIX("\0", ")", ")"), NULL, six, 23),
                      "layer.weight: the storage has 23 bytes, not 6 numbers");
    assert_no_numbers(open_one(SIX("\0", ")", ")"), NULL, six, 20), "the storage has 20 bytes");
    assert_no_numbers(open_one(SIX("\0", ")", ")"), NULL, "", 0), "the storage has 0 bytes");
    assert_no_numbers(open_one(BYTES(TENSOR("FloatStorage", "0", "\5", "\0", ")", ")") "."), NULL, six, 24),
                      "the storage has 24 bytes, not 5 numbers");
}

static void a_storage_that_is_missing_is_refused(void **state)
{
    (void) state;
    static const char message[] = "layer.weight: the checkpoint has no storage ";
    assert_no_numbers(open_one(BYTES(TENSOR("FloatStorage", "1", "\6", "\0", ")", ")") "."), NULL, six, 24), message);
    assert_no_numbers(open_one(BYTES(TENSOR("FloatStorage", "\0", "\6", "\0", ")", ")") "."), NULL, six, 24), message);
    static const char *const keys[] = { "../data.pkl", "0\\", "/0", ".." };
    for (size_t i = 0; i < 4; i++) {
        char pickle[256];
        size_t len = 0, key_len = strlen(keys[i]);
#define PUT(literal) (memcpy(pickle + len, literal, sizeof(literal) - 1), len += sizeof(literal) - 1)
        PUT(GLOBAL("torch._utils", "_rebuild_tensor_v2") "((" TEXT("\7", "storage") GLOBAL("torch", "FloatStorage"));
        PUT("\x8c");
        pickle[len++] = (char) key_len;
        memcpy(pickle + len, keys[i], key_len);
        len += key_len;
        PUT("NK\6tQK\0))tR.");
        assert_no_numbers(open_one(pickle, len, NULL, six, 24), message);
    }
}

static void numbers_must_be_finite(void **state)
{
    (void) state;
    static const char message[] = "layer.weight: a number is not finite";
    assert_no_numbers(open_one(ONE("FloatStorage"), NULL, "\0\0\x80\x7f", 4), message);
    assert_no_numbers(open_one(ONE("FloatStorage"), NULL, "\1\0\x80\xff", 4), message);
    assert_no_numbers(open_one(ONE("HalfStorage"), NULL, "\0\xfc", 2), message);
    assert_no_numbers(open_one(ONE("HalfStorage"), NULL, "\1\x7c", 2), message);
    assert_no_numbers(open_one(ONE("DoubleStorage"), NULL, "\0\0\0\0\0\0\xf0\x7f", 8), message);
    /* only numbers that belong to the tensor are checked */
    static const float some[] = { 1, __builtin_inff(), 3 };
    static const char sparse[] = TENSOR("FloatStorage", "0", "\3", "\0", "K\2\x85", "K\2\x85") ".";
    assert_numbers(open_one(BYTES(sparse), NULL, some, 12), 2, (const double[]) { 1, 3 });
}

static void values_that_are_not_tensors_are_reported(void **state)
{
    (void) state;
    assert_no_numbers(open_one(BYTES(GLOBAL("posix", "system") "\x8c\x02id\x85R."), NULL, six, 24),
                      "layer.weight: expected a tensor, got <posix system>");
    assert_no_numbers(open_one(BYTES("N."), NULL, six, 24), "expected a tensor, got None");
    assert_no_numbers(open_one(BYTES("]q\0h\0a."), NULL, six, 24), "expected a tensor, got [[[");
    assert_no_numbers(open_one(BYTES(TENSOR("BFloat16Storage", "0", "\6", "\0", ")", ")") "."), NULL, six, 24),
                      "layer.weight: tensors of <torch BFloat16Storage> are not supported");
    struct hs_error err;
    struct hs_pt_array array;
    struct hs_pt_archive *archive = open_one(BYTES("N."), NULL, six, 24);
    assert_int_equal(hs_pt_archive_read_tensor(archive, NULL, "x", &array, &err), HS_EMODEL);
    assert_string_equal(err.message, "x: expected a tensor, got nothing");
    hs_pt_archive_close(archive);
}

static void damaged_and_compressed_storages_are_refused(void **state)
{
    (void) state;
    struct zip_bytes zip = { 0 };
    zip_add(&zip, "net/data.pkl", SIX("\0", ")", ")"));
    zip_add(&zip, "net/data/0", six, 24);
    zip_end(&zip, "");
    zip.data[zip.contents[1] + 20] ^= 1;
    assert_no_numbers(open_bytes(&zip), "layer.weight: \"net/data/0\" in the zip file has a wrong CRC-32");
    zip.data[zip.contents[1] + 20] ^= 1;
    zip_put(&zip, zip.entries[1] + 10, 2, 8);
    assert_no_numbers(open_bytes(&zip), "is compressed");
}

static void a_checkpoint_has_one_pickle_one_level_down(void **state)
{
    (void) state;
    static const char *const names[][2] = {
        { "data.pkl", "other" },
        { "a/b/data.pkl", "other" },
        { "a/data.pkl", "b/data.pkl" },
        { "a/xdata.pkl", "a/data.pklx" },
    };
    for (size_t i = 0; i < 4; i++) {
        struct zip_bytes zip = { 0 };
        zip_add(&zip, names[i][0], "N.", 2);
        zip_add(&zip, names[i][1], "N.", 2);
        zip_end(&zip, "");
        assert_not_opened(&zip, "the zip file is not a PyTorch checkpoint");
    }
    struct zip_bytes zip = { 0 };
    zip_end(&zip, "");
    assert_not_opened(&zip, "the zip file is not a PyTorch checkpoint");
    static char name[700];
    memset(name, 'x', 600);
    memcpy(name + 600, "/data.pkl", 10);
    zip = (struct zip_bytes) { 0 };
    zip_add(&zip, name, "N.", 2);
    zip_end(&zip, "");
    assert_not_opened(&zip, "the zip file is not a PyTorch checkpoint");
}

static void the_byte_order_is_one_of_two(void **state)
{
    (void) state;
    static const char *const orders[] = { "", "middle", "bigger", "little\n", "littler", "BIG" };
    for (size_t i = 0; i < 6; i++) {
        struct zip_bytes zip = { 0 };
        zip_add(&zip, "a/data.pkl", "N.", 2);
        zip_add(&zip, "a/byteorder", orders[i], strlen(orders[i]));
        zip_end(&zip, "");
        assert_not_opened(&zip, "an unknown byte order");
    }
}

static void a_bad_pickle_is_refused_at_once(void **state)
{
    (void) state;
    struct zip_bytes zip = { 0 };
    zip_add(&zip, "a/data.pkl", "Ni.", 3);
    zip_end(&zip, "");
    assert_not_opened(&zip, "forbidden pickle opcode 0x69 at byte 1");
    zip = (struct zip_bytes) { 0 };
    zip_add(&zip, "a/data.pkl", "", 0);
    zip_end(&zip, "");
    assert_not_opened(&zip, "unexpected end at byte 0");
    zip = (struct zip_bytes) { 0 };
    zip_add(&zip, "a/data.pkl", "N.", 2);
    zip_end(&zip, "");
    zip.data[zip.contents[0]] = ')';
    assert_not_opened(&zip, "has a wrong CRC-32");
    zip_put(&zip, zip.entries[0] + 10, 2, 8);
    assert_not_opened(&zip, "is compressed");
}

static void truncated_files_are_rejected(void **state)
{
    (void) state;
    struct zip_bytes zip = { 0 };
    zip_add(&zip, "a/data.pkl", "N.", 2);
    zip_add(&zip, "a/data/0", six, 24);
    zip_end(&zip, "");
    while (zip.len-- > 0)
        assert_not_opened(&zip, "not a zip file, or a truncated one");
}

static void open_errors_state_the_reason(void **state)
{
    (void) state;
    struct hs_pt_archive *archive;
    struct hs_error err;
    assert_int_equal(hs_pt_archive_open("/nonexistent", &archive, &err), HS_ENOTFOUND);
    assert_int_equal(hs_pt_archive_open("/", &archive, &err), HS_EIO);
    hs_pt_archive_close(NULL);
}

/* The path is built before allocations fail. */
static int read_without_memory(void *arg)
{
    struct hs_pt_archive *archive = NULL;
    struct hs_pt_array array = { 0 };
    struct hs_error err = { 0 };
    int r = hs_pt_archive_open(arg, &archive, &err);
    if (r == 0)
        r = hs_pt_archive_read_tensor(archive, hs_pt_archive_root(archive), "layer.weight", &array, &err);
    if (r == 0)
        assert_true(array.count == 6 && array.data[0] == 1 && array.data[5] == -6.5);
    else
        assert_message(err.message, "memory");
    assert_int_equal(r, err.code);
    free(array.data);
    hs_pt_archive_close(archive);
    return r;
}

static void each_allocation_may_fail(void **state)
{
    (void) state;
    static const char pickle[] = TENSOR("FloatStorage", "0", "\6", "\0", "K\6\x85", "K\1\x85") ".";
    for (int wide = 0; wide < 2; wide++) {
        struct zip_bytes zip = { .wide = wide };
        zip_add(&zip, "net/data.pkl", BYTES(pickle));
        zip_add(&zip, "net/byteorder", "little", 6);
        zip_add(&zip, "net/data/0", six, sizeof(six));
        zip_end(&zip, "");
        char path[200];
        assert_true(hs_str_copy(path, sizeof(path), zip_path(zip.data, zip.len)));
        assert_true(hs_fail_each_allocation(read_without_memory, path) >= 6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_of_number),
        cmocka_unit_test(numbers_may_be_big_endian),
        cmocka_unit_test(strides_choose_the_order),
        cmocka_unit_test(the_shape_is_returned),
        cmocka_unit_test(a_tensor_must_fit_its_storage),
        cmocka_unit_test(a_storage_must_have_the_declared_length),
        cmocka_unit_test(a_storage_that_is_missing_is_refused),
        cmocka_unit_test(numbers_must_be_finite),
        cmocka_unit_test(values_that_are_not_tensors_are_reported),
        cmocka_unit_test(damaged_and_compressed_storages_are_refused),
        cmocka_unit_test(a_checkpoint_has_one_pickle_one_level_down),
        cmocka_unit_test(the_byte_order_is_one_of_two),
        cmocka_unit_test(a_bad_pickle_is_refused_at_once),
        cmocka_unit_test(truncated_files_are_rejected),
        cmocka_unit_test(open_errors_state_the_reason),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return HS_RUN_TESTS(tests);
}
