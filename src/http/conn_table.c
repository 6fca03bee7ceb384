#include "http/conn_table.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/thread.h"
#include "http/request_internal.h"

enum { LINGER_MS = 5000, LINGER_BYTES = 64 << 20, READ_SIZE = 65536 };

/* The high bit of an epoll tag marks lingering sockets (the low bits are the slot), all bits the stop event; others are
 * the id of a request in work. */
#define TAG_LINGER (UINT64_C(1) << 63)
#define TAG_STOP UINT64_MAX

/* The address without port; an IPv4 address mapped into IPv6 is written as IPv4. */
static void write_peer(const struct sockaddr *address, char ret_text[HS_ADDRESS_SIZE])
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

struct hs_conn *hs_conn_add(struct hs_conn_table *table, int fd, const struct sockaddr *peer)
{
    struct hs_conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        return NULL;
    conn->fd = fd;
    conn->phase = HS_CONN_FRESH;
    conn->phase_since_ns = conn->last_data_ns = hs_clock_now_ns();
    write_peer(peer, conn->remote);
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

static int add_fd(struct hs_conn_table *table, int fd, uint32_t events, uint64_t tag)
{
    struct epoll_event event = { .events = events, .data.u64 = tag };
    return epoll_ctl(table->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? HS_EIO : 0;
}

void hs_conn_work(struct hs_conn_table *table, struct hs_conn *conn)
{
    pthread_mutex_lock(&table->lock);
    uint64_t id = conn->work_id = table->next_work_id++;
    if (conn->phase != HS_CONN_CUT)
        conn->phase = HS_CONN_WORKING;
    pthread_mutex_unlock(&table->lock);
    /* If this fails a client that leaves is not noticed; the request still gets done. */
    add_fd(table, conn->fd, EPOLLRDHUP | EPOLLONESHOT, id);
}

void hs_conn_unwatch(struct hs_conn_table *table, struct hs_conn *conn)
{
    epoll_ctl(table->epoll_fd, EPOLL_CTL_DEL, conn->fd, NULL);
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
        struct hs_http_request *req = conn->request;
        bool in_work = req && (conn->phase == HS_CONN_WORKING || conn->streaming);
        if (!in_work || (work_id != 0 && conn->work_id != work_id))
            continue;
        table->cancelled += !hs_cancel_is_set(&req->cancel);
        hs_cancel_trigger(&req->cancel);
        hs_http_stream_abandon(&req->stream);
        hs_pool_expire(req->server->pool, req);
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
        if (hs_request_write_timeout(table->options, &answer) == 0)
            send_now(conn, answer.data, answer.len);
        hs_buf_finish(&answer);
    }
    shutdown(conn->fd, SHUT_RDWR);
    conn->phase = HS_CONN_CUT;
    table->timed_out++;
}

/* Cuts every connection whose phase lasts too long; one that waits for the rest of a request gets a 408 first. Also
 * cuts those whose client left in the middle of a request and, if connections_max is reached, the longest idle one. */
static void cut_slow(struct hs_conn_table *table)
{
    int64_t now = hs_clock_now_ns();
    struct hs_conn *idlest = NULL;
    pthread_mutex_lock(&table->lock);
    for (struct hs_conn *conn = table->head; conn; conn = conn->next) {
        char c;
        bool reads = conn->phase == HS_CONN_FRESH || conn->phase == HS_CONN_HEADERS || conn->phase == HS_CONN_BODY;
        /* libmicrohttpd waits for edges and reads once for each, so it misses an end that arrives together with the
         * last bytes. A shorter silence may be a request that is just being handed on. */
        if (reads && now - conn->last_data_ns > 200 * HS_NS_PER_MS &&
            recv(conn->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
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

/* ---- Lingering ----
 *
 * Closing a socket while bytes of the peer are unread makes the kernel send a reset, and a reset can destroy an answer
 * that the peer has not read yet. So the last reference to such a socket is kept here for a while (nginx calls it
 * lingering close). */

/* The server's own descriptor may outlive this one, so closing is not enough to leave the epoll set. */
static void end_linger(struct hs_conn_table *table, struct hs_lingering *slot)
{
    epoll_ctl(table->epoll_fd, EPOLL_CTL_DEL, slot->fd, NULL);
    close(slot->fd);
    slot->fd = -1;
}

/* One read at a time, so that a fast sender does not occupy the thread. */
static void read_lingering(struct hs_conn_table *table, struct hs_lingering *slot)
{
    char dropped[READ_SIZE];
    pthread_mutex_lock(&table->linger_lock);
    ssize_t n = slot->fd >= 0 ? recv(slot->fd, dropped, sizeof(dropped), MSG_DONTWAIT) : 0;
    bool nothing = slot->fd < 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
    if (!nothing && (n <= 0 || (size_t) n >= slot->left))
        end_linger(table, slot);
    else if (!nothing)
        slot->left -= (size_t) n;
    pthread_mutex_unlock(&table->linger_lock);
}

void hs_conn_linger(struct hs_conn_table *table, const struct hs_conn *conn)
{
    pthread_mutex_lock(&table->linger_lock);
    int i = 0;
    while (i < HS_CONN_LINGER_MAX && table->lingering[i].fd >= 0)
        i++;
    /* If all slots are taken the client may miss its answer. */
    int copy = i < HS_CONN_LINGER_MAX ? fcntl(conn->fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (copy >= 0) {
        table->lingering[i] = (struct hs_lingering) { copy, hs_deadline_in_ms(LINGER_MS), LINGER_BYTES };
        if (add_fd(table, copy, EPOLLIN | EPOLLRDHUP, TAG_LINGER | (uint64_t) i) < 0)
            end_linger(table, &table->lingering[i]);
    }
    pthread_mutex_unlock(&table->linger_lock);
}

/* ---- The watching thread ---- */

/* Often enough for the shortest limit to be kept to about a quarter. */
static int tick_ms(const struct hs_http_options *o)
{
    int64_t shortest = o->header_timeout_ms;
    shortest = o->body_idle_ms < shortest ? o->body_idle_ms : shortest;
    shortest = o->body_timeout_ms < shortest ? o->body_timeout_ms : shortest;
    shortest = o->idle_timeout_ms < shortest ? o->idle_timeout_ms : shortest;
    return shortest < 80 ? 20 : shortest > 4000 ? 1000 : (int) shortest / 4;
}

static void *watch(void *arg)
{
    struct hs_conn_table *table = arg;
    struct epoll_event events[16];
    int64_t next_tick = hs_clock_now_ns();
    for (;;) {
        int64_t wait_ms = (next_tick - hs_clock_now_ns()) / HS_NS_PER_MS + 1;
        int n = epoll_wait(table->epoll_fd, events, 16, wait_ms > 0 ? (int) wait_ms : 0);
        for (int i = 0; i < n; i++) {
            uint64_t tag = events[i].data.u64;
            if (tag == TAG_STOP)
                return NULL;
            if (tag & TAG_LINGER)
                read_lingering(table, &table->lingering[tag & ~TAG_LINGER]);
            else
                hs_conn_cancel(table, tag);
        }
        if (hs_clock_now_ns() >= next_tick) {
            int64_t now = hs_clock_now_ns();
            pthread_mutex_lock(&table->linger_lock);
            for (int i = 0; i < HS_CONN_LINGER_MAX; i++) {
                if (table->lingering[i].fd >= 0 && table->lingering[i].until_ns <= now)
                    end_linger(table, &table->lingering[i]);
            }
            pthread_mutex_unlock(&table->linger_lock);
            cut_slow(table);
            next_tick = hs_deadline_in_ms(tick_ms(table->options));
        }
    }
}

void hs_conn_table_init(struct hs_conn_table *table, const struct hs_http_options *options)
{
    *table = (struct hs_conn_table) { .options = options, .epoll_fd = -1, .stop_fd = -1, .next_work_id = 1 };
    pthread_mutex_init(&table->lock, NULL);
    pthread_mutex_init(&table->linger_lock, NULL);
    for (int i = 0; i < HS_CONN_LINGER_MAX; i++)
        table->lingering[i].fd = -1;
}

int hs_conn_table_watch(struct hs_conn_table *table, struct hs_error *err)
{
    table->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    table->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    table->watching = table->epoll_fd >= 0 && table->stop_fd >= 0 &&
                      add_fd(table, table->stop_fd, EPOLLIN, TAG_STOP) == 0 &&
                      hs_thread_start(&table->watcher, "http-watch", watch, table) == 0;
    return table->watching ? 0 : hs_error_set(err, HS_EIO, "the connection watcher cannot be started");
}

void hs_conn_table_finish(struct hs_conn_table *table)
{
    assert(!table->head);
    if (table->watching) {
        eventfd_write(table->stop_fd, 1);
        pthread_join(table->watcher, NULL);
    }
    for (int i = 0; i < HS_CONN_LINGER_MAX; i++) {
        if (table->lingering[i].fd >= 0)
            end_linger(table, &table->lingering[i]);
    }
    if (table->epoll_fd >= 0)
        close(table->epoll_fd);
    if (table->stop_fd >= 0)
        close(table->stop_fd);
    pthread_mutex_destroy(&table->linger_lock);
    pthread_mutex_destroy(&table->lock);
}
