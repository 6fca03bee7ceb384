/* Frees the fixed input of an ONNX file: the result is a model with a dynamic input, cannot be freed again, and
 * keeps unknown fields. */
#include <stdlib.h>
#include <string.h>

#include "convert/onnx_edit.h"
#include "convert/onnx_info.h"

enum { OUT_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_freed(enum hs_onnx_edit edit, const struct hs_buf *out)
{
    struct hs_onnx_info *info;
    struct hs_buf again;
    if (hs_onnx_info_parse(out->data, out->len, &info, NULL) < 0)
        abort();
    const int64_t *dims = info->inputs[0].dims;
    bool size_free = dims[2] == -1 && dims[3] == -1;
    if (info->input_count != 1 || dims[0] != -1 || dims[1] != 3 || size_free != (edit == HS_ONNX_DYNAMIC_SIZE))
        abort();
    for (size_t i = 0; i < info->output_count; i++)
        if (info->outputs[i].dims[0] != -1 || (info->outputs[i].dims[1] == -1) != size_free)
            abort();
    hs_onnx_info_destroy(info);
    hs_buf_init(&again, OUT_MAX);
    if (hs_onnx_edit(edit, out->data, out->len, &again, NULL) != HS_EMODEL || again.len)
        abort();
    hs_buf_finish(&again);
}

static void check_edit(enum hs_onnx_edit edit, const uint8_t *data, size_t len, uint8_t *longer, size_t longer_len)
{
    struct hs_buf out, other;
    struct hs_error err = { 0 };
    hs_buf_init(&out, OUT_MAX);
    hs_buf_init(&other, OUT_MAX);
    int r = hs_onnx_edit(edit, data, len, &out, &err);
    if (r < 0 && (out.len || err.code != r || !err.message[0]))
        abort();
    if (r == 0) {
        check_freed(edit, &out);
        size_t more = longer_len - len;
        if (hs_onnx_edit(edit, longer, longer_len, &other, NULL) < 0 || other.len != out.len + more ||
            memcmp(other.data, out.data, out.len) != 0 || memcmp(other.data + out.len, longer + len, more) != 0)
            abort();
    }
    hs_buf_finish(&out);
    hs_buf_finish(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint8_t unknown[] = { 0xa0, 0x06, 0x01 }; /* field 100, varint */
    if (len > 100000)
        return 0;
    uint8_t *longer = malloc(len + sizeof(unknown));
    if (!longer)
        return 0;
    if (len)
        memcpy(longer, data, len);
    memcpy(longer + len, unknown, sizeof(unknown));
    check_edit(HS_ONNX_DYNAMIC_BATCH, data, len, longer, len + sizeof(unknown));
    check_edit(HS_ONNX_DYNAMIC_SIZE, data, len, longer, len + sizeof(unknown));
    free(longer);
    return 0;
}
