/* posix_spawn cannot set PR_SET_PDEATHSIG, so this file creates the child as posix_spawn does: with vfork, which
 * neither copies the process nor moves the pages that a device's driver has pinned (a copy-on-write after fork would
 * move them). Until exec the child shares the memory of this process, so it only makes system calls. */
#include "base/subprocess.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"

/* Exit code of the child, and of shells, if the program cannot be started. */
enum { NOT_STARTED = 127 };
/* CHECK_MS: interval of checks for the child's end if pidfd_open fails (under an old emulator). */
enum { CHECK_MS = 50, POLL_MAX_MS = 60000, FD_MAX = 4096 };

struct child {
    pid_t pid;
    int done_fd;   /* readable once the child has ended; -1: pidfd_open failed */
    int output_fd; /* -1: all writers have closed it */
    int wake_fd;   /* readable once the job is cancelled */
    char *output;
    size_t len;
};

/* ---- In the child, until exec ---- */

static void exec_child(const struct hs_subprocess *job, int output, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int in = open("/dev/null", O_RDONLY);
    if (getppid() != parent || chdir(job->dir) < 0 || in < 0 || dup2(in, 0) < 0 || dup2(output, 1) < 0 ||
        dup2(output, 2) < 0)
        return;
    if (close_range(3, ~0U, 0) < 0) /* before Linux 5.9, and under some emulators */
        for (int fd = 3; fd < FD_MAX; fd++)
            close(fd);
    /* signal() fails for SIGKILL, SIGSTOP and unused numbers, which does no harm. */
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvp(job->argv[0], (char *const *) job->argv);
}

/* A separate function, because the child must not change the caller's variables. All signals are blocked, because a
 * handler would also run in the child. */
__attribute__((noinline)) static pid_t start(const struct hs_subprocess *job, int output, volatile int *ret_errno)
{
    pid_t parent = getpid();
    pid_t pid = vfork();
    if (pid == 0) {
        exec_child(job, output, parent);
        *ret_errno = errno ? errno : EIO;
        _exit(NOT_STARTED);
    }
    return pid;
}

/* ---- Waiting ---- */

static void wake(void *arg)
{
    eventfd_write(*(const int *) arg, 1);
}

/* Reads the output that is available and keeps the end of it. */
static void read_output(struct child *child)
{
    char block[4096];
    ssize_t n = -1;
    /* A pipe holds sixteen blocks. The limit lets the caller check the deadline even if the child writes faster. */
    for (int i = 0; i < 16 && (n = read(child->output_fd, block, sizeof(block))) > 0; i++) {
        size_t keep = HS_SUBPROCESS_OUTPUT_SIZE - 1 - (size_t) n;
        if (child->len > keep) {
            memmove(child->output, child->output + child->len - keep, keep);
            child->len = keep;
        }
        memcpy(child->output + child->len, block, (size_t) n);
        child->len += (size_t) n;
        child->output[child->len] = '\0';
    }
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        close(child->output_fd);
        child->output_fd = -1;
    }
}

static bool has_ended(const struct child *child)
{
    siginfo_t info = { 0 };
    return waitid(P_PID, (id_t) child->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == child->pid;
}

static int wait_for(struct child *child, const struct hs_subprocess *job, struct hs_error *err)
{
    while (!has_ended(child)) {
        int64_t now_ns = hs_clock_now_ns();
        int64_t left_ms =
            job->deadline_ns == HS_NO_DEADLINE ? POLL_MAX_MS : (job->deadline_ns - now_ns) / HS_NS_PER_MS + 1;
        int64_t most_ms = child->done_fd < 0 ? CHECK_MS : POLL_MAX_MS;
        if (hs_cancel_is_set(job->cancel))
            return hs_error_set(err, HS_ECANCELED, "cancelled");
        if (job->deadline_ns != HS_NO_DEADLINE && now_ns >= job->deadline_ns)
            return hs_error_set(err, HS_ETIMEOUT, "%s timed out", job->argv[0]);
        struct pollfd fds[] = { { child->done_fd, POLLIN, 0 },
                                { child->output_fd, POLLIN, 0 },
                                { child->wake_fd, POLLIN, 0 } };
        poll(fds, 3, (int) (left_ms < most_ms ? left_ms : most_ms));
        if (fds[1].revents)
            read_output(child);
    }
    return 0;
}

/* ---- A run ---- */

/* Waits for the child, then kills its process group, which includes its own children. The child is reaped only after
 * that, so its process and group ids cannot be reused before. */
static int wait_and_kill(struct child *child, const struct hs_subprocess *job, int *ret_code, struct hs_error *err)
{
    int status = 0;
    hs_cancel_watch(job->cancel, wake, &child->wake_fd);
    int r = wait_for(child, job, err);
    hs_cancel_unwatch(job->cancel);
    kill(-child->pid, SIGKILL);
    kill(child->pid, SIGKILL);
    if (child->output_fd >= 0)
        read_output(child);
    while (waitpid(child->pid, &status, 0) < 0)
        if (errno != EINTR)
            return hs_error_set(err, HS_EIO, "cannot wait for %s: %s", job->argv[0], strerror(errno));
    *ret_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    return r;
}

static int start_error(const char *program, int number, struct hs_error *err)
{
    int code = number == ENOENT ? HS_ENOTFOUND : number == ENOMEM || number == EAGAIN ? HS_ENOMEM : HS_EIO;
    return hs_error_set(err, code, "cannot run %s: %s", program, strerror(number));
}

int hs_subprocess_run(const struct hs_subprocess *job, int *ret_code, char *ret_output, struct hs_error *err)
{
    struct child child = { .output = ret_output };
    int ends[2];
    volatile int failed = 0;
    sigset_t before;
    ret_output[0] = '\0';
    if (pipe2(ends, O_CLOEXEC) < 0)
        return start_error(job->argv[0], errno, err);
    child.output_fd = ends[0];
    child.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    /* The child replaces descriptors 0 to 2, so this one must be another. */
    int output = fcntl(ends[1], F_DUPFD_CLOEXEC, 3), number = 0;
    if (child.wake_fd < 0 || output < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
        number = errno;
    close(ends[1]);
    if (!number) {
        hs_thread_block_signals(&before);
        child.pid = start(job, output, &failed);
        number = child.pid < 0 ? errno : 0;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (output >= 0)
        close(output);
    int r = number ? start_error(job->argv[0], number, err) : 0;
    if (r == 0) {
        child.done_fd = pidfd_open(child.pid, 0);
        r = wait_and_kill(&child, job, ret_code, err);
        if (child.done_fd >= 0)
            close(child.done_fd);
        if (r == 0 && failed)
            r = start_error(job->argv[0], failed, err);
        else if (r == 0 && *ret_code == NOT_STARTED) /* under an emulator vfork may be a fork: `failed` stays 0 */
            r = hs_error_set(err, HS_ENOTFOUND, "cannot run %s", job->argv[0]);
    }
    if (child.wake_fd >= 0)
        close(child.wake_fd);
    if (child.output_fd >= 0)
        close(child.output_fd);
    return r;
}
