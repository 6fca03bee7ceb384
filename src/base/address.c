#include "base/address.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/str.h"

static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

static bool is_mapped(const struct hs_address *address)
{
    return memcmp(address->bytes, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

bool hs_address_parse(const char *text, struct hs_address *ret)
{
    struct hs_address address;
    memcpy(address.bytes, mapped_prefix, sizeof(mapped_prefix));
    if (inet_pton(AF_INET, text, address.bytes + 12) != 1 && inet_pton(AF_INET6, text, address.bytes) != 1)
        return false;
    *ret = address;
    return true;
}

void hs_address_write(const struct hs_address *address, char ret_text[HS_ADDRESS_TEXT_SIZE])
{
    bool mapped = is_mapped(address);
    inet_ntop(mapped ? AF_INET : AF_INET6, address->bytes + (mapped ? 12 : 0), ret_text, HS_ADDRESS_TEXT_SIZE);
}

/* Returns true if the first `bits` bits are the same. */
static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned rest = bits % 8, mask = 0xff00u >> rest & 0xff;
    return memcmp(a, b, bits / 8) == 0 && (rest == 0 || ((a[bits / 8] ^ b[bits / 8]) & mask) == 0);
}

bool hs_address_range_parse(const char *text, struct hs_address_range *ret)
{
    char address[HS_ADDRESS_TEXT_SIZE];
    struct hs_address_range range = { .bits = 128 };
    size_t len = strcspn(text, "/");
    if (!hs_str_copy_n(address, sizeof(address), text, len) || !hs_address_parse(address, &range.first))
        return false;
    if (text[len] == '/') {
        unsigned most = strchr(address, ':') ? 128 : 32;
        int64_t bits;
        size_t digits = strspn(text + len + 1, "0123456789");
        if (digits == 0 || digits > 3 || text[len + 1 + digits] != '\0' || !hs_str_to_int64(text + len + 1, &bits) ||
            bits > most)
            return false;
        range.bits = 128 - most + (unsigned) bits;
    }
    for (unsigned i = range.bits; i < 128; i++) {
        if (range.first.bytes[i / 8] & 0x80u >> i % 8)
            return false;
    }
    *ret = range;
    return true;
}

bool hs_address_range_contains(const struct hs_address_range *range, const struct hs_address *address)
{
    return same_prefix(range->first.bytes, address->bytes, range->bits);
}
