/* A connection's own functions, for the files connection*.c only. All of it is for the network thread. */
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

/* RUN: more can be done; WAIT: for an event; GONE: the connection is closed. */
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

/* As recv and sendmsg, without waiting. */
ssize_t hs_conn_transport_read(struct hs_conn *conn, void *dst, size_t len);
ssize_t hs_conn_transport_write(struct hs_conn *conn, struct iovec *pieces, size_t count);

/* True if one of these failed only because it would have had to wait. */
static inline bool hs_conn_would_wait(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* Bytes of the client wait in the socket. */
bool hs_conn_has_unread(const struct hs_conn *conn);

/* The phase begins now. */
void hs_conn_enter(struct hs_conn *conn, enum hs_conn_phase phase);

/* Frees what was received and not read, and what was to be sent. */
void hs_conn_drop_input(struct hs_conn *conn);
void hs_conn_drop_output(struct hs_conn *conn);

/* The request is over for the client: counts and logs it, and frees it unless a worker still has it. */
void hs_conn_end_request(struct hs_conn *conn, bool completed);

/* Closes the connection at once. GONE. */
enum hs_step hs_conn_give_up(struct hs_conn *conn);

/* ---- connection_receive.c ---- */

/* Received bytes of a body wait for the connection's next turn. */
bool hs_conn_awaits_turn(const struct hs_conn *conn);

/* Takes what the socket has, once. True: it may have more of a body. */
bool hs_conn_receive(struct hs_conn *conn);

/* Read from what was received. */
enum hs_step hs_conn_read_head(struct hs_conn *conn);
enum hs_step hs_conn_read_body(struct hs_conn *conn);

/* Answers with an error in the middle of a request, whose rest is not read. */
enum hs_step hs_conn_refuse(struct hs_conn *conn, int code, const char *message);

/* The same for a head that is invalid or incomplete; `head` may be NULL, and be filled in part. */
enum hs_step hs_conn_refuse_head(struct hs_conn *conn, const struct hs_http_head *head, int code, const char *message);

/* Drops what a client still sends. One read at a time, so that a fast sender does not occupy the thread. */
void hs_conn_discard(struct hs_conn *conn);

/* ---- connection_send.c ---- */

/* Begins to send the answer of the request, which is complete or a stream. */
enum hs_step hs_conn_begin_answer(struct hs_conn *conn);

/* Goes on with it, as far as the socket takes it. */
enum hs_step hs_conn_send_answer(struct hs_conn *conn);

/* The last resort without memory for a real answer; the request may be NULL. */
enum hs_step hs_conn_send_static(struct hs_conn *conn);

#endif
