/* `selftest`: what this machine has, whether the models run on it, and the remedy for what is missing; as lines or as
 * JSON. */
#ifndef HS_SERVICE_SELFTEST_H
#define HS_SERVICE_SELFTEST_H

#include <jansson.h>
#include <stdbool.h>

#include "config/common.h"

struct hs_selftest {
    bool json, ok;
    json_t *checks; /* array of {name, ok, detail, mend} */
};

/* Adds a check, and prints it unless JSON is wanted. `remedy` is NULL if all is well. */
void hs_selftest_add(struct hs_selftest *test, const char *name, bool ok, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* At the start of a service: if the settings insist on a Hailo that cannot be had, prints the first reason and its
 * remedy on stderr; if there is one and `auto` had to take the processor instead, logs that. Opens no device. */
void hs_selftest_log_hailo(const struct hs_inference_settings *inference);

#endif
