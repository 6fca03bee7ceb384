/* A backend module that test_registry.c expects to be refused: built for another interface version,
 * or with another name (MODULE_NAME). */
#include "hs/backend.h"

#ifndef MODULE_ABI
#define MODULE_ABI 4711
#endif
#ifndef MODULE_NAME
#define MODULE_NAME "other_abi"
#endif

__attribute__((visibility("default"))) extern const struct hs_backend hs_backend_entry;

const struct hs_backend hs_backend_entry = { .abi = MODULE_ABI, .name = MODULE_NAME };
