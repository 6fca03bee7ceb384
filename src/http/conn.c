#include "http/conn.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "http/daemon.h"
#include "http/exchange.h"
#include "http/request.h"
#include "http/server.h"

void hs_conn_list_init(struct hs_conn_list *list)
{
    *list = (struct hs_conn_list) { .next_work_id = 1 };
    pthread_mutex_init(&list->lock, NULL);
}

void hs_conn_list_finish(struct hs_conn_list *list)
{
    assert(!list->head);
    pthread_mutex_destroy(&list->lock);
}

struct hs_conn *hs_conn_add(struct hs_conn_list *list, int fd, const struct sockaddr *peer)
{
    struct hs_conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        return NULL;
    conn->fd = fd;
    conn->phase = HS_CONN_FRESH;
    conn->phase_since_ns = conn->last_data_ns = hs_clock_now_ns();
    hs_listen_peer(peer, conn->remote);
    pthread_mutex_lock(&list->lock);
    conn->next = list->head;
    if (conn->next)
        conn->next->prev = conn;
    list->head = conn;
    list->count++;
    pthread_mutex_unlock(&list->lock);
    return conn;
}

void hs_conn_remove(struct hs_conn_list *list, struct hs_conn *conn)
{
    pthread_mutex_lock(&list->lock);
    if (conn->prev)
        conn->prev->next = conn->next;
    else
        list->head = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    list->count--;
    pthread_mutex_unlock(&list->lock);
    free(conn);
}

bool hs_conn_enter(struct hs_conn_list *list, struct hs_conn *conn, enum hs_conn_phase phase)
{
    pthread_mutex_lock(&list->lock);
    bool open = conn->phase != HS_CONN_CUT;
    if (open) {
        conn->phase = phase;
        conn->phase_since_ns = conn->last_data_ns = hs_clock_now_ns();
    }
    pthread_mutex_unlock(&list->lock);
    return open;
}

void hs_conn_touch(struct hs_conn_list *list, struct hs_conn *conn)
{
    pthread_mutex_lock(&list->lock);
    conn->last_data_ns = hs_clock_now_ns();
    pthread_mutex_unlock(&list->lock);
}

void hs_conn_set_request(struct hs_conn_list *list, struct hs_conn *conn, struct hs_http_request *req)
{
    pthread_mutex_lock(&list->lock);
    conn->request = req;
    conn->streaming = false;
    pthread_mutex_unlock(&list->lock);
}

uint64_t hs_conn_work(struct hs_conn_list *list, struct hs_conn *conn)
{
    pthread_mutex_lock(&list->lock);
    uint64_t id = list->next_work_id++;
    conn->work_id = id;
    if (conn->phase != HS_CONN_CUT)
        conn->phase = HS_CONN_WORKING;
    pthread_mutex_unlock(&list->lock);
    return id;
}

void hs_conn_begin_stream(struct hs_conn_list *list, struct hs_conn *conn)
{
    pthread_mutex_lock(&list->lock);
    conn->streaming = true;
    pthread_mutex_unlock(&list->lock);
}

/* ---- Cancelling ---- */

static void cancel(struct hs_conn_list *list, struct hs_conn *conn)
{
    struct hs_http_request *req = conn->request;
    if (!req || (conn->phase != HS_CONN_WORKING && !conn->streaming))
        return;
    list->cancelled += !hs_cancel_is_set(&req->cancel);
    hs_cancel_trigger(&req->cancel);
    hs_stream_abandon(&req->stream);
    hs_daemon_expire_now(req);
}

void hs_conn_cancel(struct hs_conn_list *list, uint64_t work_id)
{
    pthread_mutex_lock(&list->lock);
    for (struct hs_conn *conn = list->head; conn; conn = conn->next) {
        if (conn->work_id == work_id)
            cancel(list, conn);
    }
    pthread_mutex_unlock(&list->lock);
}

void hs_conn_cancel_all(struct hs_conn_list *list)
{
    pthread_mutex_lock(&list->lock);
    for (struct hs_conn *conn = list->head; conn; conn = conn->next)
        cancel(list, conn);
    pthread_mutex_unlock(&list->lock);
}

/* ---- Cutting ---- */

static bool is_late(const struct hs_conn *conn, const struct hs_http_options *options, int64_t now)
{
    int64_t lasted_ms = (now - conn->phase_since_ns) / HS_NS_PER_MS;
    switch (conn->phase) {
    case HS_CONN_FRESH:
    case HS_CONN_HEADERS:
        return lasted_ms >= options->header_timeout_ms;
    case HS_CONN_IDLE:
        return lasted_ms >= options->idle_timeout_ms;
    case HS_CONN_BODY:
        return lasted_ms >= options->body_timeout_ms ||
               (now - conn->last_data_ns) / HS_NS_PER_MS >= options->body_idle_ms;
    case HS_CONN_SENDING:
        return lasted_ms >= options->body_timeout_ms;
    default:
        return false;
    }
}

static void send_now(struct hs_conn *conn, const void *data, size_t len)
{
    /* What does not fit into an empty socket buffer is not worth waiting for. */
    if (send(conn->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return;
}

/* The 408 in the server's error shape. The request itself is the network thread's; only what never changes is used. */
static void answer_slow(struct hs_conn *conn, const struct hs_http_options *options)
{
    struct hs_http_request *req = hs_exchange_create(options, NULL, conn->remote, "");
    struct hs_buf answer;
    hs_buf_init(&answer, 16384);
    if (req && hs_exchange_set_headers(req, NULL, 0, NULL) == 0) {
        hs_http_reply_error(req, HS_ESLOW, NULL, "The request did not arrive in time");
        if (hs_exchange_raw(req, &answer) == 0)
            send_now(conn, answer.data, answer.len);
    }
    hs_buf_finish(&answer);
    hs_exchange_destroy(req);
}

/* The network thread then sees the end of the connection and cleans up. While it reads a request it has nothing to
 * send, so the socket is free for an answer from here. */
static void cut(struct hs_conn_list *list, struct hs_conn *conn, const struct hs_http_options *options)
{
    if (conn->phase == HS_CONN_HEADERS || conn->phase == HS_CONN_BODY)
        answer_slow(conn, options);
    shutdown(conn->fd, SHUT_RDWR);
    conn->phase = HS_CONN_CUT;
    list->timed_out++;
}

/* libmicrohttpd waits for edges and reads once for each, so an end that arrives together with the last bytes goes
 * unseen by it. Younger silence may be a request that is just being handed on. */
static bool has_vanished(const struct hs_conn *conn, int64_t now)
{
    char c;
    bool reads = conn->phase == HS_CONN_FRESH || conn->phase == HS_CONN_HEADERS || conn->phase == HS_CONN_BODY;
    return reads && now - conn->last_data_ns > 200 * HS_NS_PER_MS &&
           recv(conn->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void hs_conn_cut_slow(struct hs_conn_list *list, const struct hs_http_options *options)
{
    int64_t now = hs_clock_now_ns();
    struct hs_conn *idlest = NULL;
    pthread_mutex_lock(&list->lock);
    for (struct hs_conn *conn = list->head; conn; conn = conn->next) {
        if (has_vanished(conn, now)) {
            shutdown(conn->fd, SHUT_RDWR);
            conn->phase = HS_CONN_CUT;
        } else if (is_late(conn, options, now)) {
            cut(list, conn, options);
        }
        if (conn->phase == HS_CONN_IDLE && (!idlest || conn->phase_since_ns < idlest->phase_since_ns))
            idlest = conn;
    }
    if (idlest && list->count >= options->connections_max)
        cut(list, idlest, options);
    pthread_mutex_unlock(&list->lock);
}

void hs_conn_send_last(struct hs_conn_list *list, struct hs_conn *conn, const void *data, size_t len)
{
    pthread_mutex_lock(&list->lock);
    if (conn->phase != HS_CONN_CUT) {
        send_now(conn, data, len);
        shutdown(conn->fd, SHUT_WR);
        conn->phase = HS_CONN_CUT;
    }
    pthread_mutex_unlock(&list->lock);
}
