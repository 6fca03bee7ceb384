/* Reads protobuf's wire format: a varint key of (field number << 3 | wire type), then a varint, 8 bytes, a length with
 * so many bytes, or 4 bytes. Everything is a view into the caller's bytes. Any thread. */
#ifndef HS_CONVERT_PROTOBUF_READER_H
#define HS_CONVERT_PROTOBUF_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HS_PROTOBUF_VARINT = 0, HS_PROTOBUF_64 = 1, HS_PROTOBUF_BYTES = 2, HS_PROTOBUF_32 = 5 };

struct hs_protobuf_span {
    const uint8_t *data;
    size_t len;
};

struct hs_protobuf_field {
    uint32_t number;
    uint32_t wire;
    uint64_t value;            /* wire types 0, 1, 5 */
    struct hs_protobuf_span bytes; /* wire type 2 */
    struct hs_protobuf_span whole; /* the field with its key */
};

/* Takes the next field off the front of *in. False at the end, and if the bytes are no protobuf: then *damaged is
 * set; once it is, there is no next field. */
bool hs_protobuf_next(struct hs_protobuf_span *in, struct hs_protobuf_field *ret, bool *damaged);

/* The bytes, or the varint, of the last field of that number; empty, or 0, if there is none. */
struct hs_protobuf_span hs_protobuf_bytes(struct hs_protobuf_span in, uint32_t number, bool *damaged);
uint64_t hs_protobuf_varint(struct hs_protobuf_span in, uint32_t number, bool *damaged);

/* The field has this number and a length with bytes. */
bool hs_protobuf_is_bytes(const struct hs_protobuf_field *field, uint32_t number);

#endif
