/* Finds and opens backends. Some are built in (`sim`), the others are modules
 * `hs_backend_<name>.so`, opened at their first use, so that the program starts on machines without
 * their runtime. Callers use both kinds as a struct hs_backend. A module is never closed, because
 * threads of its runtime may outlive its last user.
 *
 * A module is searched for in these folders, in this order:
 *   the folder named by the environment variable HS_BACKEND_DIR
 *   <folder of the executable>/backends
 *   <folder of the executable>/src/backends            (a build tree)
 *   <folder of the executable>/../lib/hailo-services/backends
 *
 * Any thread may call these functions. */
#ifndef HS_INFER_REGISTRY_H
#define HS_INFER_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>

#include "hs/backend.h"
#include "hs/status.h"

enum { HS_REGISTRY_PATH_SIZE = 512 };

/* Stands for the backend `hailo` while its module cannot be opened: a table without functions. A
 * runner that has it searches for the module again at each attempt to open the device. So a service
 * starts without HailoRT, reports what is missing, and works once HailoRT is installed or the
 * module is built. */
extern const struct hs_backend hs_backend_hailo_absent;

/* A backend on this machine, for `selftest` and `version`. */
struct hs_registry_entry {
    char name[32];
    char path[HS_REGISTRY_PATH_SIZE]; /* path of the module; "" if built in */
    bool usable;                      /* the backend was found, and `probe` is filled */
    struct hs_backend_probe probe;
    struct hs_error error; /* if not usable: the reason */
};

/* Finds the backend called `name` ("cpu" is another name for "openvino") and opens its module if
 * necessary. The result is valid until the process ends. HS_ENOTFOUND: the module does not exist;
 * the message lists the folders searched. HS_EDEVICE: the module exists but cannot be opened (for
 * example because a library is missing). HS_EVERSION: it was built for another interface version.
 * HS_EINVAL: `name` is not a valid backend name. */
int hs_registry_find(const char *name, const struct hs_backend **ret_backend, struct hs_error *err);

/* Copies the version of a backend's runtime, for example "5.1.1", which selects the files of
 * models. The module reports it; if the module of `hailo` cannot be opened, it is the version of
 * the only installed HailoRT. Returns false if the version is unknown or does not fit into `size`
 * bytes. */
bool hs_registry_runtime(const char *name, char *dst, size_t size);

/* Copies the folder into which a module built on this machine is installed: HS_BACKEND_DIR, else
 * the first of the folders above that exists, else the last one. */
bool hs_registry_folder(char ret_path[HS_REGISTRY_PATH_SIZE]);

/* Probes every backend: "openvino", the modules found in the folders above, and the built-in ones.
 * Fills at most `max` entries and returns their number. Opens modules, so the first call may take a
 * tenth of a second. */
size_t hs_registry_list(struct hs_registry_entry *ret_entries, size_t max);

#endif
