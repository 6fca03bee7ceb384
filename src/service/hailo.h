/* Whether a Hailo can be used here, for `selftest` and for the start of a service: what the machine shows
 * (src/preflight), and what the backend says when it is asked and the device opened. */
#ifndef HS_SERVICE_HAILO_H
#define HS_SERVICE_HAILO_H

#include <stdbool.h>

#include "config/common.h"
#include "models/store.h"
#include "preflight/report.h"
#include "service/selftest.h"

struct hs_hailo_settings {
    const struct hs_inference_settings *inference;
    const struct hs_device_settings *policy;
    const struct hs_model_settings *model;
    const char *service;       /* "hailo-pose": names its folder of models */
    const enum hs_task *tasks; /* whose model files are to be tried on the device */
    size_t task_count;
};

/* Adds the lines about a Hailo: one where there is none and none is insisted on, none at all where the settings name
 * another device. Opens the device for a moment, and loads each model file for it that is installed. */
void hs_hailo_selftest(struct hs_selftest *test, const struct hs_hailo_settings *settings);

/* At the start of a service: where a Hailo is insisted on and cannot be had, the first reason and its remedy on stderr;
 * where one is there and `auto` had to take the processor instead, in the log. Does not open the device. */
void hs_hailo_tell_start(const struct hs_inference_settings *inference);

#endif
