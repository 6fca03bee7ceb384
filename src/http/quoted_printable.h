/* Incremental quoted-printable decoder (RFC 2045, 6.7). */
#ifndef HS_HTTP_QUOTED_PRINTABLE_H
#define HS_HTTP_QUOTED_PRINTABLE_H

#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

/* Initial state: all zeros. */
struct hs_quoted_printable {
    int state;
    char high; /* first digit of an escape */
};

/* Decodes the next bytes into out, which must hold len bytes. Fails with HS_EINVAL if '=' is not
 * followed by two hexadecimal digits or a line break. */
int hs_quoted_printable_feed(struct hs_quoted_printable *decoder, const uint8_t *text, size_t len, uint8_t *out,
                             size_t *ret_len, struct hs_error *err);

/* Fails with HS_EINVAL if the text ends inside an escape. */
int hs_quoted_printable_end(const struct hs_quoted_printable *decoder, struct hs_error *err);

#endif
