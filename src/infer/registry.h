/* Where backends come from. Some are built in (`sim`), the others are modules `hs_backend_<name>.so` that are opened
 * at their first use, so that the program starts on machines which lack their runtime. Both kinds are the same
 * struct hs_backend from then on. A module is never closed again: its runtime's threads may outlive its last user.
 *
 * Modules are looked for in this order:
 *   the folder named by the environment variable HS_BACKEND_DIR
 *   <folder of the executable>/backends
 *   <folder of the executable>/src/backends            (a build tree)
 *   <folder of the executable>/../lib/hailo-services/backends
 *
 * All functions may be called from any thread. */
#ifndef HS_INFER_REGISTRY_H
#define HS_INFER_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>

#include "hs/backend.h"
#include "hs/status.h"

enum { HS_REGISTRY_PATH_SIZE = 512 };

/* The backend `hailo` while its module cannot be opened: a table without functions. A runner that has it looks for the
 * module at each attempt to open the device. So a service starts without HailoRT, says what is missing, and goes on
 * once that is installed, or the module built. */
extern const struct hs_backend hs_backend_hailo_absent;

/* One backend on this machine; for `selftest` and `version`. */
struct hs_registry_entry {
    char name[32];
    char path[HS_REGISTRY_PATH_SIZE]; /* of the module; "" for a built-in one */
    bool usable;                      /* its table was found, and `probe` is filled */
    struct hs_backend_probe probe;
    struct hs_error error; /* why it is not usable */
};

/* The backend called `name`; "cpu" is another name for "openvino". The result lives until the process ends.
 * HS_ENOTFOUND: no such module, and the message lists the folders searched. HS_EDEVICE: a module is there but cannot
 * be opened (a library that it needs is missing). HS_EVERSION: it was built for another interface. HS_EINVAL: not a
 * name that a backend can have. */
int hs_registry_find(const char *name, const struct hs_backend **ret_backend, struct hs_error *err);

/* The version of that backend's runtime, "5.1.1", by which models choose their files: as its module says, or if
 * the module cannot be opened, of the only HailoRT that is installed. False: unknown. */
bool hs_registry_runtime(const char *name, char *dst, size_t size);

/* The folder that a module which is built here belongs into: HS_BACKEND_DIR, else the first one of the above that is
 * there, else the last one. */
bool hs_registry_folder(char ret_path[HS_REGISTRY_PATH_SIZE]);

/* Probes every backend: the built-in ones, "openvino", and every module found in the folders above. Fills at most `max`
 * entries and returns how many. Opens modules, so the first call may take a tenth of a second. */
size_t hs_registry_list(struct hs_registry_entry *ret_entries, size_t max);

#endif
