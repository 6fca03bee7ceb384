/* libsystemd has the same function, but is one more library on every target for one datagram, and the programs also run
 * where systemd does not. */
#include "service/notify.h"

#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/thread.h"

enum { EXTEND_EVERY_S = 5, EXTEND_BY_S = 30, START_MAX_S = 1800 };

static struct {
    struct sockaddr_un address;
    socklen_t address_len; /* 0: there is no manager */
    int64_t watchdog_ns;
} manager;

/* The thread that extends the start. */
static struct {
    pthread_mutex_t lock; /* guards `done` */
    pthread_cond_t changed;
    bool done, running;
    pthread_t thread;
} start = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void read_address(const char *path)
{
    struct sockaddr_un *address = &manager.address;
    size_t len = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || len >= sizeof(address->sun_path))
        return;
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, len + 1);
    if (path[0] == '@') /* an abstract socket, whose name has no NUL at its end */
        address->sun_path[0] = '\0';
    manager.address_len = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + len + (path[0] == '/'));
}

void hs_notify_init(void)
{
    const char *path = getenv("NOTIFY_SOCKET"), *interval = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    int64_t usec = 0, wanted_pid = getpid();
    memset(&manager, 0, sizeof(manager));
    if (path)
        read_address(path);
    if (pid && !hs_str_to_int64(pid, &wanted_pid))
        return;
    if (interval && hs_str_to_int64(interval, &usec) && usec > 0 && usec < INT64_MAX / 1000 && wanted_pid == getpid() &&
        manager.address_len > 0)
        manager.watchdog_ns = usec * 1000;
}

bool hs_notify_wanted(void)
{
    return manager.address_len > 0;
}

int64_t hs_notify_watchdog_ns(void)
{
    return manager.watchdog_ns;
}

void hs_notify(const char *format, ...)
{
    char text[1024];
    va_list args;
    if (manager.address_len == 0)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    /* A manager that does not read must not block the service. */
    ssize_t sent = sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
                          (const struct sockaddr *) &manager.address, manager.address_len);
    (void) sent;
    close(fd);
}

static void *extend(void *arg)
{
    int64_t last_ns = hs_deadline_in_ms((int64_t) START_MAX_S * 1000);
    (void) arg;
    pthread_mutex_lock(&start.lock);
    while (!start.done && hs_clock_now_ns() < last_ns) {
        hs_notify("EXTEND_TIMEOUT_USEC=%d000000", EXTEND_BY_S);
        hs_cond_wait_until(&start.changed, &start.lock, hs_deadline_in_ms((int64_t) EXTEND_EVERY_S * 1000));
    }
    pthread_mutex_unlock(&start.lock);
    return NULL;
}

void hs_notify_begin_start(void)
{
    if (manager.address_len == 0 || start.running)
        return;
    start.done = false;
    hs_cond_init(&start.changed);
    start.running = hs_thread_start(&start.thread, "start", extend, NULL) == 0;
    if (!start.running)
        pthread_cond_destroy(&start.changed);
}

void hs_notify_end_start(void)
{
    if (!start.running)
        return;
    pthread_mutex_lock(&start.lock);
    start.done = true;
    pthread_cond_signal(&start.changed);
    pthread_mutex_unlock(&start.lock);
    pthread_join(start.thread, NULL);
    pthread_cond_destroy(&start.changed);
    start.running = false;
}
