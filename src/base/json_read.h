/* Reads JSON into a jansson tree. A program that has this gives jansson its malloc (json_set_alloc_funcs), so as to see
 * what fails. */
#ifndef HS_BASE_JSON_READ_H
#define HS_BASE_JSON_READ_H

#include <stddef.h>

#include <jansson.h>

#include "hs/status.h"

/* json_loadb with its `flags`, which tells bad text from a lack of memory. HS_EINVAL: *ret_detail (may be NULL) says
 * what is wrong; HS_ENOMEM. The caller frees *ret_value with json_decref. Any thread. */
int hs_json_read(const char *text, size_t len, size_t flags, json_t **ret_value, json_error_t *ret_detail);

#endif
