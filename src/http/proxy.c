#include "http/proxy.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum { HOPS_MAX = 32 }; /* a longer chain of trusted proxies is a loop */

int hs_proxies_init(struct hs_proxies *proxies, const char *list, struct hs_error *err)
{
    struct hs_proxies made = { 0 };
    char item[HS_ADDRESS_TEXT_SIZE + 8];
    made.ranges = calloc(HS_PROXIES_MAX, sizeof(*made.ranges));
    if (!made.ranges)
        return hs_error_set(err, HS_ENOMEM, "no memory for server.trusted_proxies");
    for (const char *at = list ? list : ""; *(at += strspn(at, " "));) {
        size_t len = strcspn(at, " ");
        bool fits = hs_str_copy_n(item, sizeof(item), at, len);
        int r = 0;
        if (fits && strcmp(item, "unix") == 0)
            made.local_sockets = true;
        else if (made.count == HS_PROXIES_MAX)
            r = hs_error_set(err, HS_EINVAL, "server.trusted_proxies has more than %d items", HS_PROXIES_MAX);
        else if (!fits || !hs_address_range_parse(item, &made.ranges[made.count++]))
            r = hs_error_set(err, HS_EINVAL, "server.trusted_proxies: %.60s is not an address, a range or \"unix\"",
                             item);
        if (r < 0) {
            free(made.ranges);
            return r;
        }
        at += len;
    }
    *proxies = made;
    return 0;
}

void hs_proxies_finish(struct hs_proxies *proxies)
{
    free(proxies->ranges);
    *proxies = (struct hs_proxies) { 0 };
}

static bool contains(const struct hs_proxies *proxies, const struct hs_address *address)
{
    for (size_t i = 0; i < proxies->count; i++) {
        if (hs_address_range_contains(&proxies->ranges[i], address))
            return true;
    }
    return false;
}

bool hs_proxies_trust(const struct hs_proxies *proxies, const char *peer)
{
    struct hs_address address;
    if (hs_str_starts(peer, "unix:"))
        return proxies->local_sockets;
    return proxies->count > 0 && hs_address_parse(peer, &address) && contains(proxies, &address);
}

/* Parses an entry: an address, also with a port ("192.0.2.1:80") or in brackets ("[2001:db8::1]:80"). */
static bool parse_entry(const char *text, size_t len, struct hs_address *ret)
{
    char entry[HS_ADDRESS_TEXT_SIZE + 8];
    if (!hs_str_copy_n(entry, sizeof(entry), text, len))
        return false;
    char *first = entry, *colon = strchr(entry, ':');
    if (entry[0] == '[') {
        char *close = strchr(entry, ']');
        if (!close || (close[1] != '\0' && close[1] != ':'))
            return false;
        *close = '\0';
        first++;
    } else if (colon && !strchr(colon + 1, ':')) {
        *colon = '\0';
    }
    return hs_address_parse(first, ret);
}

/* Returns the last item of the first `len` bytes of a list, without blanks around it; *ret_before is what precedes it,
 * without its comma. */
static const char *last_item(const char *list, size_t len, size_t *ret_item, size_t *ret_before)
{
    size_t at = len;
    while (at > 0 && list[at - 1] != ',')
        at--;
    *ret_before = at > 0 ? at - 1 : 0;
    const char *item = list + at, *end = list + len;
    while (item < end && (*item == ' ' || *item == '\t'))
        item++;
    while (end > item && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *ret_item = (size_t) (end - item);
    return item;
}

void hs_proxies_find_client(const struct hs_proxies *proxies, const char *peer, const char *const *headers,
                            size_t count, char ret_client[HS_ADDRESS_SIZE])
{
    int hops = 0;
    hs_str_copy(ret_client, HS_ADDRESS_SIZE, peer);
    for (size_t i = count; i > 0; i--) {
        for (size_t left = strlen(headers[i - 1]), len; left > 0;) {
            struct hs_address address;
            const char *item = last_item(headers[i - 1], left, &len, &left);
            if (hops++ == HOPS_MAX || !parse_entry(item, len, &address))
                return;
            hs_address_write(&address, ret_client);
            if (!contains(proxies, &address))
                return;
        }
    }
}
