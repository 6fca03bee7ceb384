/* A library to preload into a service: makes calls of the C library fail. The file that HS_FAIL_CONTROL names holds a
 * struct control, which failure_sweep.py writes and reads while the service runs.
 *
 * Calls by GLib, Pango, OpenVINO and other libraries that end the process if memory is exhausted do not count. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { ALLOCATION, WRITE, SYNC, SEND, THREAD, OPEN, KINDS };

struct control {
    _Atomic int64_t kind;   /* that fails */
    _Atomic int64_t left;   /* calls of this kind up to the failing one, which fails once; 0: none */
    _Atomic int64_t every;  /* each call whose number is a multiple fails; 0: none */
    _Atomic int64_t error;  /* errno of a failure */
    _Atomic int64_t failed; /* number of failed calls */
    _Atomic int64_t calls[KINDS];
};

static struct control idle;
static struct control *control = &idle;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

__attribute__((constructor)) static void open_control(void)
{
    const char *path = getenv("HS_FAIL_CONTROL");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (map != MAP_FAILED)
        control = map;
}

static bool is_excluded(const void *caller)
{
    static const char *const names[] = { "libglib",       "libgobject",  "libgio",     "libpango", "libcairo",
                                         "libfontconfig", "libharfbuzz", "libfribidi", "libthai",  "libopenvino",
                                         "libtbb",        "libstdc++",   "ld-linux" };
    struct dl_find_object found;
    if (_dl_find_object((void *) (uintptr_t) caller, &found) != 0 || !found.dlfo_link_map)
        return true;
    const char *name = found.dlfo_link_map->l_name;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strstr(name, names[i]))
            return true;
    return false;
}

/* Counts a call and returns true, with errno set, if it must fail. */
static bool fails(enum kind kind, const void *caller)
{
    bool hit = false;
    if (atomic_load(&control->kind) != (int64_t) kind || is_excluded(caller))
        return false;
    int64_t number = atomic_fetch_add(&control->calls[kind], 1) + 1, every = atomic_load(&control->every);
    if (atomic_load(&control->left) > 0)
        hit = atomic_fetch_sub(&control->left, 1) == 1;
    hit |= every > 0 && number % every == 0;
    if (hit) {
        atomic_fetch_add(&control->failed, 1);
        errno = (int) atomic_load(&control->error);
    }
    return hit;
}

#define CALLER __builtin_return_address(0)
#define NEXT(name)                                                                                                     \
    static __typeof__(name) *next;                                                                                     \
    if (!next)                                                                                                         \
    next = (__typeof__(name) *) dlsym(RTLD_NEXT, #name)

/* ---- Memory ---- */

void *malloc(size_t size)
{
    return fails(ALLOCATION, CALLER) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails(ALLOCATION, CALLER) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    return fails(ALLOCATION, CALLER) ? NULL : __libc_realloc(block, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return fails(ALLOCATION, CALLER) ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
    void *block = fails(ALLOCATION, CALLER) ? NULL : __libc_memalign(alignment, size);
    if (!block)
        return ENOMEM;
    *ret = block;
    return 0;
}

/* ---- Files ---- */

static bool is_file(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

ssize_t write(int fd, const void *data, size_t len)
{
    NEXT(write);
    return is_file(fd) && fails(WRITE, CALLER) ? -1 : next(fd, data, len);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    NEXT(pwrite);
    return fails(WRITE, CALLER) ? -1 : next(fd, data, len, at);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    NEXT(pwrite64);
    return fails(WRITE, CALLER) ? -1 : next(fd, data, len, at);
}

int ftruncate(int fd, off_t len)
{
    NEXT(ftruncate);
    return fails(WRITE, CALLER) ? -1 : next(fd, len);
}

int ftruncate64(int fd, off64_t len)
{
    NEXT(ftruncate64);
    return fails(WRITE, CALLER) ? -1 : next(fd, len);
}

int rename(const char *from, const char *to)
{
    NEXT(rename);
    return fails(WRITE, CALLER) ? -1 : next(from, to);
}

int fsync(int fd)
{
    NEXT(fsync);
    return fails(SYNC, CALLER) ? -1 : next(fd);
}

int fdatasync(int fd)
{
    NEXT(fdatasync);
    return fails(SYNC, CALLER) ? -1 : next(fd);
}

#define MODE_OF(flags)                                                                                                 \
    mode_t mode = 0;                                                                                                   \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                             \
        va_list args;                                                                                                  \
        va_start(args, flags);                                                                                         \
        mode = va_arg(args, mode_t);                                                                                   \
        va_end(args);                                                                                                  \
    }

int open(const char *path, int flags, ...)
{
    MODE_OF(flags)
    NEXT(open);
    return fails(OPEN, CALLER) ? -1 : next(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    MODE_OF(flags)
    NEXT(open64);
    return fails(OPEN, CALLER) ? -1 : next(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...)
{
    MODE_OF(flags)
    NEXT(openat);
    return fails(OPEN, CALLER) ? -1 : next(folder, path, flags, mode);
}

/* ---- Sockets and threads ---- */

ssize_t send(int fd, const void *data, size_t len, int flags)
{
    NEXT(send);
    return fails(SEND, CALLER) ? -1 : next(fd, data, len, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    NEXT(sendmsg);
    return fails(SEND, CALLER) ? -1 : next(fd, message, flags);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    NEXT(writev);
    return fails(is_file(fd) ? WRITE : SEND, CALLER) ? -1 : next(fd, parts, count);
}

int pthread_create(pthread_t *ret, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
    NEXT(pthread_create);
    return fails(THREAD, CALLER) ? (int) atomic_load(&control->error) : next(ret, attributes, run, arg);
}
