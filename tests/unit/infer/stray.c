/* A backend module of an interface that never was; test_registry.c wants it refused. */
#include "hs/backend.h"

__attribute__((visibility("default"))) extern const struct hs_backend hs_backend_entry;

const struct hs_backend hs_backend_entry = { .abi = 4711, .name = "stray" };
