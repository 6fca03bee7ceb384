/* The scripted device: a real backend that computes nothing. Chosen only by its name, never as a fallback, and its
 * probe says what it is. It needs no model file.
 *
 * By default it answers as a Hailo HEF of yolov8s_pose does: nine raw heads, NHWC, uint8 boxes and scores, uint16
 * keypoints, with one person standing in the middle of the picture.
 *
 * struct hs_device_options.script is a list of words, separated by space or `;` ("@FILE" reads them from a file):
 *   latency_ms=20       how long a picture takes (default 20)
 *   load_ms=0           how long a load takes
 *   slots=2             at most so many slots a model
 *   absent              there is no such device: open fails with HS_ENOTREADY
 *   fail=open|load|submit|wait    that call always fails, with HS_EDEVICE
 *   fail_at=3           only the third run fails (in wait, with HS_EDEVICE); counted from 1 over the whole device
 *   hang                no run ever ends: wait times out until the device is closed
 *   hang_at=3           only the third run hangs
 *   output=NAME:TYPE:LAYOUT:HxWxC:SCALE:ZERO:FILL     in place of the nine heads; may be repeated. TYPE is u8 i8 u16
 *                       f32, LAYOUT is nhwc nchw rows, FILL is the stored value of every element */
#ifndef HS_BACKENDS_SIM_SIM_H
#define HS_BACKENDS_SIM_SIM_H

#include "hs/backend.h"

extern const struct hs_backend hs_backend_sim;

#endif
