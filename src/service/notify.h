/* Messages to the service manager, as sd_notify(3) specifies them: one datagram of "NAME=value" lines to the socket
 * that NOTIFY_SOCKET names. All functions do nothing if the process was not started by such a manager. */
#ifndef HS_SERVICE_NOTIFY_H
#define HS_SERVICE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. Call it once, before threads start. */
void hs_notify_init(void);

/* Returns true if a service manager listens. */
bool hs_notify_wanted(void);

/* Sends lines, separated by line feeds: "READY=1\nSTATUS=ready". A failure is ignored, because the service can serve
 * without its manager. Any thread. */
void hs_notify(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Returns the time within which the manager must receive WATCHDOG=1; 0: it has no watchdog for this process. */
int64_t hs_notify_watchdog_ns(void);

/* Between these calls, a thread extends the manager's timeout for the start, for at most half an hour: a first start
 * may migrate a large gallery. If that thread cannot start, the configured timeout holds. Main thread. */
void hs_notify_begin_start(void);
void hs_notify_end_start(void);

#endif
