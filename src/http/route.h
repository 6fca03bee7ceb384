/* Which handler answers which method and path. */
#ifndef HS_HTTP_ROUTE_H
#define HS_HTTP_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "hs/status.h"
#include "http/body.h"

struct hs_http_request;

/* Runs on a worker (on the network thread for HS_HTTP_INLINE routes: it must then not block) and answers with one of
 * the hs_http_reply_… functions; without one the client gets a 500. */
typedef void (*hs_http_handler)(struct hs_http_request *req);

enum { HS_HTTP_INLINE = 1 }; /* answered at once, whatever the workers do; for routes without a body */

struct hs_http_route {
    const char *method;
    const char *path; /* literal; the last segment may be "{name}": any one non-empty segment, see hs_http_param */
    hs_http_handler handle;
    unsigned flags;
    enum hs_body_rule body;
    struct hs_body_spec spec; /* bytes_max 0: the server's body_max */
};

enum { HS_HTTP_ALLOW_SIZE = 128 };

/* Finds the route for method and percent-decoded path; HEAD is answered by GET routes. *ret_param is the parameter's
 * text inside path, or NULL. HS_ENOTFOUND; HS_EMETHOD with the methods of that path in ret_allow ("GET, HEAD"). */
int hs_http_route_find(const struct hs_http_route *routes, size_t count, const char *method, const char *path,
                       const struct hs_http_route **ret_route, const char **ret_param,
                       char ret_allow[HS_HTTP_ALLOW_SIZE]);

#endif
