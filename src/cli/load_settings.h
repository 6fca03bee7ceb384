/* From a subcommand's options to effective settings. */
#ifndef HS_CLI_LOAD_SETTINGS_H
#define HS_CLI_LOAD_SETTINGS_H

#include "cli/program.h"
#include "config/load.h"

/* The settings of the program that a call asks for: --config, --models, --device, each --set, and `extra` options
 * (those without an assignment count as not given). Prints errors and warnings on stderr. Returns HS_EXIT_OK,
 * HS_EXIT_FAILURE, or HS_EXIT_USAGE if only the command line was wrong; *ret_settings is untouched on failure. The
 * caller finishes *problems, which is zeroed before, in any case, and frees the settings with hs_settings_destroy. */
int hs_load_settings(const struct hs_invocation *call, const struct hs_config_override *extra, size_t extra_count,
                     struct hs_settings **ret_settings, struct hs_problems *problems);

/* Prints "Error: …" and "Warning: …" lines on stderr; notes are left out. */
void hs_print_problems(const struct hs_problems *problems);

#endif
