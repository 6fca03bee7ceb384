/* Whether a Hailo can be used here, for `selftest` and for the start of a service: what the machine shows
 * (src/preflight), what the backend finds, and whether the device opens. */
#ifndef HS_SERVICE_HAILO_H
#define HS_SERVICE_HAILO_H

#include "service/app.h"

/* Adds the lines about a Hailo: one if there is none and the settings do not insist on it, none if they name another
 * device. Opens the device for a moment, and loads each model file for it that is installed. */
void hs_hailo_selftest(struct hs_selftest *test, const struct hs_app *app, const struct hs_settings *settings);

/* At the start of a service: if the settings insist on a Hailo that cannot be had, prints the first reason and its
 * remedy on stderr; if there is one and `auto` had to take the processor instead, logs that. Opens no device. */
void hs_hailo_log_start(const struct hs_inference_settings *inference);

#endif
