/* Maps HailoRT's status codes to ours: the class, which decides the recovery, and one sentence for
 * people. The codes are given as numbers, which are the same in HailoRT 5.1.1 to 5.2.0, so none of
 * its headers is needed. */
#ifndef HS_BACKENDS_HAILO_STATUS_H
#define HS_BACKENDS_HAILO_STATUS_H

#include "hs/status.h"

/* The step that failed. Some codes mean something else in one step. */
enum hs_hailo_step { HS_HAILO_OPEN, HS_HAILO_LOAD, HS_HAILO_RUN, HS_HAILO_HEALTH };

/* Status codes that decide the next action of the shim. */
enum { HS_HAILO_SUCCESS = 0, HS_HAILO_CLOSED = 62, HS_HAILO_ABORTED = 63 };

/* Returns 0 for success, else the HS_E… of a status. Fills *err with the sentence, the number and
 * `name`, HailoRT's name for the status (NULL: none). */
int hs_hailo_fail(int status, enum hs_hailo_step step, const char *name, struct hs_error *err);

#endif
