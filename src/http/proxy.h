/* Proxies in front of the server. Only a proxy that the settings name may state who the client of a request is
 * (X-Forwarded-For) and which host and scheme that client used; anyone else can write these headers as well. */
#ifndef HS_HTTP_PROXY_H
#define HS_HTTP_PROXY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"
#include "hs/status.h"
#include "http/listener.h"

enum { HS_PROXIES_MAX = 256 };

struct hs_proxies {
    struct hs_address_range *ranges;
    size_t count;
    bool local_sockets; /* every client of a unix socket is a proxy */
};

/* Reads a list of addresses, ranges ("10.0.0.0/8") and "unix", separated by blanks; NULL is an empty list. HS_EINVAL
 * names the bad item. Free with hs_proxies_finish. */
int hs_proxies_init(struct hs_proxies *proxies, const char *list, struct hs_error *err);
void hs_proxies_finish(struct hs_proxies *proxies);

/* Returns true if requests from this peer come from a trusted proxy. `peer` is as hs_listener_write_peer writes it. */
bool hs_proxies_trust(const struct hs_proxies *proxies, const char *peer);

/* Follows X-Forwarded-For from its end: each proxy appends the address of its own client, so the last address that is
 * not a trusted proxy's is the client. Everything before it may be invented. `headers` are the header's values in the
 * order of the request (`count` of them), `peer` is a trusted proxy. Stops at an entry that is not an address. */
void hs_proxies_find_client(const struct hs_proxies *proxies, const char *peer, const char *const *headers,
                            size_t count, char ret_client[HS_ADDRESS_SIZE]);

#endif
