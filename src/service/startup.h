/* What keeps a service from starting as it was told to, in two lines on stderr whatever the log's level and format:
 *
 *     Error: Address already in use (port 11436)
 *     → Solution: Change port in config or stop conflicting service
 */
#ifndef HS_SERVICE_STARTUP_H
#define HS_SERVICE_STARTUP_H

#include "hs/status.h"

void hs_startup_error(const char *what, const char *solution);

/* Who has a Hailo open, in the log; nothing where nobody can be seen to. */
void hs_startup_log_holders(void);

/* Of a model file; nothing where the name is "". */
void hs_startup_tell_model(const char *file);

/* Of a port; nothing where `err` tells of something else than that another program has it. */
void hs_startup_tell_port(int port, const struct hs_error *err);

#endif
