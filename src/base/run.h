/* Another program, run and waited for. No shell is involved. */
#ifndef HS_BASE_RUN_H
#define HS_BASE_RUN_H

#include "hs/status.h"

/* Runs argv, whose last one is NULL, in the folder `dir` with nothing on its stdin and all its output in the file
 * `log` (relative to dir). *ret_code is its exit code, 128 where a signal ended it. HS_ENOTFOUND: there is no such
 * program, or it ended with 127, as shells do for that. */
int hs_run(const char *const argv[], const char *dir, const char *log, int *ret_code, struct hs_error *err);

#endif
