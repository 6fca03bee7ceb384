/* Access rules: which requests may change stored data, and which clients may call the
 * administrator's routes. All functions are pure; they read only the request's headers and its
 * client address.
 *
 * A browser sends a form or a script's request to any address that a page names, with the access
 * rights of the machine that the browser runs on. Origin (RFC 6454, 7) and Sec-Fetch-Site
 * (https://www.w3.org/TR/fetch-metadata) identify the page's site. These checks follow
 * CrossOriginProtection of Go's net/http. A further check of the Host header stops DNS rebinding,
 * in which a page's own host name resolves to this server, so that the page has the same origin. A
 * client that sends none of these headers is not a browser and passes both checks. */
#ifndef HS_HTTP_ACCESS_H
#define HS_HTTP_ACCESS_H

#include <stdbool.h>

#include "hs/status.h"

/* Clients that may unload and fetch models, change their keep_alive, and delete backups. LOCAL:
 * clients on this machine that are not behind a proxy. If the server needs API keys, LOCAL and ALL
 * both mean the clients whose key has the scope admin, wherever they are. */
enum hs_http_admin { HS_HTTP_ADMIN_OFF, HS_HTTP_ADMIN_LOCAL, HS_HTTP_ADMIN_ALL };

/* Lists hold items separated by blanks; NULL and "" are empty lists. Borrows all strings. */
struct hs_http_access {
    const char *origins;  /* origins of pages that may read responses and change data; "*": every page may read */
    const char *hosts;    /* host names that a page may use to change data; "": the default names */
    const char *own_host; /* host name that the server listens on */
    char machine[256];    /* name of this machine; "": unknown */
    enum hs_http_admin admin;
};

/* Headers and address of a request; NULL: the header is absent. */
struct hs_http_source {
    const char *host, *origin, *referer, *fetch_site;
    const char *address; /* client address, as inet_ntop writes it */
    bool proxied;        /* the request has a header that proxies add */
    bool keyed;          /* the server needs API keys */
    bool admin_key;      /* the key of the request has the scope admin */
};

/* Fails with HS_EFORBIDDEN if a page of another origin, or of a host name that is not allowed, sent
 * the request. */
int hs_access_check_change(const struct hs_http_access *access, const struct hs_http_source *source,
                           struct hs_error *err);

/* Fails with HS_EFORBIDDEN if the client is not an administrator; the message names the setting.
 * Also runs hs_access_check_change. */
int hs_access_check_admin(const struct hs_http_access *access, const struct hs_http_source *source,
                          struct hs_error *err);

/* Returns the Access-Control-Allow-Origin value for a page of this origin: the origin, "*", or NULL
 * for none. */
const char *hs_access_allow_origin(const struct hs_http_access *access, const char *text);

#endif
