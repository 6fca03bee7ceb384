/* Which requests may change something, and which clients may do what is for the administrator. Pure functions of what a
 * request says of itself.
 *
 * A browser sends a form or a script's request to any address that a page names, with the rights of the machine it runs
 * on. It tells where the page is from: in Origin (RFC 6454, 7) and Sec-Fetch-Site
 * (https://www.w3.org/TR/fetch-metadata). The checks are those of Go's net/http CrossOriginProtection, and one of the
 * Host header: a page whose own name was made to point here (DNS rebinding) is of the same origin. A client that sends
 * none of these headers is no browser, and is not held to either check. */
#ifndef HS_HTTP_ACCESS_H
#define HS_HTTP_ACCESS_H

#include <stdbool.h>

#include "hs/status.h"

/* Who may unload and fetch models, shorten or lengthen their keep_alive, and delete backups. LOCAL: clients on this
 * machine that are not behind a proxy. */
enum hs_http_admin { HS_HTTP_ADMIN_OFF, HS_HTTP_ADMIN_LOCAL, HS_HTTP_ADMIN_ALL };

/* Lists hold items between blanks; NULL and "" are empty. Borrowed. */
struct hs_http_access {
    const char *origins;  /* of pages that may read answers and change things; "*": every page may read answers */
    const char *hosts;    /* under which a page may be reached that changes things; "": the usual ones */
    const char *own_host; /* that the server listens on */
    char machine[256];    /* the name of this machine, "": unknown */
    enum hs_http_admin admin;
};

/* What a request says of itself; NULL: the header is not there. */
struct hs_http_claims {
    const char *host, *origin, *referer, *fetch_site;
    const char *address; /* of the client, as inet_ntop writes it */
    bool proxied;        /* it carries a header that proxies add */
};

/* HS_EFORBIDDEN if a page of another origin, or one under a foreign host name, sent the request. */
int hs_access_check_change(const struct hs_http_access *access, const struct hs_http_claims *claims,
                           struct hs_error *err);

/* HS_EFORBIDDEN if the client is no administrator; the message names the setting. Includes the check above. */
int hs_access_check_admin(const struct hs_http_access *access, const struct hs_http_claims *claims,
                          struct hs_error *err);

/* The value of Access-Control-Allow-Origin for a page of this origin: the origin, "*" or NULL: none. */
const char *hs_access_allow_origin(const struct hs_http_access *access, const char *text);

#endif
