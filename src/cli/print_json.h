/* A report as JSON on standard output. */
#ifndef HS_CLI_PRINT_JSON_H
#define HS_CLI_PRINT_JSON_H

#include <jansson.h>

#include "hs/status.h"

/* Prints it on one line; takes the reference. NULL means that there was no memory for it. */
int hs_print_json(json_t *report, struct hs_error *err);

#endif
