/* The scripted device: a real backend that makes its answers up. Chosen only by its name, never as a fallback, and its
 * probe says what it is. It needs no model file. docs/sim.md: what it sees in a picture, and how to write a script.
 *
 * Time. A device works on one submission at a time, first come first served, over all models that are loaded on it and
 * all who opened it in this process; how long one takes is scripted. Loads take no part in that.
 *
 * Answers come from the picture, each slot's into memory of its own:
 * - HS_FINDS_POSES: the nine raw heads of yolov8s_pose as a Hailo HEF has them (person.h);
 * - HS_FINDS_FACES: the nine heads of SCRFD (face.h);
 * - HS_FINDS_EMBEDDINGS: 512 numbers (vector.h).
 *
 * struct hs_device_options.script is the path of a YAML file, or NULL. What it says starts when it is first named in
 * this process; closing and opening a device again starts nothing afresh (world.h).
 *
 * Faults, with the calls that are counted for each, from 1 and for each device:
 * - submits: transient (wait gives HS_ETRANSIENT), error (wait gives HS_EDEVICE), queue_full (submit gives HS_EBUSY),
 *   late (ends extra_ms after the first deadline that wait is given), hang (wait times out for ever), lost;
 * - opens and loads together: none (HS_ENODEVICE), busy (HS_EINUSE), mismatch (HS_EVERSION);
 * - loads: bad_model (HS_EMODEL), memory (HS_ENOMEM), load_fail (HS_EDEVICE), load_slow.
 * While a device is lost, each call to open, load, submit and wait gives HS_ELOST, also for what was under way; devices
 * and models from before stay so after it is back. Probing counts as no call. */
#ifndef HS_BACKENDS_SIM_SIM_H
#define HS_BACKENDS_SIM_SIM_H

#include "hs/backend.h"

extern const struct hs_backend hs_backend_sim;

/* Reads a script (NULL: none, which is fine) and says what is wrong with it: HS_EINVAL names file, line and key. */
int hs_sim_check_script(const char *path, struct hs_error *err);

#endif
