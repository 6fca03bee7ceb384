/* Reads JSON into a jansson tree. Linking this module replaces jansson's allocator (json_set_alloc_funcs) to detect
 * failed allocations. */
#ifndef HS_BASE_JSON_READ_H
#define HS_BASE_JSON_READ_H

#include <stddef.h>

#include <jansson.h>

#include "hs/status.h"

/* Calls json_loadb with `flags` and distinguishes invalid text from a failed allocation. HS_EINVAL: *ret_detail (may be
 * NULL) describes the error; HS_ENOMEM. Caller frees *ret_value with json_decref. Any thread. */
int hs_json_read(const char *text, size_t len, size_t flags, json_t **ret_value, json_error_t *ret_detail);

#endif
