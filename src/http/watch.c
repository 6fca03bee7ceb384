/* Closing a socket while bytes of the peer are unread makes the kernel send a reset, and a reset can destroy an answer
 * that the peer has not read yet. So the last reference to such a socket is kept here for a while (nginx calls it
 * lingering close). */
#include "http/watch.h"

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

struct hs_watch {
    const struct hs_watch_events *events;
    void *ctx;
    int epoll_fd, stop_fd, tick_ms;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* guards slots */
    struct lingering slots[LINGER_MAX];
    char dropped[READ_SIZE]; /* only the thread's */
};

static int add_fd(struct hs_watch *watch, int fd, uint32_t events, uint64_t tag)
{
    struct epoll_event event = { .events = events, .data.u64 = tag };
    return epoll_ctl(watch->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? HS_EIO : 0;
}

/* ---- Lingering ---- */

/* Closing the last reference takes it out of the epoll set; the one that the server had may outlive it, so say it. */
static void end_linger(struct hs_watch *watch, struct lingering *slot)
{
    epoll_ctl(watch->epoll_fd, EPOLL_CTL_DEL, slot->fd, NULL);
    close(slot->fd);
    slot->fd = -1;
}

/* One read at a time, so that a fast sender does not keep the thread from its other duties. */
static void read_lingering(struct hs_watch *watch, struct lingering *slot)
{
    if (slot->fd < 0)
        return;
    ssize_t n = recv(slot->fd, watch->dropped, sizeof(watch->dropped), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || (size_t) n >= slot->left)
        end_linger(watch, slot);
    else
        slot->left -= (size_t) n;
}

static void expire_lingering(struct hs_watch *watch)
{
    int64_t now = hs_clock_now_ns();
    pthread_mutex_lock(&watch->lock);
    for (int i = 0; i < LINGER_MAX; i++) {
        if (watch->slots[i].fd >= 0 && watch->slots[i].until_ns <= now)
            end_linger(watch, &watch->slots[i]);
    }
    pthread_mutex_unlock(&watch->lock);
}

void hs_watch_linger(struct hs_watch *watch, int fd)
{
    pthread_mutex_lock(&watch->lock);
    int i = 0;
    while (i < LINGER_MAX && watch->slots[i].fd >= 0)
        i++;
    /* With all places taken the client may miss its answer; that is the price of the bound. */
    int copy = i < LINGER_MAX ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (copy >= 0) {
        watch->slots[i] = (struct lingering) { copy, hs_deadline_in_ms(LINGER_MS), LINGER_BYTES };
        if (add_fd(watch, copy, EPOLLIN | EPOLLRDHUP, TAG_LINGER | (uint64_t) i) < 0)
            end_linger(watch, &watch->slots[i]);
    }
    pthread_mutex_unlock(&watch->lock);
}

/* ---- Thread ---- */

/* False at the end. */
static bool handle(struct hs_watch *watch, const struct epoll_event *event)
{
    uint64_t tag = event->data.u64;
    if (tag == TAG_STOP)
        return false;
    if (tag & TAG_LINGER) {
        pthread_mutex_lock(&watch->lock);
        read_lingering(watch, &watch->slots[tag & ~TAG_LINGER]);
        pthread_mutex_unlock(&watch->lock);
    } else {
        watch->events->gone(watch->ctx, tag);
    }
    return true;
}

static void *run(void *arg)
{
    struct hs_watch *watch = arg;
    struct epoll_event events[16];
    int64_t next_tick = hs_deadline_in_ms(watch->tick_ms);
    for (;;) {
        int64_t wait_ms = (next_tick - hs_clock_now_ns()) / HS_NS_PER_MS + 1;
        int n = epoll_wait(watch->epoll_fd, events, 16, wait_ms > 0 ? (int) wait_ms : 0);
        for (int i = 0; i < n; i++) {
            if (!handle(watch, &events[i]))
                return NULL;
        }
        if (hs_clock_now_ns() >= next_tick) {
            expire_lingering(watch);
            watch->events->tick(watch->ctx);
            next_tick = hs_deadline_in_ms(watch->tick_ms);
        }
    }
}

static int start_thread(struct hs_watch *watch)
{
    int r = hs_thread_start(&watch->thread, "http-watch", run, watch);
    watch->running = r == 0;
    return r;
}

int hs_watch_create(int tick_ms, const struct hs_watch_events *events, void *ctx, struct hs_watch **ret_watch,
                    struct hs_error *err)
{
    struct hs_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return hs_error_set(err, HS_ENOMEM, "no memory for the connection watcher");
    watch->events = events;
    watch->ctx = ctx;
    watch->tick_ms = tick_ms;
    pthread_mutex_init(&watch->lock, NULL);
    for (int i = 0; i < LINGER_MAX; i++)
        watch->slots[i].fd = -1;
    watch->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    watch->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (watch->epoll_fd < 0 || watch->stop_fd < 0 || add_fd(watch, watch->stop_fd, EPOLLIN, TAG_STOP) < 0 ||
        start_thread(watch) < 0) {
        hs_watch_destroy(watch);
        return hs_error_set(err, HS_EIO, "the connection watcher cannot be started");
    }
    *ret_watch = watch;
    return 0;
}

void hs_watch_destroy(struct hs_watch *watch)
{
    if (!watch)
        return;
    if (watch->running) {
        eventfd_write(watch->stop_fd, 1);
        pthread_join(watch->thread, NULL);
    }
    for (int i = 0; i < LINGER_MAX; i++) {
        if (watch->slots[i].fd >= 0)
            end_linger(watch, &watch->slots[i]);
    }
    if (watch->epoll_fd >= 0)
        close(watch->epoll_fd);
    if (watch->stop_fd >= 0)
        close(watch->stop_fd);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}

int hs_watch_add(struct hs_watch *watch, int fd, uint64_t id)
{
    return add_fd(watch, fd, EPOLLRDHUP | EPOLLONESHOT, id);
}

void hs_watch_remove(struct hs_watch *watch, int fd)
{
    epoll_ctl(watch->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}
