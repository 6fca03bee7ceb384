/* Origins of web pages ("https://pi.example:8443", RFC 6454) and hosts as a Host header names them ("pi.local:5002").
 */
#ifndef HS_BASE_ORIGIN_H
#define HS_BASE_ORIGIN_H

#include <stdbool.h>

enum { HS_ORIGIN_SCHEME_SIZE = 32, HS_HOST_SIZE = 256 };

/* `host` is in lower case and without a final point; an IPv6 address stands in brackets, in its canonical form. */
struct hs_origin {
    char scheme[HS_ORIGIN_SCHEME_SIZE]; /* in lower case; "" for a host alone */
    char host[HS_HOST_SIZE];
    int port; /* 0: none, which for http and https means 80 and 443 */
};

/* False if the text is none: an origin has nothing after its port; "null" is none. */
bool hs_origin_parse(const char *text, struct hs_origin *ret_origin);
bool hs_host_parse(const char *text, struct hs_origin *ret_host);

/* The port, of http and https also if none is given; 0: none. */
int hs_origin_port(const struct hs_origin *origin);
bool hs_origin_equal(const struct hs_origin *a, const struct hs_origin *b);

/* An IPv4 address, or an IPv6 address in brackets. */
bool hs_host_is_address(const struct hs_origin *host);

bool hs_host_is_loopback(const struct hs_origin *host); /* an address as below; names are none */

/* 127.0.0.0/8, ::1 and IPv4 ones inside IPv6; `address` is as inet_ntop writes it. */
bool hs_address_is_loopback(const char *address);

/* The reason why a setting's item is invalid ("is not an origin such as https://pi.example"), NULL: nothing. */
const char *hs_origin_complaint(const char *item); /* "*" is allowed */
const char *hs_host_complaint(const char *item);   /* without a port */

#endif
