/* The layout is that of PyTorch's caffe2/serialize/inline_container.h: <name>/data.pkl, <name>/byteorder (since 2.1)
 * and a file <name>/data/<key> for each storage. */
#include "convert/pt_archive.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "convert/pickle.h"
#include "convert/zip_stored.h"

enum { MAX_NAME = 512, MAX_DESCRIPTION = 128 };

struct hs_pt_archive {
    struct hs_zip *zip;
    char prefix[MAX_NAME]; /* "<name>/" */
    bool big_endian;
    uint8_t *pickle; /* contains the texts of the values */
    struct hs_arena arena;
    const struct hs_pickle_value *root;
};

/* Finds the only member named <name>/data.pkl; <name> is the prefix of all others. */
static int find_pickle(struct hs_pt_archive *archive, struct hs_zip_member **ret_pickle, struct hs_error *err)
{
    size_t found = 0;
    for (size_t i = 0; i < hs_zip_count(archive->zip); i++) {
        struct hs_zip_member *member = hs_zip_at(archive->zip, i);
        const char *slash = strchr(member->name, '/');
        if (!slash || strcmp(slash, "/data.pkl") != 0)
            continue;
        *ret_pickle = member;
        size_t len = (size_t) (slash + 1 - member->name);
        found += hs_str_copy_n(archive->prefix, sizeof(archive->prefix), member->name, len) ? 1 : 2;
    }
    return found == 1 ? 0 : hs_error_set(err, HS_EMODEL, "the zip file is not a PyTorch checkpoint");
}

/* Reads the byte order from a file of one word; checkpoints without it are little-endian. */
static int read_byte_order(struct hs_pt_archive *archive, struct hs_error *err)
{
    char name[MAX_NAME + 16], order[7] = "";
    hs_str_format(name, sizeof(name), "%sbyteorder", archive->prefix);
    struct hs_zip_member *member = hs_zip_find(archive->zip, name);
    if (!member)
        return 0;
    size_t len = member->size < sizeof(order) - 1 ? (size_t) member->size : sizeof(order) - 1;
    int r = hs_zip_read(archive->zip, member, 0, order, len, err);
    if (r < 0)
        return r;
    archive->big_endian = !strcmp(order, "big");
    if (member->size != len || (!archive->big_endian && strcmp(order, "little") != 0))
        return hs_error_set(err, HS_EMODEL, "the PyTorch checkpoint has an unknown byte order");
    return 0;
}

bool hs_pt_is_old_format(const char *path)
{
    /* Protocol 2, then torch's magic number 0x1950a86a20f9469cfc6c: the beginning of older
     * torch.save files. */
    static const uint8_t magic[] = {
        0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'
    };
    uint8_t head[sizeof(magic)];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool same = read(fd, head, sizeof(head)) == sizeof(head) && memcmp(head, magic, sizeof(head)) == 0;
    close(fd);
    return same;
}

int hs_pt_archive_open(const char *path, struct hs_pt_archive **ret_archive, struct hs_error *err)
{
    struct hs_zip_member *pickle = NULL;
    struct hs_pt_archive *archive = calloc(1, sizeof(*archive));
    if (!archive)
        return hs_error_set(err, HS_ENOMEM, "no memory for a checkpoint");
    hs_arena_init(&archive->arena, HS_PICKLE_MAX_MEMORY);
    int r = hs_zip_open(path, &archive->zip, err);
    if (r < 0 && hs_pt_is_old_format(path))
        r = hs_error_set(err, HS_EMODEL,
                         "the checkpoint has the format of torch before 1.6; save it again with a newer torch: "
                         "torch.save(torch.load(OLD, weights_only=False), NEW)");
    if (r == 0)
        r = find_pickle(archive, &pickle, err);
    if (r == 0)
        r = read_byte_order(archive, err);
    if (r == 0 && pickle->size > HS_PICKLE_MAX_BYTES)
        r = hs_error_set(err, HS_EMODEL, "the pickle is too large: %" PRIu64 " bytes, the limit is %d", pickle->size,
                         HS_PICKLE_MAX_BYTES);
    if (r == 0 && !(archive->pickle = malloc((size_t) pickle->size + 1)))
        r = hs_error_set(err, HS_ENOMEM, "no memory for the pickle of a checkpoint");
    if (r == 0)
        r = hs_zip_read(archive->zip, pickle, 0, archive->pickle, (size_t) pickle->size, err);
    if (r == 0)
        r = hs_pickle_read(archive->pickle, (size_t) pickle->size, &archive->arena, &archive->root, err);
    if (r < 0)
        hs_pt_archive_close(archive);
    else
        *ret_archive = archive;
    return r;
}

void hs_pt_archive_close(struct hs_pt_archive *archive)
{
    if (!archive)
        return;
    hs_zip_close(archive->zip);
    hs_arena_finish(&archive->arena);
    free(archive->pickle);
    free(archive);
}

uint64_t hs_pt_archive_file_size(const struct hs_pt_archive *archive)
{
    return hs_zip_file_size(archive->zip);
}

const struct hs_pickle_value *hs_pt_archive_root(const struct hs_pt_archive *archive)
{
    return archive->root;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are read through a union");
static const uint8_t dtype_sizes[] = { [HS_PICKLE_F16] = 2, [HS_PICKLE_F32] = 4, [HS_PICKLE_F64] = 8,
                                       [HS_PICKLE_I32] = 4, [HS_PICKLE_I64] = 8, [HS_PICKLE_OTHER] = 0 };

static double to_number(enum hs_pickle_dtype dtype, const uint8_t *bytes, bool big_endian)
{
    size_t size = dtype_sizes[dtype];
    union {
        uint64_t bits;
        int32_t whole;
        float narrow;
        double wide;
    } number = { 0 };
    for (size_t i = 0; i < size; i++)
        number.bits = number.bits << 8 | bytes[big_endian ? i : size - 1 - i];
    if (dtype == HS_PICKLE_F32)
        return (double) number.narrow;
    if (dtype == HS_PICKLE_F64)
        return number.wide;
    if (dtype == HS_PICKLE_I32 || dtype == HS_PICKLE_I64)
        return dtype == HS_PICKLE_I32 ? (double) number.whole : (double) (int64_t) number.bits;
    /* IEEE 754 binary16: a sign, 5 bits of exponent, 10 of fraction */
    int exponent = (int) (number.bits >> 10 & 31), fraction = (int) (number.bits & 1023);
    double wide = exponent == 31 ? (fraction ? NAN : INFINITY)
                  : exponent     ? ldexp(fraction + 1024, exponent - 25)
                                 : ldexp(fraction, -24);
    return number.bits >> 15 ? -wide : wide;
}

/* The number of elements, and the range of the storage that they occupy. */
struct span {
    uint64_t count, first, end;
};

/* A tensor may skip and repeat elements, but must not leave its storage or be larger than it. */
static bool find_span(const struct hs_pickle_tensor *tensor, struct span *ret)
{
    int64_t count = 1, last = tensor->offset;
    if (tensor->offset < 0 || tensor->count < 0)
        return false;
    for (int i = 0; i < tensor->dims; i++) {
        int64_t size = tensor->size[i], step;
        if (size < 0 || tensor->stride[i] < 0 || __builtin_mul_overflow(count, size, &count) ||
            __builtin_mul_overflow(size ? size - 1 : 0, tensor->stride[i], &step) ||
            __builtin_add_overflow(last, step, &last))
            return false;
    }
    if (count > tensor->count || (count > 0 && last >= tensor->count))
        return false;
    *ret = (struct span) { (uint64_t) count, (uint64_t) tensor->offset, count ? (uint64_t) last + 1 : 0 };
    return true;
}

/* Finds the member that holds the storage; its length must be exactly what the pickle specifies. */
static int find_storage(struct hs_pt_archive *archive, const struct hs_pickle_tensor *tensor, const char *what,
                        struct hs_zip_member **ret, struct hs_error *err)
{
    char name[2 * MAX_NAME], key[MAX_NAME / 2];
    struct hs_zip_member *member = NULL;
    if (!memchr(tensor->key.data, 0, tensor->key.len) &&
        hs_str_copy_n(key, sizeof(key), tensor->key.data, tensor->key.len) &&
        hs_str_format(name, sizeof(name), "%sdata/%s", archive->prefix, key))
        member = hs_zip_find(archive->zip, name);
    if (!member) {
        hs_str_quote(key, MAX_DESCRIPTION, tensor->key.data, tensor->key.len);
        return hs_error_set(err, HS_EMODEL, "%s: the checkpoint has no storage %s", what, key);
    }
    uint64_t size;
    if (__builtin_mul_overflow((uint64_t) tensor->count, dtype_sizes[tensor->dtype], &size) || member->size != size)
        return hs_error_set(err, HS_EMODEL, "%s: the storage has %" PRIu64 " bytes, not %" PRId64 " numbers", what,
                            member->size, tensor->count);
    *ret = member;
    return 0;
}

/* Copies the tensor row by row; `raw` holds its span. Returns false at a number that is not finite. */
static bool gather(const struct hs_pickle_tensor *tensor, const uint8_t *raw, bool big_endian, double *data,
                   size_t count)
{
    size_t size = dtype_sizes[tensor->dtype];
    int64_t index[HS_PICKLE_MAX_DIMS] = { 0 };
    uint64_t at = 0; /* may overflow if a side of 1 has an absurd stride, but then wraps back */
    for (size_t i = 0; i < count; i++) {
        data[i] = to_number(tensor->dtype, raw + (size_t) at * size, big_endian);
        if (!isfinite(data[i]))
            return false;
        for (int d = tensor->dims - 1; d >= 0; d--) {
            at += (uint64_t) tensor->stride[d];
            if (++index[d] < tensor->size[d])
                break;
            at -= (uint64_t) tensor->stride[d] * (uint64_t) tensor->size[d];
            index[d] = 0;
        }
    }
    return true;
}

int hs_pt_archive_read_tensor(struct hs_pt_archive *archive, const struct hs_pickle_value *value, const char *what,
                              struct hs_pt_array *ret_array, struct hs_error *err)
{
    char text[MAX_DESCRIPTION];
    struct hs_error why;
    struct span span;
    struct hs_zip_member *member = NULL;
    if (!value || value->type != HS_PICKLE_TENSOR) {
        hs_pickle_describe(value, text, sizeof(text));
        return hs_error_set(err, HS_EMODEL, "%s: expected a tensor, got %s", what, text);
    }
    const struct hs_pickle_tensor *tensor = value->tensor;
    if (tensor->dtype == HS_PICKLE_OTHER)
        return hs_error_set(err, HS_EMODEL, "%s: tensors of <%s> are not supported", what, tensor->storage_kind);
    if (!find_span(tensor, &span))
        return hs_error_set(err, HS_EMODEL, "%s: the tensor exceeds its storage", what);
    int r = find_storage(archive, tensor, what, &member, err);
    if (r < 0)
        return r;
    size_t size = dtype_sizes[tensor->dtype], data_size = 0;
    size_t bytes = span.count ? (size_t) (span.end - span.first) * size : 0;
    bool fits = hs_size_mul((size_t) span.count, sizeof(double), &data_size);
    uint8_t *raw = fits ? malloc(bytes + 1) : NULL;
    double *data = fits ? malloc(data_size + 1) : NULL;
    if (!raw || !data)
        r = hs_error_set(err, HS_ENOMEM, "%s: no memory for %" PRIu64 " numbers", what, span.count);
    else if ((r = hs_zip_read(archive->zip, member, span.count ? span.first * size : 0, raw, bytes, &why)) < 0)
        hs_error_set(err, r, "%s: %s", what, why.message);
    else if (!gather(tensor, raw, archive->big_endian, data, (size_t) span.count))
        r = hs_error_set(err, HS_EMODEL, "%s: a number is not finite", what);
    free(raw);
    if (r < 0) {
        free(data);
        return r;
    }
    *ret_array = (struct hs_pt_array) { .data = data, .count = (size_t) span.count, .dims = tensor->dims };
    memcpy(ret_array->size, tensor->size, sizeof(tensor->size));
    return 0;
}
