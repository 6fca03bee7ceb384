#include "http/conn_table.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"

void hs_conn_table_init(struct hs_conn_table *table, const struct hs_http_options *options,
                        const struct hs_conn_events *events)
{
    *table = (struct hs_conn_table) { .options = options, .events = events, .next_work_id = 1 };
    pthread_mutex_init(&table->lock, NULL);
}

void hs_conn_table_finish(struct hs_conn_table *table)
{
    assert(!table->head);
    pthread_mutex_destroy(&table->lock);
}

struct hs_conn *hs_conn_add(struct hs_conn_table *table, int fd, const struct sockaddr *peer)
{
    struct hs_conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        return NULL;
    conn->fd = fd;
    conn->phase = HS_CONN_FRESH;
    conn->phase_since_ns = conn->last_data_ns = hs_clock_now_ns();
    hs_listen_peer(peer, conn->remote);
    pthread_mutex_lock(&table->lock);
    conn->next = table->head;
    if (conn->next)
        conn->next->prev = conn;
    table->head = conn;
    table->count++;
    pthread_mutex_unlock(&table->lock);
    return conn;
}

void hs_conn_remove(struct hs_conn_table *table, struct hs_conn *conn)
{
    pthread_mutex_lock(&table->lock);
    if (conn->prev)
        conn->prev->next = conn->next;
    else
        table->head = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    table->count--;
    pthread_mutex_unlock(&table->lock);
    free(conn);
}

bool hs_conn_enter(struct hs_conn_table *table, struct hs_conn *conn, enum hs_conn_phase phase)
{
    pthread_mutex_lock(&table->lock);
    bool open = conn->phase != HS_CONN_CUT;
    if (open) {
        conn->phase = phase;
        conn->phase_since_ns = conn->last_data_ns = hs_clock_now_ns();
    }
    pthread_mutex_unlock(&table->lock);
    return open;
}

void hs_conn_touch(struct hs_conn_table *table, struct hs_conn *conn)
{
    pthread_mutex_lock(&table->lock);
    conn->last_data_ns = hs_clock_now_ns();
    pthread_mutex_unlock(&table->lock);
}

void hs_conn_set_request(struct hs_conn_table *table, struct hs_conn *conn, struct hs_http_request *req)
{
    pthread_mutex_lock(&table->lock);
    conn->request = req;
    conn->streaming = false;
    pthread_mutex_unlock(&table->lock);
}

uint64_t hs_conn_work(struct hs_conn_table *table, struct hs_conn *conn)
{
    pthread_mutex_lock(&table->lock);
    uint64_t id = table->next_work_id++;
    conn->work_id = id;
    if (conn->phase != HS_CONN_CUT)
        conn->phase = HS_CONN_WORKING;
    pthread_mutex_unlock(&table->lock);
    return id;
}

void hs_conn_begin_stream(struct hs_conn_table *table, struct hs_conn *conn)
{
    pthread_mutex_lock(&table->lock);
    conn->streaming = true;
    pthread_mutex_unlock(&table->lock);
}

void hs_conn_cancel(struct hs_conn_table *table, uint64_t work_id)
{
    pthread_mutex_lock(&table->lock);
    for (struct hs_conn *conn = table->head; conn; conn = conn->next) {
        bool in_work = conn->request && (conn->phase == HS_CONN_WORKING || conn->streaming);
        if (in_work && (work_id == 0 || conn->work_id == work_id))
            table->cancelled += table->events->cancel(conn->request);
    }
    pthread_mutex_unlock(&table->lock);
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
    /* An answer that does not fit into an empty socket buffer is not worth waiting for. */
    if (send(conn->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return;
}

/* The network thread then sees the end of the connection and cleans up. While it reads a request it has nothing to
 * send, so the socket is free for an answer from here. */
static void cut(struct hs_conn_table *table, struct hs_conn *conn)
{
    if (conn->phase == HS_CONN_HEADERS || conn->phase == HS_CONN_BODY) {
        struct hs_buf answer;
        hs_buf_init(&answer, 16384);
        if (table->events->write_timeout(table->options, conn->remote, &answer) == 0)
            send_now(conn, answer.data, answer.len);
        hs_buf_finish(&answer);
    }
    shutdown(conn->fd, SHUT_RDWR);
    conn->phase = HS_CONN_CUT;
    table->timed_out++;
}

/* libmicrohttpd waits for edges and reads once for each, so it misses an end that arrives together with the last bytes.
 * A shorter silence may be a request that is just being handed on. */
static bool has_vanished(const struct hs_conn *conn, int64_t now)
{
    char c;
    bool reads = conn->phase == HS_CONN_FRESH || conn->phase == HS_CONN_HEADERS || conn->phase == HS_CONN_BODY;
    return reads && now - conn->last_data_ns > 200 * HS_NS_PER_MS &&
           recv(conn->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void hs_conn_cut_slow(struct hs_conn_table *table)
{
    int64_t now = hs_clock_now_ns();
    struct hs_conn *idlest = NULL;
    pthread_mutex_lock(&table->lock);
    for (struct hs_conn *conn = table->head; conn; conn = conn->next) {
        if (has_vanished(conn, now)) {
            shutdown(conn->fd, SHUT_RDWR);
            conn->phase = HS_CONN_CUT;
        } else if (is_late(conn, table->options, now)) {
            cut(table, conn);
        }
        if (conn->phase == HS_CONN_IDLE && (!idlest || conn->phase_since_ns < idlest->phase_since_ns))
            idlest = conn;
    }
    if (idlest && table->count >= table->options->connections_max)
        cut(table, idlest);
    pthread_mutex_unlock(&table->lock);
}

void hs_conn_send_last(struct hs_conn_table *table, struct hs_conn *conn, const void *data, size_t len)
{
    pthread_mutex_lock(&table->lock);
    if (conn->phase != HS_CONN_CUT) {
        send_now(conn, data, len);
        shutdown(conn->fd, SHUT_WR);
        conn->phase = HS_CONN_CUT;
    }
    pthread_mutex_unlock(&table->lock);
}
