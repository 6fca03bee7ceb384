/* Incremental parser for multipart/form-data (RFC 7578, RFC 2046); accepts pieces of any size. */
#ifndef HS_HTTP_MULTIPART_H
#define HS_HTTP_MULTIPART_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "hs/status.h"
#include "http/base64.h"
#include "http/quoted_printable.h"

enum { HS_MULTIPART_NAME_SIZE = 256, HS_MULTIPART_CHARSET_SIZE = 32 };

/* The part headers that the server uses. */
struct hs_multipart_part {
    char name[HS_MULTIPART_NAME_SIZE];       /* "": none */
    char charset[HS_MULTIPART_CHARSET_SIZE]; /* charset of the Content-Type, truncated; "": none */
};

/* A negative return value stops the parse with that code. `data` receives content with the
 * Content-Transfer-Encoding (base64, quoted-printable) already decoded. */
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
    size_t implied;       /* of `matched`: bytes that are not content if the match fails */
    struct hs_buf header; /* headers of the part, up to the empty line */
    int encoding;         /* encoding of the part's content */
    struct hs_base64 base64;
    struct hs_quoted_printable quoted_printable;
};

/* Reads the boundary from the Content-Type. Fails with HS_EINVAL if it has no valid boundary. After
 * success, the caller must call hs_multipart_finish. */
int hs_multipart_init(struct hs_multipart *parser, const char *content_type, size_t parts_max, size_t header_max,
                      const struct hs_multipart_events *events, void *ctx, struct hs_error *err);
void hs_multipart_finish(struct hs_multipart *parser);

int hs_multipart_feed(struct hs_multipart *parser, const uint8_t *data, size_t len, struct hs_error *err);

/* Fails with HS_EINVAL if the closing boundary is missing. */
int hs_multipart_end(struct hs_multipart *parser, struct hs_error *err);

#endif
