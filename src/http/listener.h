/* Listening sockets: TCP, unix sockets in the file system, and sockets that systemd opened for this process
 * (sd_listen_fds(3)). */
#ifndef HS_HTTP_LISTENER_H
#define HS_HTTP_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "hs/status.h"

enum { HS_ADDRESS_SIZE = 64, HS_LISTENERS_MAX = 16, HS_LISTENER_ADDRESS_SIZE = 128 };

struct sockaddr;

struct hs_listener {
    int fd;         /* nonblocking; -1: closed */
    bool is_unix;   /* a unix socket: its clients are on this machine */
    bool inherited; /* opened by systemd, which also owns the file of a unix socket */
    bool redirects; /* plain HTTP only, and every request is answered with a redirect to https */
    bool watched;   /* the event loop waits for clients */
    bool loopback;  /* only this machine can connect */
    int port;       /* of TCP */
    char address[HS_LISTENER_ADDRESS_SIZE]; /* "127.0.0.1:8080", "[::1]:8080", "unix:/run/hailo/pose.sock" */
    dev_t device;                           /* of the file of an own unix socket */
    ino_t inode;
};

/* Listens on a TCP address or, if `host` is "unix:" and an absolute path, on a unix socket with the permissions `mode`.
 * A host name means its first available address; "::" also accepts IPv4; brackets around an IPv6 address are allowed.
 * A socket file without a listening process is replaced. HS_ECONFLICT: the address is in use; HS_EIO. Close with
 * hs_listener_close. */
int hs_listener_open(const char *host, int port, unsigned mode, struct hs_listener *ret, struct hs_error *err);

/* Takes the sockets that systemd passed (LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES), and removes these variables, so that
 * child processes do not take them, too. A socket named "redirect" gets `redirects`. *ret_count is 0 if there are none.
 * HS_EINVAL: one of them is not a listening stream socket of IP or of the file system. Call it before any thread
 * starts. */
int hs_listener_inherit(struct hs_listener ret[HS_LISTENERS_MAX], size_t *ret_count, struct hs_error *err);

/* Closes the socket and deletes the file of an own unix socket, unless another process has replaced it. */
void hs_listener_close(struct hs_listener *listener);

/* Refuses further clients at once; the socket stays open. An inherited socket is left alone, because it is shared with
 * systemd, which keeps it open for the next process. Any thread. */
void hs_listener_shut(const struct hs_listener *listener);

/* Writes the peer of an accepted socket: an IP address without port (an IPv4 address mapped into IPv6 as IPv4),
 * "unix:UID" with the user id of a local process, or "-". */
void hs_listener_write_peer(int fd, const struct sockaddr *peer, char ret_text[HS_ADDRESS_SIZE]);

#endif
