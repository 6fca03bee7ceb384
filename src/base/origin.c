#include "base/origin.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/str.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

/* Copies text in lower case. False if it is empty, does not fit or has a character that is not a letter, a digit or in
 * `allowed`. */
static bool copy_lower(char *dst, size_t size, const char *text, size_t len, const char *allowed)
{
    if (len == 0 || len >= size)
        return false;
    for (size_t i = 0; i < len; i++) {
        dst[i] = lower(text[i]);
        bool letter = dst[i] >= 'a' && dst[i] <= 'z', digit = dst[i] >= '0' && dst[i] <= '9';
        if (!letter && !digit && !strchr(allowed, dst[i]))
            return false;
    }
    dst[len] = '\0';
    return true;
}

/* Parses the text between the brackets as an IPv6 address and writes it in canonical form, with brackets. */
static bool parse_brackets(const char *text, size_t len, char host[HS_HOST_SIZE])
{
    struct in6_addr address;
    char inside[INET6_ADDRSTRLEN];
    return hs_str_copy_n(inside, sizeof(inside), text, len) && inet_pton(AF_INET6, inside, &address) == 1 &&
           inet_ntop(AF_INET6, &address, inside, sizeof(inside)) && hs_str_format(host, HS_HOST_SIZE, "[%s]", inside);
}

static bool parse_port(const char *text, int *ret_port)
{
    int port = 0;
    for (const char *c = text; *c; c++) {
        if (*c < '0' || *c > '9' || port > 65535)
            return false;
        port = port * 10 + (*c - '0');
    }
    *ret_port = port;
    return text[0] && port >= 1 && port <= 65535;
}

bool hs_host_parse(const char *text, struct hs_origin *ret_host)
{
    struct hs_origin host = { .port = 0 };
    const char *end;
    if (text[0] == '[') {
        const char *close = strchr(text, ']');
        if (!close || !parse_brackets(text + 1, (size_t) (close - text) - 1, host.host))
            return false;
        end = close + 1;
    } else {
        size_t len = strcspn(text, ":");
        end = text + len;
        if (len > 1 && text[len - 1] == '.')
            len--;
        if (!copy_lower(host.host, sizeof(host.host), text, len, ".-_") || host.host[len - 1] == '.')
            return false;
    }
    if (*end && (*end != ':' || !parse_port(end + 1, &host.port)))
        return false;
    *ret_host = host;
    return true;
}

bool hs_origin_parse(const char *text, struct hs_origin *ret_origin)
{
    struct hs_origin origin;
    char scheme[HS_ORIGIN_SCHEME_SIZE];
    const char *mark = strstr(text, "://");
    if (!mark || !copy_lower(scheme, sizeof(scheme), text, (size_t) (mark - text), "+-.") ||
        !hs_host_parse(mark + 3, &origin))
        return false;
    hs_str_copy(origin.scheme, sizeof(origin.scheme), scheme);
    *ret_origin = origin;
    return true;
}

int hs_origin_port(const struct hs_origin *origin)
{
    if (origin->port)
        return origin->port;
    return strcmp(origin->scheme, "https") == 0 ? 443 : strcmp(origin->scheme, "http") == 0 ? 80 : 0;
}

bool hs_origin_equal(const struct hs_origin *a, const struct hs_origin *b)
{
    return strcmp(a->scheme, b->scheme) == 0 && strcmp(a->host, b->host) == 0 && hs_origin_port(a) == hs_origin_port(b);
}

bool hs_host_is_address(const struct hs_origin *host)
{
    struct in_addr address;
    return host->host[0] == '[' || inet_pton(AF_INET, host->host, &address) == 1;
}

bool hs_address_is_loopback(const char *address)
{
    struct in_addr four;
    struct in6_addr six;
    if (hs_str_starts(address, "unix:"))
        return true;
    if (inet_pton(AF_INET, address, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, address, &six) == 1 &&
           (IN6_IS_ADDR_LOOPBACK(&six) || (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127));
}

bool hs_host_is_loopback(const struct hs_origin *host)
{
    char inside[HS_HOST_SIZE];
    size_t len = strlen(host->host), brackets = host->host[0] == '[';
    hs_str_copy_n(inside, sizeof(inside), host->host + brackets, len - 2 * brackets);
    return hs_address_is_loopback(inside);
}

const char *hs_origin_error(const char *item)
{
    struct hs_origin origin;
    if (strcmp(item, "*") == 0 || hs_origin_parse(item, &origin))
        return NULL;
    return "contains an item that is not an origin such as https://pi.example:8443";
}

const char *hs_host_error(const char *item)
{
    struct hs_origin host;
    if (hs_host_parse(item, &host) && host.port == 0)
        return NULL;
    return "contains an item that is not a host name without a port";
}
