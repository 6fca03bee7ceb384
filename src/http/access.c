#include "http/access.h"

#include <string.h>

#include "base/origin.h"
#include "base/str.h"

/* ---- Lists ---- */

/* Copies the next item of a list; returns false at the end. Skips an item that does not fit,
 * because it is too long for any valid origin or host. */
static bool next_item(const char **at, char *dst, size_t size)
{
    const char *text = *at ? *at + strspn(*at, " ") : "";
    size_t len = strcspn(text, " ");
    *at = text + len;
    if (len >= size)
        return next_item(at, dst, size);
    return len > 0 && hs_str_copy_n(dst, size, text, len);
}

static bool allows_origin(const char *list, const struct hs_origin *origin)
{
    char item[HS_HOST_SIZE + HS_ORIGIN_SCHEME_SIZE + 16];
    struct hs_origin allowed;
    while (next_item(&list, item, sizeof(item))) {
        if (hs_origin_parse(item, &allowed) && hs_origin_equal(&allowed, origin))
            return true;
    }
    return false;
}

static bool allows_any(const char *list)
{
    char item[2];
    while (next_item(&list, item, sizeof(item))) {
        if (strcmp(item, "*") == 0)
            return true;
    }
    return false;
}

/* ---- Hosts ---- */

static bool same_name(const char *name, const struct hs_origin *host)
{
    struct hs_origin other;
    return name && hs_host_parse(name, &other) && strcmp(other.host, host->host) == 0;
}

/* Matches the machine's full name, its first label ("pi"), and that label with ".local". */
static bool is_machine(const char *machine, const struct hs_origin *host)
{
    char label[HS_HOST_SIZE], local[HS_HOST_SIZE];
    if (!machine[0])
        return false;
    hs_str_copy_n(label, sizeof(label), machine, strcspn(machine, "."));
    return same_name(machine, host) || same_name(label, host) ||
           (hs_str_format(local, sizeof(local), "%s.local", label) && same_name(local, host));
}

static bool is_host_allowed(const struct hs_http_access *access, const struct hs_origin *host)
{
    char item[HS_HOST_SIZE + HS_ORIGIN_SCHEME_SIZE + 16];
    struct hs_origin origin;
    const char *hosts = access->hosts, *origins = access->origins;
    bool listed = false;
    while (next_item(&hosts, item, sizeof(item))) {
        listed = true;
        if (same_name(item, host))
            return true;
    }
    while (next_item(&origins, item, sizeof(item))) {
        if (hs_origin_parse(item, &origin) && strcmp(origin.host, host->host) == 0)
            return true;
    }
    return !listed && (hs_host_is_address(host) || same_name("localhost", host) || same_name(access->own_host, host) ||
                       is_machine(access->machine, host));
}

/* ---- Changes ---- */

/* If Host has no port, uses the default port of the page's scheme. */
static bool is_same_host(const struct hs_origin *origin, const char *host)
{
    struct hs_origin own;
    if (!host || !hs_host_parse(host, &own) || strcmp(own.host, origin->host) != 0)
        return false;
    hs_str_copy(own.scheme, sizeof(own.scheme), origin->scheme);
    return hs_origin_port(&own) == hs_origin_port(origin);
}

/* Extracts the origin of a page's address. */
static bool origin_of_address(const char *address, struct hs_origin *ret)
{
    char text[HS_HOST_SIZE + HS_ORIGIN_SCHEME_SIZE + 16];
    const char *mark = strstr(address, "://");
    size_t len = mark ? (size_t) (mark - address) + 3 + strcspn(mark + 3, "/?#") : 0;
    return hs_str_copy_n(text, sizeof(text), address, len) && hs_origin_parse(text, ret);
}

static bool is_cross_origin(const struct hs_http_access *access, const struct hs_http_source *source)
{
    struct hs_origin origin;
    const char *site = source->fetch_site, *text = source->origin;
    bool read = text ? hs_origin_parse(text, &origin) : source->referer && origin_of_address(source->referer, &origin);
    if (read && allows_origin(access->origins, &origin))
        return false;
    /* A page cannot set this header, and it stays correct behind a proxy that changes Host. */
    if (site)
        return strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;
    if (!text && !source->referer)
        return false;
    return !read || !is_same_host(&origin, source->host);
}

int hs_access_check_change(const struct hs_http_access *access, const struct hs_http_source *source,
                           struct hs_error *err)
{
    bool browser = source->origin || source->referer || source->fetch_site;
    struct hs_origin host, origin;
    char shown[128];
    if (!browser)
        return 0;
    if (is_cross_origin(access, source)) {
        const char *from = source->origin ? source->origin : "another site";
        hs_str_quote(shown, sizeof(shown), from, strlen(from));
        return hs_error_set(err, HS_EFORBIDDEN,
                            "Pages of %s may not change data. To allow it, add the origin to server.cors_origins",
                            shown);
    }
    bool known = source->origin && hs_origin_parse(source->origin, &origin) && allows_origin(access->origins, &origin);
    if (known || !source->host || (hs_host_parse(source->host, &host) && is_host_allowed(access, &host)))
        return 0;
    hs_str_quote(shown, sizeof(shown), source->host, strlen(source->host));
    return hs_error_set(err, HS_EFORBIDDEN,
                        "Pages of the host name %s may not change data. To allow it, add the name to "
                        "server.allowed_hosts",
                        shown);
}

int hs_access_check_admin(const struct hs_http_access *access, const struct hs_http_source *source,
                          struct hs_error *err)
{
    if (access->admin == HS_HTTP_ADMIN_OFF)
        return hs_error_set(err, HS_EFORBIDDEN, "This request is not allowed over HTTP, because server.admin is off");
    if (source->keyed && !source->admin_key)
        return hs_error_set(err, HS_EFORBIDDEN, "The API key does not have the scope admin");
    if (!source->keyed && access->admin == HS_HTTP_ADMIN_LOCAL &&
        (source->proxied || !hs_address_is_loopback(source->address)))
        return hs_error_set(
            err, HS_EFORBIDDEN,
            "This request is allowed only from this machine and without a proxy, because server.admin is local");
    return hs_access_check_change(access, source, err);
}

/* ---- Reading ---- */

const char *hs_access_allow_origin(const struct hs_http_access *access, const char *text)
{
    struct hs_origin origin;
    if (text && hs_origin_parse(text, &origin) && allows_origin(access->origins, &origin))
        return text;
    return allows_any(access->origins) ? "*" : NULL;
}
