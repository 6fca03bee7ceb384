#include "convert/protobuf_reader.h"

static bool read_varint(struct hs_protobuf_span *in, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (in->len == 0)
            return false;
        uint8_t byte = *in->data++;
        in->len--;
        value |= (uint64_t) (byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static bool take(struct hs_protobuf_span *in, uint64_t count, struct hs_protobuf_span *ret)
{
    if (count > in->len)
        return false;
    *ret = (struct hs_protobuf_span){ in->data, (size_t) count };
    in->data += count;
    in->len -= (size_t) count;
    return true;
}

bool hs_protobuf_next(struct hs_protobuf_span *in, struct hs_protobuf_field *ret, bool *damaged)
{
    uint64_t key, len = 0;
    struct hs_protobuf_span fixed = { 0 };
    const uint8_t *start = in->data;
    if (in->len == 0 || *damaged)
        return false;
    bool fine = read_varint(in, &key) && key >> 3 > 0 && key >> 3 < (UINT64_C(1) << 29);
    if (fine) {
        *ret = (struct hs_protobuf_field){ .number = (uint32_t) (key >> 3), .wire = key & 7 };
        if (ret->wire == HS_PROTOBUF_VARINT)
            fine = read_varint(in, &ret->value);
        else if (ret->wire == HS_PROTOBUF_BYTES)
            fine = read_varint(in, &len) && take(in, len, &ret->bytes);
        else if (ret->wire == HS_PROTOBUF_64 || ret->wire == HS_PROTOBUF_32)
            fine = take(in, ret->wire == HS_PROTOBUF_64 ? 8 : 4, &fixed);
        else
            fine = false;
        for (size_t i = 0; i < fixed.len; i++)
            ret->value |= (uint64_t) fixed.data[i] << (8 * i);
        ret->whole = (struct hs_protobuf_span){ start, (size_t) (in->data - start) };
    }
    *damaged |= !fine;
    return fine;
}

struct hs_protobuf_span hs_protobuf_bytes(struct hs_protobuf_span in, uint32_t number, bool *damaged)
{
    struct hs_protobuf_span found = { 0 };
    struct hs_protobuf_field field;
    while (hs_protobuf_next(&in, &field, damaged))
        if (hs_protobuf_is_bytes(&field, number))
            found = field.bytes;
    return found;
}

uint64_t hs_protobuf_varint(struct hs_protobuf_span in, uint32_t number, bool *damaged)
{
    uint64_t found = 0;
    struct hs_protobuf_field field;
    while (hs_protobuf_next(&in, &field, damaged))
        if (field.number == number && field.wire == HS_PROTOBUF_VARINT)
            found = field.value;
    return found;
}

bool hs_protobuf_is_bytes(const struct hs_protobuf_field *field, uint32_t number)
{
    return field->number == number && field->wire == HS_PROTOBUF_BYTES;
}
