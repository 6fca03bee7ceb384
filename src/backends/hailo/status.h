/* HailoRT's status codes as ours: the class that says what mends it, and one sentence for people. It knows the codes as
 * numbers, which HailoRT has kept from 5.1.1 to 5.2.0, and needs none of its headers. */
#ifndef HS_BACKENDS_HAILO_STATUS_H
#define HS_BACKENDS_HAILO_STATUS_H

#include "hs/status.h"

/* What was being done; some codes mean another thing then. */
enum hs_hailo_step { HS_HAILO_OPEN, HS_HAILO_LOAD, HS_HAILO_RUN, HS_HAILO_HEALTH };

/* Numbers that decide what the shim does next. */
enum {
    HS_HAILO_SUCCESS = 0,
    HS_HAILO_TIMEOUT = 4,
    HS_HAILO_CLOSED = 62,
    HS_HAILO_ABORTED = 63,
    HS_HAILO_NONE_FREE = 74,
};

/* 0 for success. Else the HS_E… of a code; fills *err with the sentence, the number and `name`, HailoRT's own word for
 * it (NULL: it has none). */
int hs_hailo_fail(int status, enum hs_hailo_step step, const char *name, struct hs_error *err);

#endif
