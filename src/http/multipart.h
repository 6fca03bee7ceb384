/* multipart/form-data (RFC 7578, RFC 2046) as it arrives, in pieces of any size. */
#ifndef HS_HTTP_MULTIPART_H
#define HS_HTTP_MULTIPART_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "hs/status.h"
#include "http/base64.h"
#include "http/quoted_printable.h"

enum { HS_MULTIPART_NAME_SIZE = 256, HS_MULTIPART_CHARSET_SIZE = 32 };

/* The headers of a part, as far as they matter. */
struct hs_multipart_part {
    char name[HS_MULTIPART_NAME_SIZE];       /* "": it has none */
    char charset[HS_MULTIPART_CHARSET_SIZE]; /* of its Content-Type, cut; "": it has none */
};

/* A negative return of any of them ends the parse with that code. `data` is what the part's Content-Transfer-Encoding
 * (base64, quoted-printable) stands for. */
struct hs_multipart_events {
    int (*begin)(void *ctx, const struct hs_multipart_part *part, struct hs_error *err);
    int (*data)(void *ctx, const uint8_t *data, size_t len, struct hs_error *err);
    int (*end)(void *ctx, struct hs_error *err);
};

enum { HS_MULTIPART_BOUNDARY_MAX = 70 }; /* RFC 2046 §5.1.1 */

struct hs_multipart {
    const struct hs_multipart_events *events;
    void *ctx;
    size_t parts, parts_max;
    int state;
    char delimiter[4 + HS_MULTIPART_BOUNDARY_MAX + 1]; /* CR LF "--" boundary */
    size_t delimiter_len, matched;
    size_t unreal;        /* of `matched`, bytes that are taken as seen but are no content when the match fails */
    struct hs_buf header; /* the headers of the part, up to the empty line */
    int encoding;         /* of the part's content */
    struct hs_base64 base64;
    struct hs_quoted_printable quoted_printable;
};

/* Reads the boundary from the Content-Type. HS_EINVAL if there is no valid one. Finish with
 * hs_multipart_finish whenever this returned 0. */
int hs_multipart_init(struct hs_multipart *parser, const char *content_type, size_t parts_max, size_t header_max,
                      const struct hs_multipart_events *events, void *ctx, struct hs_error *err);
void hs_multipart_finish(struct hs_multipart *parser);

int hs_multipart_feed(struct hs_multipart *parser, const uint8_t *data, size_t len, struct hs_error *err);

/* HS_EINVAL if the closing boundary was not seen. */
int hs_multipart_end(struct hs_multipart *parser, struct hs_error *err);

#endif
