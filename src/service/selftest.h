/* What every service's `selftest` does: checks with what would mend them, as lines or as JSON. */
#ifndef HS_SERVICE_SELFTEST_H
#define HS_SERVICE_SELFTEST_H

#include <jansson.h>
#include <stdbool.h>

#include "cli/program.h"
#include "config/settings.h"
#include "infer/runner.h"

struct hs_selftest {
    bool json, ok;
    json_t *checks; /* array of {name, ok, detail, mend} */
};

/* Adds a check, and prints it unless JSON is wanted. `mend` is what would help; NULL where all is well. */
void hs_selftest_add(struct hs_selftest *test, const char *name, bool ok, const char *mend, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Loads nothing that is not loaded: says what the engine runs on, and `what` is ready after so long. */
void hs_selftest_add_device(struct hs_selftest *test, struct hs_runner *engine, const char *what, double seconds);

/* What a program adds. */
struct hs_selftest_command {
    /* hs_load_settings for this program, without overrides. */
    int (*load)(const struct hs_invocation *call, struct hs_settings **ret_settings);
    void (*check)(struct hs_selftest *test, struct hs_settings *settings); /* takes the settings */
};

/* Reads the options, checks machine, backends and what the program adds, and prints. Gives the exit code: failure where
 * a check failed. */
int hs_selftest_command_run(struct hs_invocation *call, const struct hs_selftest_command *command);

#endif
