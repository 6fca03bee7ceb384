/* The linker redirects system calls here (--wrap), but only those of our own objects. */
#include "call_fail.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* Set both before `left`. */
static const char *failing;
static int with;
/* Number of calls up to the failing one; 0 or below: not armed, or already failed. */
static atomic_int left;

void hs_call_fail_arm(const char *name, int nth, int error)
{
    failing = name;
    with = error;
    atomic_store(&left, nth);
}

bool hs_call_fail_disarm(void)
{
    return atomic_exchange(&left, 0) <= 0;
}

static bool fails(const char *name)
{
    if (atomic_load(&left) <= 0 || strcmp(name, failing) != 0 || atomic_fetch_sub(&left, 1) != 1)
        return false;
    errno = with;
    return true;
}

/* ---- Wrapped functions ---- */

#define WRAP_AS(type, symbol, name, parameters, arguments, failed)                                                     \
    type __real_##symbol parameters;                                                                                   \
    type __wrap_##symbol parameters;                                                                                   \
    type __wrap_##symbol parameters                                                                                    \
    {                                                                                                                  \
        return fails(#name) ? (failed) : __real_##symbol arguments;                                                    \
    }
#define WRAP(type, name, parameters, arguments, failed) WRAP_AS(type, name, name, parameters, arguments, failed)
/* Functions that have another symbol for large files. */
#define WRAP_BOTH(type, name, parameters, arguments, failed)                                                           \
    WRAP_AS(type, name, name, parameters, arguments, failed)                                                           \
    WRAP_AS(type, name##64, name, parameters, arguments, failed)

WRAP(ssize_t, read, (int fd, void *data, size_t len), (fd, data, len), -1)
WRAP(ssize_t, write, (int fd, const void *data, size_t len), (fd, data, len), -1)
WRAP_BOTH(int, fstat, (int fd, struct stat *st), (fd, st), -1)
WRAP(int, fsync, (int fd), (fd), -1)
WRAP(int, fchown, (int fd, uid_t uid, gid_t gid), (fd, uid, gid), -1)
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode), -1)
WRAP(int, rename, (const char *from, const char *to), (from, to), -1)
WRAP_BOTH(int, mkostemp, (char *path, int flags), (path, flags), -1)
WRAP(int, flock, (int fd, int operation), (fd, operation), -1)
WRAP_BOTH(int, fallocate, (int fd, int mode, off_t offset, off_t len), (fd, mode, offset, len), -1)
WRAP(pid_t, waitpid, (pid_t pid, int *status, int options), (pid, status, options), -1)
WRAP(int, pipe2, (int *ends, int flags), (ends, flags), -1)
WRAP(int, eventfd, (unsigned count, int flags), (count, flags), -1)
WRAP(int, epoll_create1, (int flags), (flags), -1)
WRAP(int, epoll_ctl, (int fd, int operation, int of, struct epoll_event *event), (fd, operation, of, event), -1)
WRAP(int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1)
WRAP(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t len), (fd, level, name, value, len),
     -1)
WRAP(int, listen, (int fd, int backlog), (fd, backlog), -1)
WRAP(int, getsockname, (int fd, struct sockaddr *address, socklen_t *len), (fd, address, len), -1)
WRAP(ssize_t, readlink, (const char *path, char *target, size_t size), (path, target, size), -1)
WRAP(char *, getcwd, (char *path, size_t size), (path, size), NULL)
WRAP(int, pidfd_open, (pid_t pid, unsigned flags), (pid, flags), -1)
WRAP(int, close_range, (unsigned first, unsigned last, int flags), (first, last, flags), -1)
WRAP(int, pthread_create, (pthread_t * thread, const pthread_attr_t *how, void *(*run)(void *), void *arg),
     (thread, how, run, arg), with)

int __real_close(int fd);
int __wrap_close(int fd);

int __wrap_close(int fd)
{
    int r = __real_close(fd);
    return fails("close") ? -1 : r;
}
