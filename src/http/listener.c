#include "http/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/origin.h"
#include "base/str.h"

enum { FIRST_INHERITED = 3 }; /* SD_LISTEN_FDS_START */

/* ---- TCP ---- */

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

static int open_tcp(const char *host, int port, int *ret_fd, struct hs_error *err)
{
    char name[256], service[16];
    size_t len = strlen(host);
    bool brackets = len >= 2 && host[0] == '[' && host[len - 1] == ']';
    if (!hs_str_copy_n(name, sizeof(name), host + brackets, len - 2 * brackets))
        return hs_error_set(err, HS_EIO, "server.host is longer than any host name");
    hs_str_format(service, sizeof(service), "%d", port);
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *list;
    int r = getaddrinfo(name[0] ? name : NULL, service, &hints, &list);
    if (r != 0)
        return hs_error_set(err, HS_EIO, "cannot resolve %s: %s; check server.host", host, gai_strerror(r));
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

/* ---- Unix sockets ---- */

/* Returns true if the file is a socket without a listening process. Otherwise sets errno. */
static bool is_stale(const struct sockaddr_un *address)
{
    struct stat status;
    if (lstat(address->sun_path, &status) < 0)
        return errno == ENOENT;
    if (!S_ISSOCK(status.st_mode)) {
        errno = EEXIST;
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    bool refused = connect(fd, (const struct sockaddr *) address, sizeof(*address)) < 0 && errno == ECONNREFUSED;
    close(fd);
    errno = EADDRINUSE;
    return refused;
}

/* Connections are refused before listen(), so the permissions are set in time. */
static int bind_file(int fd, const struct sockaddr_un *address, unsigned mode)
{
    int r = bind(fd, (const struct sockaddr *) address, sizeof(*address));
    if (r < 0 && errno == EADDRINUSE && is_stale(address) && (unlink(address->sun_path) == 0 || errno == ENOENT))
        r = bind(fd, (const struct sockaddr *) address, sizeof(*address));
    if (r < 0)
        return -1;
    if (chmod(address->sun_path, mode) == 0 && listen(fd, SOMAXCONN) == 0)
        return 0;
    int saved = errno;
    unlink(address->sun_path);
    errno = saved;
    return -1;
}

static int open_unix(const char *path, unsigned mode, struct hs_listener *listener, struct hs_error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct stat status;
    if (path[0] != '/' || !hs_str_copy(address.sun_path, sizeof(address.sun_path), path))
        return hs_error_set(err, HS_EINVAL,
                            "server.host: \"unix:\" is followed by an absolute path of at most %zu "
                            "bytes",
                            sizeof(address.sun_path) - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind_file(fd, &address, mode) < 0) {
        int reason = errno;
        if (fd >= 0)
            close(fd);
        const char *text = reason == EEXIST ? "a file that is not a socket has this name" : strerror(reason);
        return hs_error_set(err, reason == EADDRINUSE ? HS_ECONFLICT : HS_EIO, "cannot listen on unix:%s: %s", path,
                            text);
    }
    if (lstat(path, &status) == 0) {
        listener->device = status.st_dev;
        listener->inode = status.st_ino;
    }
    listener->fd = fd;
    return 0;
}

/* ---- Addresses ---- */

static int describe_ip(const struct sockaddr_storage *address, socklen_t len, struct hs_listener *listener)
{
    char host[HS_ADDRESS_SIZE - 8], service[8];
    if (getnameinfo((const struct sockaddr *) address, len, host, sizeof(host), service, sizeof(service),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return -1;
    hs_str_format(listener->address, sizeof(listener->address), address->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s",
                  host, service);
    listener->loopback = hs_address_is_loopback(host);
    listener->port = ntohs(address->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *) address)->sin6_port
                                                          : ((const struct sockaddr_in *) address)->sin_port);
    return 0;
}

/* Reads the address that the socket really has. */
static int describe(struct hs_listener *listener)
{
    struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
    socklen_t len = sizeof(address);
    if (getsockname(listener->fd, (struct sockaddr *) &address, &len) < 0)
        return -1;
    listener->is_unix = address.ss_family == AF_UNIX;
    if (!listener->is_unix)
        return address.ss_family == AF_INET || address.ss_family == AF_INET6 ? describe_ip(&address, len, listener)
                                                                             : -1;
    const char *path = ((const struct sockaddr_un *) &address)->sun_path;
    size_t size = len > offsetof(struct sockaddr_un, sun_path) ? len - offsetof(struct sockaddr_un, sun_path) : 0;
    listener->loopback = true;
    bool in_files = size > 0 && path[0] == '/';
    return in_files && hs_str_format(listener->address, sizeof(listener->address), "unix:%.*s", (int) size, path) ? 0
                                                                                                                  : -1;
}

int hs_listener_open(const char *host, int port, unsigned mode, struct hs_listener *ret, struct hs_error *err)
{
    struct hs_listener listener = { .fd = -1 };
    bool is_unix = hs_str_starts(host, "unix:");
    int r = is_unix ? open_unix(host + 5, mode, &listener, err) : open_tcp(host, port, &listener.fd, err);
    if (r < 0)
        return r;
    if (describe(&listener) < 0) {
        hs_listener_close(&listener);
        return hs_error_set(err, HS_EIO, "cannot read the address of the listening socket");
    }
    *ret = listener;
    return 0;
}

void hs_listener_close(struct hs_listener *listener)
{
    struct stat status;
    const char *path = listener->address + 5;
    if (listener->fd < 0)
        return;
    if (listener->is_unix && !listener->inherited && lstat(path, &status) == 0 && S_ISSOCK(status.st_mode) &&
        status.st_dev == listener->device && status.st_ino == listener->inode)
        unlink(path);
    close(listener->fd);
    listener->fd = -1;
}

void hs_listener_shut(const struct hs_listener *listener)
{
    if (listener->fd >= 0 && !listener->inherited)
        shutdown(listener->fd, SHUT_RDWR);
}

void hs_listener_write_peer(int fd, const struct sockaddr *peer, char ret_text[HS_ADDRESS_SIZE])
{
    const void *where = &((const struct sockaddr_in *) (const void *) peer)->sin_addr;
    int family = peer->sa_family;
    struct ucred user;
    socklen_t len = sizeof(user);
    if (family == AF_UNIX && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &user, &len) == 0) {
        hs_str_format(ret_text, HS_ADDRESS_SIZE, "unix:%u", (unsigned) user.uid);
        return;
    }
    if (family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *) (const void *) peer)->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(six);
        where = mapped ? (const void *) (six->s6_addr + 12) : six;
        family = mapped ? AF_INET : AF_INET6;
    }
    if ((family != AF_INET && family != AF_INET6) || !inet_ntop(family, where, ret_text, HS_ADDRESS_SIZE))
        hs_str_copy(ret_text, HS_ADDRESS_SIZE, "-");
}

/* ---- Sockets of systemd ---- */

static bool is_listening_stream(int fd)
{
    int type = 0, listening = 0;
    socklen_t len = sizeof(int);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening;
}

static int inherit_one(int fd, const char *name, size_t name_len, struct hs_listener *ret, struct hs_error *err)
{
    struct hs_listener listener = { .fd = fd, .inherited = true };
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (!is_listening_stream(fd) || describe(&listener) < 0)
        return hs_error_set(err, HS_EINVAL,
                            "the socket \"%.*s\" (descriptor %d) of systemd is not a listening TCP or unix stream "
                            "socket; check the socket unit",
                            (int) name_len, name, fd);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    listener.redirects = name_len == 8 && memcmp(name, "redirect", 8) == 0;
    *ret = listener;
    return 0;
}

int hs_listener_inherit(struct hs_listener ret[HS_LISTENERS_MAX], size_t *ret_count, struct hs_error *err)
{
    const char *process = getenv("LISTEN_PID"), *sockets = getenv("LISTEN_FDS"), *names = getenv("LISTEN_FDNAMES");
    int64_t pid, count = 0;
    int r = 0;
    *ret_count = 0;
    if (!process || !sockets || !hs_str_to_int64(process, &pid) || pid != getpid())
        return 0;
    if (!hs_str_to_int64(sockets, &count) || count < 0 || count > HS_LISTENERS_MAX)
        r = hs_error_set(err, HS_EINVAL, "LISTEN_FDS must be between 0 and %d, not %.20s", HS_LISTENERS_MAX, sockets);
    for (int64_t i = 0; r == 0 && i < count; i++) {
        size_t len = names ? strcspn(names, ":") : 0;
        r = inherit_one(FIRST_INHERITED + (int) i, names ? names : "", len, &ret[i], err);
        *ret_count += r == 0;
        names = names && names[len] ? names + len + 1 : NULL;
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return r;
}
