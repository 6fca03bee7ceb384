/* Runs other programs, without a shell. */
#ifndef HS_BASE_SUBPROCESS_H
#define HS_BASE_SUBPROCESS_H

#include <stdint.h>

#include "base/cancel.h"
#include "hs/status.h"

enum { HS_SUBPROCESS_OUTPUT_SIZE = 64 << 10 };

struct hs_subprocess {
    const char *const *argv;  /* NULL-terminated */
    const char *dir;          /* working directory of the program */
    int64_t deadline_ns;      /* HS_NO_DEADLINE allowed */
    struct hs_cancel *cancel; /* NULL: cannot be cancelled */
};

/* Runs the program with an empty stdin and waits for it. It starts with default signal handlers, no blocked signals, no
 * descriptors except 0 to 2, and in its own process group. The group is killed before this function returns; the
 * program is also killed if the calling thread ends. `ret_output` (HS_SUBPROCESS_OUTPUT_SIZE bytes) gets the end of
 * stdout and stderr together, with a NUL byte, also on HS_ETIMEOUT and HS_ECANCELED. *ret_code is the exit code, or 128
 * if a signal ended the program. HS_ENOTFOUND: the program does not exist, or its exit code is 127 (as of a shell that
 * does not find a program); HS_ETIMEOUT; HS_ECANCELED; HS_ENOMEM; HS_EIO. Does not copy the process (vfork), so memory
 * that a device reads or writes stays in place. Any thread. */
int hs_subprocess_run(const struct hs_subprocess *job, int *ret_code, char *ret_output, struct hs_error *err);

#endif
