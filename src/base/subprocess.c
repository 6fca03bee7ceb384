#include "base/subprocess.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Exit code of the C library's child, and of shells, if the program cannot be started. */
enum { NOT_STARTED = 127 };

int hs_subprocess_run(const char *const argv[], const char *dir, const char *log, int *ret_code, struct hs_error *err)
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status = 0, failed = posix_spawn_file_actions_init(&actions);
    bool made = !failed;
    if (!failed)
        failed = posix_spawn_file_actions_addchdir_np(&actions, dir);
    if (!failed)
        failed = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (!failed)
        failed = posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (!failed)
        failed = posix_spawn_file_actions_adddup2(&actions, 1, 2);
    if (!failed)
        failed = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *) argv, environ);
    if (made)
        posix_spawn_file_actions_destroy(&actions);
    if (failed)
        return hs_error_set(err,
                            failed == ENOENT   ? HS_ENOTFOUND
                            : failed == ENOMEM ? HS_ENOMEM
                                               : HS_EIO,
                            "cannot run %s: %s", argv[0], strerror(failed));
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return hs_error_set(err, HS_EIO, "cannot wait for %s: %s", argv[0], strerror(errno));
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    /* Under an emulator posix_spawn may succeed for a missing program. */
    if (code == NOT_STARTED)
        return hs_error_set(err, HS_ENOTFOUND, "cannot run %s", argv[0]);
    *ret_code = code;
    return 0;
}
