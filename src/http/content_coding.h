/* The Content-Encoding of request bodies (RFC 9110, 8.4): gzip (RFC 1952) and deflate (RFC 1950), unpacked as they
 * arrive. */
#ifndef HS_HTTP_CONTENT_CODING_H
#define HS_HTTP_CONTENT_CODING_H

#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

enum hs_coding { HS_CODING_NONE, HS_CODING_GZIP, HS_CODING_DEFLATE };

/* The codings that are taken, as the value of an Accept-Encoding header. */
#define HS_CODINGS "gzip, deflate"

/* Reads a Content-Encoding header; NULL, "" and "identity": NONE. HS_EUNSUPPORTED names another coding, or says that
 * there are several. */
int hs_coding_read(const char *header, enum hs_coding *ret_coding, struct hs_error *err);

/* Takes the next unpacked bytes. A negative return ends the unpacking with that code. */
typedef int (*hs_inflate_sink)(void *ctx, const uint8_t *data, size_t len, struct hs_error *err);

/* Memory that one of them takes, zlib's included. */
enum { HS_INFLATE_MEMORY = 64 << 10 };

struct hs_inflater;

/* Not for NONE. Caller frees with hs_inflater_destroy. HS_ENOMEM. Not thread-safe. */
int hs_inflater_create(enum hs_coding coding, struct hs_inflater **ret_inflater, struct hs_error *err);
void hs_inflater_destroy(struct hs_inflater *inflater); /* NULL allowed */

/* Unpacks the next bytes, in pieces of any size, and gives them to the sink in pieces of at most 16 KiB. After an error
 * nothing more may be fed. HS_EINVAL: damaged. A gzip body may have several members (RFC 1952, 2.2); a deflate body
 * without the header of zlib is taken too, as some clients send it. */
int hs_inflater_feed(struct hs_inflater *inflater, const uint8_t *data, size_t len, hs_inflate_sink sink, void *ctx,
                     struct hs_error *err);

/* HS_EINVAL if the end of the packed data is missing. */
int hs_inflater_end(const struct hs_inflater *inflater, struct hs_error *err);

#endif
