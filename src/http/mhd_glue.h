/* The server's side of libmicrohttpd: callbacks that take requests in and send answers out. */
#ifndef HS_HTTP_MHD_GLUE_H
#define HS_HTTP_MHD_GLUE_H

#include "http/request_internal.h"

/* Starts the network thread on a listening socket, which it takes. NULL on failure; the socket is then still the
 * caller's. */
struct MHD_Daemon *hs_mhd_start(struct hs_http_server *server, int fd);

#endif
