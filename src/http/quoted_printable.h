/* Quoted-printable (RFC 2045, 6.7), decoded as it arrives. */
#ifndef HS_HTTP_QUOTED_PRINTABLE_H
#define HS_HTTP_QUOTED_PRINTABLE_H

#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

/* All zero at the start. */
struct hs_quoted_printable {
    int state;
    char high; /* the first digit of an escape */
};

/* Decodes the next bytes into out, which has room for len of them. HS_EINVAL: an '=' is followed neither by two
 * hexadecimal digits nor by a line break. */
int hs_quoted_printable_feed(struct hs_quoted_printable *decoder, const uint8_t *text, size_t len, uint8_t *out,
                             size_t *ret_len, struct hs_error *err);

/* HS_EINVAL if the text ends inside an escape. */
int hs_quoted_printable_end(const struct hs_quoted_printable *decoder, struct hs_error *err);

#endif
