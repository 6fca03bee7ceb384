/* Runs other programs, without a shell. */
#ifndef HS_BASE_SUBPROCESS_H
#define HS_BASE_SUBPROCESS_H

#include "hs/status.h"

/* Runs argv (NULL at its end) in the folder `dir` with an empty stdin and all its output in the file `log` (relative to
 * dir), and waits for it. *ret_code is its exit code, 128 if a signal ended it. HS_ENOTFOUND: there is no such program,
 * or it ended with 127, as shells do for that. */
int hs_subprocess_run(const char *const argv[], const char *dir, const char *log, int *ret_code, struct hs_error *err);

#endif
