/* The log of a program, as its settings say. */
#ifndef HS_SERVICE_LOG_INIT_H
#define HS_SERVICE_LOG_INIT_H

#include "cli/program.h"
#include "config/common.h"
#include "config/problems.h"

/* Sets the log up, and HailoRT's, which reads the environment when it is loaded: so this comes before any thread and
 * any look for devices. What the environment has already stays. Notes among the problems are for a server's log; the
 * output of other commands stays free of them. */
void hs_log_init(const struct hs_invocation *call, const struct hs_logging_settings *logging,
                  const struct hs_problems *problems);

#endif
