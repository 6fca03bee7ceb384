/* Names of formats that we know by their first bytes but do not read. */
#ifndef HS_IMAGE_SNIFF_H
#define HS_IMAGE_SNIFF_H

#include <stddef.h>
#include <stdint.h>

/* "GIF", "TIFF", "AVIF" and so on, or NULL for bytes that are none of them. A constant string. */
const char *hs_sniff_unsupported(const uint8_t *data, size_t len);

#endif
