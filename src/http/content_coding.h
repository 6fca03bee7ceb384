/* Decoder for the Content-Encoding of request bodies (RFC 9110, 8.4): unpacks gzip (RFC 1952) and
 * deflate (RFC 1950) as they arrive. */
#ifndef HS_HTTP_CONTENT_CODING_H
#define HS_HTTP_CONTENT_CODING_H

#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

enum hs_coding { HS_CODING_NONE, HS_CODING_GZIP, HS_CODING_DEFLATE };

/* The supported codings, as an Accept-Encoding value. */
#define HS_CODINGS "gzip, deflate"

/* Parses a Content-Encoding header; NULL, "" and "identity" are NONE. Fails with HS_EUNSUPPORTED if
 * the header names another coding, or several. */
int hs_coding_read(const char *header, enum hs_coding *ret_coding, struct hs_error *err);

/* Receives the next unpacked bytes. A negative return value stops the decoder, which returns it. */
typedef int (*hs_inflate_sink)(void *ctx, const uint8_t *data, size_t len, struct hs_error *err);

/* Memory that one inflater uses, including zlib's. */
enum { HS_INFLATE_MEMORY = 64 << 10 };

struct hs_inflater;

/* Creates a decoder; `coding` must not be NONE. Caller frees with hs_inflater_destroy. HS_ENOMEM.
 * Not thread-safe. */
int hs_inflater_create(enum hs_coding coding, struct hs_inflater **ret_inflater, struct hs_error *err);
void hs_inflater_destroy(struct hs_inflater *inflater); /* NULL allowed */

/* Unpacks the next bytes, in pieces of any size, and passes them to the sink in pieces of at most
 * 16 KiB. Do not feed more after an error. HS_EINVAL: damaged data. A gzip body may have several
 * members (RFC 1952, 2.2). A deflate body may omit the zlib header, because some clients send none. */
int hs_inflater_feed(struct hs_inflater *inflater, const uint8_t *data, size_t len, hs_inflate_sink sink, void *ctx,
                     struct hs_error *err);

/* Fails with HS_EINVAL if the compressed data is incomplete. */
int hs_inflater_end(const struct hs_inflater *inflater, struct hs_error *err);

#endif
