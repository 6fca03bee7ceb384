/* `selftest`: checks the hardware of this machine, runs the models on it, and prints a remedy for
 * each failure, as lines or as JSON. */
#ifndef HS_SERVICE_SELFTEST_H
#define HS_SERVICE_SELFTEST_H

#include <jansson.h>
#include <stdbool.h>

#include "config/common.h"

struct hs_selftest {
    bool json, ok, color;
    int64_t failures;
    json_t *checks; /* array of `{name, ok, detail, mend}` */
};

/* Adds a check, and prints it unless JSON is requested. `remedy` is NULL if the check passed. */
void hs_selftest_add(struct hs_selftest *test, const char *name, bool ok, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* For the start of a service. If the settings require a Hailo that is not available, prints the
 * first reason and its remedy on stderr. If a Hailo is present but `auto` had to choose the
 * processor, logs that. Opens no device. */
void hs_selftest_log_hailo(const struct hs_inference_settings *inference);

#endif
