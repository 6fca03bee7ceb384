/* `selftest`: what this machine has, whether the models run on it, and the remedy for what is missing; as lines or as
 * JSON. */
#ifndef HS_SERVICE_SELFTEST_H
#define HS_SERVICE_SELFTEST_H

#include <jansson.h>
#include <stdbool.h>

#include "cli/program.h"

struct hs_selftest {
    bool json, ok;
    json_t *checks; /* array of {name, ok, detail, mend} */
};

/* Adds a check, and prints it unless JSON is wanted. `remedy` is NULL if all is well. */
void hs_selftest_add(struct hs_selftest *test, const char *name, bool ok, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Reads the options, checks machine, backends, models and a picture, and prints. Returns the exit code: failure if a
 * check failed. */
int hs_cmd_selftest(struct hs_invocation *call);

#endif
