/* Listening sockets and addresses as text. */
#ifndef HS_HTTP_LISTEN_H
#define HS_HTTP_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "hs/status.h"

enum { HS_ADDRESS_SIZE = 64 };

/* Binds and listens on the first address of host (name, IPv4 or IPv6, brackets allowed; "::" takes IPv4 too). The
 * caller closes *ret_fd. HS_ECONFLICT: another program has the port. HS_EIO with the reason. */
int hs_listen(const char *host, int port, int *ret_fd, struct hs_error *err);

/* The address that fd is bound to: "127.0.0.1:80" or "[::1]:80", and the port. */
int hs_listen_address(int fd, char ret_text[HS_ADDRESS_SIZE], int *ret_port);

/* The address without port; an IPv4 address mapped into IPv6 is written as IPv4. */
void hs_listen_peer(const struct sockaddr *address, char ret_text[HS_ADDRESS_SIZE]);

#endif
