/* Maps a method and a path to a handler. */
#ifndef HS_HTTP_ROUTE_H
#define HS_HTTP_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "auth/scope.h"
#include "hs/status.h"
#include "http/body.h"
#include "http/route_doc.h"

struct hs_http_request;

/* Handles a request and answers with one of the hs_http_reply_… functions; if it calls none, the
 * client gets a 500. Runs on a worker, or on the network thread for HS_HTTP_INLINE routes, on which
 * it must not block. */
typedef void (*hs_http_handler)(struct hs_http_request *req);

enum {
    HS_HTTP_INLINE = 1,  /* runs at once on the network thread, even if all workers are busy; for routes without a
                            body */
    HS_HTTP_CHANGES = 2, /* changes stored data: refused for pages of another origin (http/access.h) */
    HS_HTTP_ADMIN = 4,   /* for the administrator only (http/access.h) */
    HS_HTTP_OPEN = 16,   /* answered without an API key too; the handler leaves details out unless hs_http_is_known */
    HS_HTTP_PROBE = 8,   /* called at short intervals by monitors: a success is logged at DEBUG instead of INFO */
};

struct hs_http_route {
    const char *method;
    const char *path; /* literal; a segment "{name}" matches any nonempty segment: see hs_http_param */
    hs_http_handler handle;
    unsigned flags;
    enum hs_scope scope; /* scope that an API key needs; HS_SCOPE_NONE: any valid key */
    enum hs_body_rule body;
    struct hs_body_spec spec;       /* bytes_max 0: use the server's body_max */
    const struct hs_route_doc *doc; /* description of the route; NULL: none, as in tests */
    /* Runs on the network thread after the headers are read, before the body is read; must not
     * block. Returns true if it has answered, and then the handler does not run. NULL: no check. */
    int (*check)(struct hs_http_request *req);
    /* Runs on the network thread after the body is complete; must not block or read far. Reads the
     * query with hs_http_peek_query, so that arguments which the handler does not read still cause
     * a warning. Returns true if the request may occupy its worker for long, so that it must leave
     * workers to other requests (hs_pool_submit_heavy). NULL: never. */
    bool (*is_heavy)(struct hs_http_request *req);
};

enum { HS_HTTP_ALLOW_SIZE = 128 };

enum { HS_HTTP_PARAMS_MAX = 2 }; /* segments in braces in one path */

/* Finds the route for a method and a path as sent, without the query. A GET route also handles
 * HEAD. OPTIONS is allowed on every path but has no route, so it returns HS_EMETHOD; the path "*"
 * stands for all paths. Decodes the parameters in place: ret_params point into path, and unused
 * ones are NULL. An encoded '/' belongs to its segment. HS_ENOTFOUND; HS_EMETHOD: ret_allow lists
 * the methods of the path ("GET, HEAD, OPTIONS"). */
int hs_http_route_find(const struct hs_http_route *routes, size_t count, const char *method, char *path,
                       const struct hs_http_route **ret_route, const char *ret_params[HS_HTTP_PARAMS_MAX],
                       char ret_allow[HS_HTTP_ALLOW_SIZE]);

#endif
