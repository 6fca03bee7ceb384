/* `config render OUTPUT [NAME=VALUE…]`: the configuration with changes, as YAML. */
#ifndef HS_CLI_CONFIG_WRITE_H
#define HS_CLI_CONFIG_WRITE_H

#include "cli/program.h"
#include "config/setting.h"

/* Takes the file that --config names, else the standard one, else the built-in defaults; applies --set and then
 * `changes` ("a.b=value"), which make what is missing; checks it as the service would, and writes it to `output`, whose
 * folder is made. Members keep their order. Gives the exit code. */
int hs_config_write(struct hs_invocation *call, const struct hs_schema *schema, const char *output,
                    const char *const *changes, size_t count);

#endif
