#include "http/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

static int try_bind(const struct addrinfo *info)
{
    int on = 1, off = 0;
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, info->ai_protocol);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (info->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

int hs_listen(const char *host, int port, int *ret_fd, struct hs_error *err)
{
    char name[256], service[16];
    size_t len = strlen(host);
    bool brackets = len >= 2 && host[0] == '[' && host[len - 1] == ']';
    if (!hs_str_copy_n(name, sizeof(name), host + brackets, len - 2 * brackets))
        return hs_error_set(err, HS_EIO, "the host name is too long");
    hs_str_format(service, sizeof(service), "%d", port);
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *list;
    int r = getaddrinfo(name[0] ? name : NULL, service, &hints, &list);
    if (r != 0)
        return hs_error_set(err, HS_EIO, "cannot resolve %s: %s", host, gai_strerror(r));
    int fd = -1;
    for (const struct addrinfo *info = list; info && fd < 0; info = info->ai_next)
        fd = try_bind(info);
    int reason = errno;
    freeaddrinfo(list);
    if (fd < 0)
        return hs_error_set(err, reason == EADDRINUSE ? HS_ECONFLICT : HS_EIO, "cannot listen on %s port %d: %s", host,
                            port, strerror(reason));
    *ret_fd = fd;
    return 0;
}

void hs_listen_peer(const struct sockaddr *address, char ret_text[HS_ADDRESS_SIZE])
{
    const void *where = &((const struct sockaddr_in *) (const void *) address)->sin_addr;
    int family = address->sa_family;
    if (family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *) (const void *) address)->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(six);
        where = mapped ? (const void *) (six->s6_addr + 12) : six;
        family = mapped ? AF_INET : AF_INET6;
    }
    if ((family != AF_INET && family != AF_INET6) || !inet_ntop(family, where, ret_text, HS_ADDRESS_SIZE))
        hs_str_copy(ret_text, HS_ADDRESS_SIZE, "-");
}

int hs_listen_address(int fd, char ret_text[HS_ADDRESS_SIZE], int *ret_port)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    char host[HS_ADDRESS_SIZE - 8], service[8];
    int64_t port;
    if (getsockname(fd, (struct sockaddr *) &address, &len) < 0 ||
        getnameinfo((struct sockaddr *) &address, len, host, sizeof(host), service, sizeof(service),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0 ||
        !hs_str_to_int64(service, &port))
        return HS_EIO;
    *ret_port = (int) port;
    hs_str_format(ret_text, HS_ADDRESS_SIZE, address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, service);
    return 0;
}
