/* Maps a method and a path to a handler. */
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

enum {
    HS_HTTP_INLINE = 1,  /* answered at once, whatever the workers do; for routes without a body */
    HS_HTTP_CHANGES = 2, /* changes what is stored: not for pages of another origin (http/access.h) */
    HS_HTTP_ADMIN = 4,   /* for the administrator only (http/access.h) */
};

struct hs_http_route {
    const char *method;
    const char *path; /* literal; a segment "{name}" is any one that is not empty: see hs_http_param */
    hs_http_handler handle;
    unsigned flags;
    enum hs_body_rule body;
    struct hs_body_spec spec; /* bytes_max 0: the server's body_max */
    /* Runs on the network thread once the headers are read, before the body is looked at, and must not block. True: it
     * has answered, and the handler does not run. NULL: none. */
    int (*check)(struct hs_http_request *req);
    /* Runs on the network thread once the body is complete, and must neither block nor read far. It looks at the
     * query with hs_http_peek_query, so that what the handler does not read is still warned of. True: the request may
     * hold its worker for long, so it must leave workers to others (hs_pool_submit_heavy). NULL: never. */
    bool (*is_heavy)(struct hs_http_request *req);
};

enum { HS_HTTP_ALLOW_SIZE = 128 };

enum { HS_HTTP_PARAMS_MAX = 2 }; /* segments in braces of one path */

/* Finds the route for method and path as sent, without its query; HEAD is answered by GET routes. OPTIONS is a method
 * of every path, and has no route: HS_EMETHOD; the path "*" stands for all paths. The parameters are
 * decoded in place: ret_params point into path, those that the route has not are NULL. An encoded '/' is part of its
 * segment. HS_ENOTFOUND; HS_EMETHOD with the methods of that path in ret_allow ("GET, HEAD, OPTIONS"). */
int hs_http_route_find(const struct hs_http_route *routes, size_t count, const char *method, char *path,
                       const struct hs_http_route **ret_route, const char *ret_params[HS_HTTP_PARAMS_MAX],
                       char ret_allow[HS_HTTP_ALLOW_SIZE]);

#endif
