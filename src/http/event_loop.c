#include "http/event_loop.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "http/request_internal.h"

enum { EVENTS_MAX = 64, ACCEPTS_MAX = 64 };

static bool is_full(const struct hs_event_loop *loop)
{
    return atomic_load(&loop->server->connections) >= loop->server->options.connections_max;
}

/* ---- Accepting ---- */

static void watch(struct hs_event_loop *loop, struct hs_listener *listener, bool wanted)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = listener };
    if (listener->watched != wanted &&
        epoll_ctl(loop->conns.epoll_fd, wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, listener->fd, &event) == 0)
        listener->watched = wanted;
}

static void set_listening(struct hs_event_loop *loop, bool wanted)
{
    bool all = true;
    if (loop->closed || loop->listening == wanted)
        return;
    for (size_t i = 0; i < loop->listener_count; i++) {
        watch(loop, &loop->listeners[i], wanted);
        all &= loop->listeners[i].watched == wanted;
    }
    loop->listening = wanted == all;
}

static void close_listeners(struct hs_event_loop *loop)
{
    for (size_t i = 0; i < loop->listener_count; i++)
        hs_listener_close(&loop->listeners[i]);
    loop->closed = true;
}

static void take_connection(struct hs_event_loop *loop, const struct hs_listener *listener, int fd,
                            const struct sockaddr *address)
{
    struct hs_http_server *server = loop->server;
    size_t most = server->options.connections_per_address;
    char peer[HS_ADDRESS_SIZE];
    int on = 1;
    hs_listener_write_peer(fd, address, peer);
    /* A trusted proxy connects for many clients. */
    if (most > 0 && !hs_proxies_trust(&server->proxies, peer) && hs_conn_count_from(&loop->conns, peer) >= most) {
        hs_count(&hs_http_refusals, HS_HTTP_REFUSED_CONNECTIONS);
        close(fd);
        return;
    }
    if (is_full(loop)) /* checked after the limit per address, so that a refused connection does not evict another */
        hs_conn_evict(&loop->conns);
    if (!listener->is_unix)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    hs_conn_create(&loop->conns, fd, listener, peer);
}

/* If all connections or file descriptors are in use, evicts a connection. If none can be evicted,
 * further clients stay in the listen queue until the next tick. */
static void accept_some(struct hs_event_loop *loop, const struct hs_listener *listener)
{
    for (int i = 0; i < ACCEPTS_MAX && !atomic_load(&loop->server->draining); i++) {
        bool full = is_full(loop);
        if (full && i > 0)
            return; /* only another event proves that a further client connects */
        if (full && !hs_conn_find_evictable(&loop->conns)) {
            set_listening(loop, false);
            return;
        }
        struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
        socklen_t len = sizeof(address);
        int fd = accept4(listener->fd, (struct sockaddr *) &address, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            take_connection(loop, listener, fd, (struct sockaddr *) &address);
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        bool exhausted = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
        if (exhausted && !hs_conn_evict(&loop->conns)) {
            set_listening(loop, false);
            return;
        }
    }
}

void hs_event_loop_stop_listening(struct hs_event_loop *loop)
{
    /* The network thread closes the sockets when it sees `draining`. */
    for (size_t i = 0; i < loop->listener_count; i++)
        hs_listener_shut(&loop->listeners[i]);
    atomic_store(&loop->server->draining, true);
    hs_completion_queue_command(&loop->server->completions, false, false);
}

/* ---- The thread ---- */

/* The tick is a quarter of the shortest limit, which sets the precision of all limits. */
static int64_t tick_ns(const struct hs_http_options *o)
{
    const int64_t limits[] = { o->header_timeout_ms, o->body_idle_ms, o->body_timeout_ms, o->idle_timeout_ms,
                               o->rate_window_ms };
    int64_t shortest = 4000;
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        shortest = limits[i] < shortest ? limits[i] : shortest;
    return (shortest < 80 ? 20 : shortest / 4) * HS_NS_PER_MS;
}

static void tick(struct hs_event_loop *loop)
{
    int64_t now_ns = hs_clock_now_ns();
    if (now_ns < loop->next_tick_ns)
        return;
    for (struct hs_conn *conn = loop->conns.head, *next; conn; conn = next) {
        next = conn->next;
        hs_conn_check_time(conn, now_ns);
    }
    set_listening(loop, true);
    loop->next_tick_ns = now_ns + tick_ns(&loop->server->options);
}

/* Returns the time to the next tick; -1 without connections, because then no tick is needed. */
static int wait_ms(const struct hs_event_loop *loop)
{
    if (!loop->conns.head && (loop->listening || loop->closed))
        return -1;
    int64_t ms = (loop->next_tick_ns - hs_clock_now_ns()) / HS_NS_PER_MS + 1;
    return ms > 0 ? (int) ms : 0;
}

/* Handles completions and commands. Returns true if the thread must end. */
static bool serve_workers(struct hs_event_loop *loop)
{
    struct hs_completion_queue *queue = &loop->server->completions;
    struct hs_completion done;
    bool cancel_all, stop;
    hs_completion_queue_take_commands(queue, &cancel_all, &stop);
    hs_http_take_revision(loop->server);
    atomic_store(&loop->server->signs_given, atomic_load(&loop->server->signs_wanted));
    if (cancel_all) {
        for (struct hs_conn *conn = loop->conns.head; conn; conn = conn->next)
            hs_conn_cancel(conn);
    }
    while ((done = hs_completion_queue_take(queue)).req)
        hs_conn_on_completion(done.req, done.finished);
    if (atomic_load(&loop->server->draining) && !loop->closed) {
        set_listening(loop, false);
        close_listeners(loop);
    }
    return stop;
}

static bool is_listener(const struct hs_event_loop *loop, const void *subject)
{
    const char *at = subject, *first = (const char *) loop->listeners;
    return at >= first && at < first + sizeof(loop->listeners);
}

static void *run(void *arg)
{
    struct hs_event_loop *loop = arg;
    struct epoll_event events[EVENTS_MAX];
    bool ending = false;
    while (!ending) {
        int count = epoll_wait(loop->conns.epoll_fd, events, EVENTS_MAX, wait_ms(loop));
        for (int i = 0; i < count; i++) {
            void *subject = events[i].data.ptr;
            if (is_listener(loop, subject))
                accept_some(loop, subject);
            else if (subject == &loop->server->completions)
                ending = serve_workers(loop);
            else
                hs_conn_on_event(subject, events[i].events);
        }
        tick(loop);
        if (loop->conns.closed) /* a connection slot is free again */
            set_listening(loop, true);
        hs_conn_free_closed(&loop->conns);
    }
    while (loop->conns.head)
        hs_conn_close(loop->conns.head);
    hs_conn_free_closed(&loop->conns);
    return NULL;
}

/* ---- Creation and destruction ---- */

int hs_event_loop_start(struct hs_event_loop *loop, struct hs_http_server *server, struct hs_error *err)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = &server->completions };
    loop->server = loop->conns.server = server;
    loop->conns.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->conns.epoll_fd >= 0 &&
        epoll_ctl(loop->conns.epoll_fd, EPOLL_CTL_ADD, server->completions.event_fd, &event) == 0) {
        set_listening(loop, true);
        loop->running = loop->listening && hs_thread_start(&loop->thread, "http-network", run, loop) == 0;
    }
    if (loop->running)
        return 0;
    if (loop->conns.epoll_fd >= 0)
        close(loop->conns.epoll_fd);
    return hs_error_set(err, HS_EIO, "cannot start the network thread");
}

void hs_event_loop_stop(struct hs_event_loop *loop)
{
    if (loop->running) {
        hs_completion_queue_command(&loop->server->completions, false, true);
        pthread_join(loop->thread, NULL);
        loop->running = false;
        close(loop->conns.epoll_fd);
    }
    if (!loop->closed)
        close_listeners(loop);
}
