/* Builds the Hailo backend's module on the machine that has HailoRT: its library runs only programs that were built
 * against its very version. */
#ifndef HS_CLI_BACKEND_BUILD_H
#define HS_CLI_BACKEND_BUILD_H

#include "hs/status.h"

struct hs_backend_build {
    const char *sdk;    /* a folder with include/ and lib/ of HailoRT; NULL: where compiler and loader look */
    const char *output; /* folder for the module; NULL: where the programs look for modules */
};

enum { HS_BACKEND_BUILD_PATH = 1024 };

struct hs_backend_built {
    char module[HS_BACKEND_BUILD_PATH], library[HS_BACKEND_BUILD_PATH];
    const char *compiler;
    char version[64]; /* of the runtime, as the module tells: "HailoRT 5.1.1" */
};

/* Compiles in a folder of its own, opens the new module to see that it works, and only then puts it in the place of an
 * older one. Messages say what is missing, and how to get it; what a compiler said is printed on stderr. HS_ENOTFOUND:
 * sources, compiler, headers or library; HS_EIO: a folder cannot be written; HS_EDEVICE, HS_EVERSION: it was built but
 * cannot be opened. */
int hs_backend_build(const struct hs_backend_build *options, struct hs_backend_built *ret_built, struct hs_error *err);

#endif
