/* IP addresses, and ranges of them such as "10.0.0.0/8". An IPv4 address and the IPv6 address it is mapped to
 * (RFC 4291, 2.5.5.2) are the same. */
#ifndef HS_BASE_ADDRESS_H
#define HS_BASE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

struct hs_address {
    uint8_t bytes[16]; /* IPv4 addresses as mapped IPv6 addresses */
};

struct hs_address_range {
    struct hs_address first;
    unsigned bits; /* length of the prefix, 0 to 128 */
};

/* Parses an address as inet_pton does. */
bool hs_address_parse(const char *text, struct hs_address *ret);

/* Writes the canonical text: IPv4 if the address is a mapped one, else IPv6 without brackets. */
enum { HS_ADDRESS_TEXT_SIZE = 46 };
void hs_address_write(const struct hs_address *address, char ret_text[HS_ADDRESS_TEXT_SIZE]);

/* Parses "192.0.2.1", "10.0.0.0/8" or "fd00::/8". False for a range whose address has bits after its prefix. */
bool hs_address_range_parse(const char *text, struct hs_address_range *ret);
bool hs_address_range_contains(const struct hs_address_range *range, const struct hs_address *address);

#endif
