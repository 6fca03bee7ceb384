/* Metrics of the process by the names that Prometheus' client libraries use, and its memory limit. */
#ifndef HS_SERVICE_PROCESS_METRICS_H
#define HS_SERVICE_PROCESS_METRICS_H

#include "base/metrics.h"

/* Returns the start of the process in seconds since 1970. The first call reads the clock; later ones
 * return the same value. Any thread. */
double hs_process_start_s(void);

/* Reads some small files in /proc and /sys, which never wait for a disk. */
void hs_process_put_metrics(struct hs_metrics_writer *writer);

/* Returns the memory limit of the process's control group in bytes; 0 if there is none or it is
 * unknown. `root` is "" or, for tests, a folder with other /proc and /sys. */
double hs_process_memory_limit(const char *root);

#endif
