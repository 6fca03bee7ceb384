/* Functions shared by the files connection*.c only. Network thread only. */
#ifndef HS_HTTP_CONNECTION_INTERNAL_H
#define HS_HTTP_CONNECTION_INTERNAL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "http/connection.h"
#include "http/request_internal.h"

struct iovec;

/* RUN: continue with the next step; WAIT: wait for an event; GONE: the connection is closed. */
enum hs_step { HS_STEP_RUN, HS_STEP_WAIT, HS_STEP_GONE };

static inline struct hs_http_server *hs_conn_server(const struct hs_conn *conn)
{
    return conn->list->server;
}

static inline const struct hs_http_options *hs_conn_options(const struct hs_conn *conn)
{
    return &conn->list->server->options;
}

/* ---- connection.c ---- */

/* Like recv and sendmsg, but never block. With TLS, a write that would block must be repeated with
 * the same bytes. */
ssize_t hs_conn_transport_read(struct hs_conn *conn, void *dst, size_t len);
ssize_t hs_conn_transport_write(struct hs_conn *conn, struct iovec *pieces, size_t count);

/* Reads and drops bytes as they come from the socket. */
ssize_t hs_conn_transport_drop(struct hs_conn *conn);

/* Returns true if one of these calls failed only because it would block. */
static inline bool hs_conn_would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* Returns true if the next read returns at once, although epoll may not report the socket. */
bool hs_conn_has_buffered(const struct hs_conn *conn);

/* Returns true if the socket holds unread bytes. */
bool hs_conn_has_unread(const struct hs_conn *conn);

/* Starts a phase now. */
void hs_conn_enter(struct hs_conn *conn, enum hs_conn_phase phase);

/* Frees the unread input, or the unsent output. */
void hs_conn_drop_input(struct hs_conn *conn);
void hs_conn_drop_output(struct hs_conn *conn);

/* Ends the request for the client: counts and logs it, and frees it unless a worker still uses it. */
void hs_conn_end_request(struct hs_conn *conn, bool completed);

/* Closes the connection at once. Returns GONE. */
enum hs_step hs_conn_abort(struct hs_conn *conn);

/* ---- connection_receive.c ---- */

/* Returns true if received body bytes remain for the connection's next turn. */
bool hs_conn_has_pending_body(const struct hs_conn *conn);

/* Reads from the socket once. Returns true if it may hold more of a body. */
bool hs_conn_receive(struct hs_conn *conn);

/* Parse the received bytes. */
enum hs_step hs_conn_read_head(struct hs_conn *conn);
enum hs_step hs_conn_read_body(struct hs_conn *conn);

/* Sends an error response in the middle of a request, without reading the rest of that request. */
enum hs_step hs_conn_refuse(struct hs_conn *conn, int code, const char *message);

/* The same for an invalid or incomplete head. `head` may be NULL or partly filled. */
enum hs_step hs_conn_refuse_head(struct hs_conn *conn, const struct hs_http_head *head, int code, const char *message);

/* Reads and drops client bytes. Reads only once, so that a fast sender does not occupy the thread. */
void hs_conn_discard(struct hs_conn *conn);

/* ---- connection_send.c ---- */

/* Starts to send the response of the request, which is complete or a stream. */
enum hs_step hs_conn_begin_response(struct hs_conn *conn);

/* Continues to send, until the socket accepts no more. */
enum hs_step hs_conn_send_response(struct hs_conn *conn);

/* Sends a constant response if memory is exhausted. The request may be NULL. */
enum hs_step hs_conn_send_static(struct hs_conn *conn);

#endif
