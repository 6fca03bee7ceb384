/* OpenVINO's status codes and messages as ours. */
#ifndef HS_BACKENDS_OPENVINO_STATUS_H
#define HS_BACKENDS_OPENVINO_STATUS_H

#include <openvino/c/openvino.h>

#include "hs/status.h"

/* 0 for OK. Else fills *err with `doing` and what OpenVINO says about it, as one line, and returns `code`. Call it
 * right after the function that failed: the message belongs to the newest failure. */
int hs_openvino_check(ov_status_e status, int code, struct hs_error *err, const char *doing);

#endif
