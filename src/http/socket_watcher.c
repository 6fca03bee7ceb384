/* Closing a socket while bytes of the peer are unread makes the kernel send a reset, and a reset can destroy an answer
 * that the peer has not read yet. So the last reference to such a socket is kept here for a while (nginx calls it
 * lingering close). */
#include "http/socket_watcher.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"

enum { LINGER_MAX = 64, LINGER_MS = 5000, LINGER_BYTES = 64 << 20, READ_SIZE = 65536 };

/* The high bit of an epoll tag marks lingering sockets (the low bits are the slot), all bits the stop event. */
#define TAG_LINGER (UINT64_C(1) << 63)
#define TAG_STOP UINT64_MAX

struct lingering {
    int fd; /* -1: free */
    int64_t until_ns;
    size_t left;
};

struct hs_watcher {
    const struct hs_watcher_events *events;
    void *ctx;
    int epoll_fd, stop_fd, tick_ms;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* guards slots */
    struct lingering slots[LINGER_MAX];
    char dropped[READ_SIZE]; /* only the thread's */
};

static int add_fd(struct hs_watcher *watcher, int fd, uint32_t events, uint64_t tag)
{
    struct epoll_event event = { .events = events, .data.u64 = tag };
    return epoll_ctl(watcher->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? HS_EIO : 0;
}

/* ---- Lingering ---- */

/* The server's own descriptor may outlive this one, so closing is not enough to leave the epoll set. */
static void end_linger(struct hs_watcher *watcher, struct lingering *slot)
{
    epoll_ctl(watcher->epoll_fd, EPOLL_CTL_DEL, slot->fd, NULL);
    close(slot->fd);
    slot->fd = -1;
}

/* One read at a time, so that a fast sender does not occupy the thread. */
static void read_lingering(struct hs_watcher *watcher, struct lingering *slot)
{
    if (slot->fd < 0)
        return;
    ssize_t n = recv(slot->fd, watcher->dropped, sizeof(watcher->dropped), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || (size_t) n >= slot->left)
        end_linger(watcher, slot);
    else
        slot->left -= (size_t) n;
}

static void expire_lingering(struct hs_watcher *watcher)
{
    int64_t now = hs_clock_now_ns();
    pthread_mutex_lock(&watcher->lock);
    for (int i = 0; i < LINGER_MAX; i++) {
        if (watcher->slots[i].fd >= 0 && watcher->slots[i].until_ns <= now)
            end_linger(watcher, &watcher->slots[i]);
    }
    pthread_mutex_unlock(&watcher->lock);
}

void hs_watcher_linger(struct hs_watcher *watcher, int fd)
{
    pthread_mutex_lock(&watcher->lock);
    int i = 0;
    while (i < LINGER_MAX && watcher->slots[i].fd >= 0)
        i++;
    /* If all slots are taken the client may miss its answer. */
    int copy = i < LINGER_MAX ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (copy >= 0) {
        watcher->slots[i] = (struct lingering) { copy, hs_deadline_in_ms(LINGER_MS), LINGER_BYTES };
        if (add_fd(watcher, copy, EPOLLIN | EPOLLRDHUP, TAG_LINGER | (uint64_t) i) < 0)
            end_linger(watcher, &watcher->slots[i]);
    }
    pthread_mutex_unlock(&watcher->lock);
}

/* ---- Thread ---- */

/* False at the end. */
static bool handle(struct hs_watcher *watcher, const struct epoll_event *event)
{
    uint64_t tag = event->data.u64;
    if (tag == TAG_STOP)
        return false;
    if (tag & TAG_LINGER) {
        pthread_mutex_lock(&watcher->lock);
        read_lingering(watcher, &watcher->slots[tag & ~TAG_LINGER]);
        pthread_mutex_unlock(&watcher->lock);
    } else {
        watcher->events->gone(watcher->ctx, tag);
    }
    return true;
}

static void *run(void *arg)
{
    struct hs_watcher *watcher = arg;
    struct epoll_event events[16];
    int64_t next_tick = hs_deadline_in_ms(watcher->tick_ms);
    for (;;) {
        int64_t wait_ms = (next_tick - hs_clock_now_ns()) / HS_NS_PER_MS + 1;
        int n = epoll_wait(watcher->epoll_fd, events, 16, wait_ms > 0 ? (int) wait_ms : 0);
        for (int i = 0; i < n; i++) {
            if (!handle(watcher, &events[i]))
                return NULL;
        }
        if (hs_clock_now_ns() >= next_tick) {
            expire_lingering(watcher);
            watcher->events->tick(watcher->ctx);
            next_tick = hs_deadline_in_ms(watcher->tick_ms);
        }
    }
}

int hs_watcher_create(int tick_ms, const struct hs_watcher_events *events, void *ctx, struct hs_watcher **ret_watcher,
                      struct hs_error *err)
{
    struct hs_watcher *watcher = calloc(1, sizeof(*watcher));
    if (!watcher)
        return hs_error_set(err, HS_ENOMEM, "no memory for the connection watcher");
    watcher->events = events;
    watcher->ctx = ctx;
    watcher->tick_ms = tick_ms;
    pthread_mutex_init(&watcher->lock, NULL);
    for (int i = 0; i < LINGER_MAX; i++)
        watcher->slots[i].fd = -1;
    watcher->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    watcher->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (watcher->epoll_fd < 0 || watcher->stop_fd < 0 || add_fd(watcher, watcher->stop_fd, EPOLLIN, TAG_STOP) < 0 ||
        hs_thread_start(&watcher->thread, "http-watch", run, watcher) < 0) {
        hs_watcher_destroy(watcher);
        return hs_error_set(err, HS_EIO, "the connection watcher cannot be started");
    }
    watcher->running = true;
    *ret_watcher = watcher;
    return 0;
}

void hs_watcher_destroy(struct hs_watcher *watcher)
{
    if (!watcher)
        return;
    if (watcher->running) {
        eventfd_write(watcher->stop_fd, 1);
        pthread_join(watcher->thread, NULL);
    }
    for (int i = 0; i < LINGER_MAX; i++) {
        if (watcher->slots[i].fd >= 0)
            end_linger(watcher, &watcher->slots[i]);
    }
    if (watcher->epoll_fd >= 0)
        close(watcher->epoll_fd);
    if (watcher->stop_fd >= 0)
        close(watcher->stop_fd);
    pthread_mutex_destroy(&watcher->lock);
    free(watcher);
}

int hs_watcher_add(struct hs_watcher *watcher, int fd, uint64_t id)
{
    return add_fd(watcher, fd, EPOLLRDHUP | EPOLLONESHOT, id);
}

void hs_watcher_remove(struct hs_watcher *watcher, int fd)
{
    epoll_ctl(watcher->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}
