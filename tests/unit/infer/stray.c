/* A backend module that test_registry.c expects to be refused: built for another interface version,
 * or with another name (STRAY_NAME). */
#include "hs/backend.h"

#ifndef STRAY_ABI
#define STRAY_ABI 4711
#endif
#ifndef STRAY_NAME
#define STRAY_NAME "stray"
#endif

__attribute__((visibility("default"))) extern const struct hs_backend hs_backend_entry;

const struct hs_backend hs_backend_entry = { .abi = STRAY_ABI, .name = STRAY_NAME };
