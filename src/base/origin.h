/* Origins of web pages ("https://pi.example:8443", RFC 6454) and hosts as in a Host header ("pi.local:5002"). */
#ifndef HS_BASE_ORIGIN_H
#define HS_BASE_ORIGIN_H

#include <stdbool.h>

enum { HS_ORIGIN_SCHEME_SIZE = 32, HS_HOST_SIZE = 256 };

/* `host` is in lower case, without a final point; an IPv6 address is in brackets, in canonical form. */
struct hs_origin {
    char scheme[HS_ORIGIN_SCHEME_SIZE]; /* in lower case; "" for a host alone */
    char host[HS_HOST_SIZE];
    int port; /* 0: absent; the default is 80 for http and 443 for https */
};

/* Parse an origin or a host. Return false if the text is invalid: an origin ends after its port, and "null" is not
 * accepted. */
bool hs_origin_parse(const char *text, struct hs_origin *ret_origin);
bool hs_host_parse(const char *text, struct hs_origin *ret_host);

/* Returns the port, or the default of http and https if it is absent; 0 for other schemes without a port. */
int hs_origin_port(const struct hs_origin *origin);
bool hs_origin_equal(const struct hs_origin *a, const struct hs_origin *b);

/* Returns true for an IPv4 address, or an IPv6 address in brackets. */
bool hs_host_is_address(const struct hs_origin *host);

bool hs_host_is_loopback(const struct hs_origin *host); /* as hs_address_is_loopback; false for names */

/* Returns true for 127.0.0.0/8, ::1 and IPv4-mapped 127.0.0.0/8, and for clients of unix sockets ("unix:1000");
 * `address` is otherwise in the form of inet_ntop. */
bool hs_address_is_loopback(const char *address);

/* Return the reason why an item of a setting is invalid ("holds something else than origins such as …"), or NULL if it
 * is valid. */
const char *hs_origin_error(const char *item); /* "*" is allowed */
const char *hs_host_error(const char *item);   /* without a port */

#endif
