/* What kinds of answers a client asks for in its Accept header. */
#ifndef HS_HTTP_ACCEPT_H
#define HS_HTTP_ACCEPT_H

#include <stdbool.h>

struct hs_http_request;

/* The quality that an Accept header gives to exactly this media type (RFC 9110, 12.5.1); -1 where it is not named. */
double hs_accept_quality(const char *accept, const char *type);

/* Whether the request names this type and likes it no less than JSON, which is what it gets otherwise. */
bool hs_accept_prefers(const struct hs_http_request *req, const char *type);

#endif
