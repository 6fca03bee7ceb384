/* Runs other programs, without a shell. */
#ifndef HS_BASE_SUBPROCESS_H
#define HS_BASE_SUBPROCESS_H

#include <stdint.h>

#include "base/cancel.h"
#include "hs/status.h"

enum { HS_SUBPROCESS_OUTPUT_SIZE = 64 << 10 };

struct hs_subprocess {
    const char *const *argv;  /* NULL at its end */
    const char *dir;          /* its current folder */
    int64_t deadline_ns;      /* HS_NO_DEADLINE allowed */
    struct hs_cancel *cancel; /* NULL: cannot be cancelled */
};

/* Runs the program with an empty stdin and waits for it. It starts with the default signal handling, no signal blocked,
 * no descriptors but 0 to 2, and in a process group of its own, which is killed when this function returns; it is also
 * killed if the calling thread ends. `ret_output` (HS_SUBPROCESS_OUTPUT_SIZE bytes) gets the end of stdout and stderr
 * together, with a NUL byte, also on HS_ETIMEOUT and HS_ECANCELED. *ret_code is the exit code, 128 if a signal ended
 * it. HS_ENOTFOUND: there is no such program, or it ended with 127, as shells do for that; HS_ETIMEOUT; HS_ECANCELED;
 * HS_ENOMEM; HS_EIO. Does not copy the process (vfork): memory that a device reads or writes stays in place. Any
 * thread. */
int hs_subprocess_run(const struct hs_subprocess *job, int *ret_code, char *ret_output, struct hs_error *err);

#endif
