/* The simulated device: a real backend whose answers are made up. The configuration must name it,
 * it is never a fallback, and its probe reports that it is simulated. It needs no model file.
 * docs/sim.md explains how it finds objects in a picture, and how to write a script.
 *
 * Time. A device runs one submission at a time, first come first served, over all models loaded on
 * it and all users that opened it in this process. The script sets the duration of each run. Loads
 * do not occupy the device.
 *
 * Answers are computed from the picture, and each slot's answer is stored in separate memory:
 * - HS_OUTPUT_POSES: the nine raw heads of yolov8s_pose as in a Hailo HEF (person.h);
 * - HS_OUTPUT_FACES: the nine heads of SCRFD (face.h);
 * - HS_OUTPUT_EMBEDDINGS: 512 numbers (vector.h).
 *
 * struct hs_device_options.script is the path of a YAML file, or NULL. A script starts when it is
 * first named in this process; to close a device and open it again does not start the script again
 * (state.h).
 *
 * Faults, and the calls that each of them counts, from 1 and per device:
 * - submits: transient (wait returns HS_ETRANSIENT), error (wait returns HS_EDEVICE), queue_full
 *   (submit returns HS_EBUSY), late (the run ends extra_ms after the first deadline passed to
 *   wait), hang (wait always times out), lost;
 * - opens and loads together: none (HS_ENODEVICE), busy (HS_EINUSE), mismatch (HS_EVERSION);
 * - loads: bad_model (HS_EMODEL), memory (HS_ENOMEM), load_fail (HS_EDEVICE), load_slow.
 *
 * While a device is lost, each call to open, load, submit and wait returns HS_ELOST, also for runs
 * in flight. Devices and models opened before the loss keep returning it after the device is back.
 * Probes are not counted. */
#ifndef HS_BACKENDS_SIM_SIM_H
#define HS_BACKENDS_SIM_SIM_H

#include "hs/backend.h"

extern const struct hs_backend hs_backend_sim;

/* Checks a script (NULL: none, always valid). HS_EINVAL: the message has file, line and key. */
int hs_sim_check_script(const char *path, struct hs_error *err);

#endif
