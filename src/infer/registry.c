#include "infer/registry.h"

#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/sim/sim.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "preflight/host.h"

enum { FOLDERS = 4, LOADED_MAX = 16, NAME_SIZE = 32 };

#define MODULE_PREFIX "hs_backend_"
#define MODULE_SUFFIX ".so"
#define INSTALLED "../lib/hailo-services/backends"

const struct hs_backend hs_backend_hailo_absent = {
    .abi = HS_BACKEND_ABI,
    .name = "hailo",
    .device = "hailo",
    .traits = HS_BACKEND_FIXED_SIZE,
    .default_slots = 4,
};

static const struct hs_backend *const built_in[] = { &hs_backend_sim };

/* Modules opened so far. */
static struct {
    pthread_mutex_t lock; /* guards the rest; held while a module is opened, so that modules open one at a time */
    size_t count;
    struct {
        char path[HS_REGISTRY_PATH_SIZE];
        const struct hs_backend *backend;
    } modules[LOADED_MAX];
} registry = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct folders {
    char paths[FOLDERS][HS_REGISTRY_PATH_SIZE];
    size_t count;
};

static void find_folders(struct folders *folders)
{
    static const char *const of_program[] = { "backends", "src/backends", INSTALLED };
    const char *named = getenv("HS_BACKEND_DIR");
    folders->count = 0;
    if (named && named[0] && hs_str_copy(folders->paths[0], HS_REGISTRY_PATH_SIZE, named))
        folders->count++;
    for (size_t i = 0; i < HS_ARRAY_LEN(of_program); i++)
        folders->count += hs_path_of_program(folders->paths[folders->count], HS_REGISTRY_PATH_SIZE, of_program[i]);
}

/* Allows lower-case letters, digits, '-' and '_', which are safe in a file name. */
static bool is_name(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_");
    return len > 0 && len < NAME_SIZE && name[len] == '\0';
}

static const struct hs_backend *find_built_in(const char *name)
{
    for (size_t i = 0; i < HS_ARRAY_LEN(built_in); i++)
        if (strcmp(built_in[i]->name, name) == 0)
            return built_in[i];
    return NULL;
}

static int check_table(const struct hs_backend *backend, const char *name, const char *path, struct hs_error *err)
{
    if (!backend)
        return hs_error_set(err, HS_EVERSION, "%s is not a backend: missing symbol " HS_BACKEND_SYMBOL, path);
    if (backend->abi != HS_BACKEND_ABI)
        return hs_error_set(err, HS_EVERSION,
                            "%s was built for backend interface %u, this program has %d; build both "
                            "from the same source",
                            path, backend->abi, HS_BACKEND_ABI);
    if (!backend->name || strcmp(backend->name, name) != 0)
        return hs_error_set(err, HS_EVERSION, "%s has the unexpected name '%s'", path,
                            backend->name ? backend->name : "");
    return 0;
}

/* HailoRT reads these variables while it is loaded. Without them it writes a log file into the
 * current folder, and several lines per failure to stderr. Keeps variables that are already set. */
static void silence_runtimes(void)
{
    setenv("HAILORT_LOGGER_PATH", "NONE", 0);
    setenv("HAILORT_CONSOLE_LOGGER_LEVEL", "critical", 0);
}

/* Replaces the dynamic loader's message, which names a library, by advice. Returns false if the
 * failure has another cause. */
static bool explain_openvino(const char *name, const char *path, const char *why, char *dst, size_t size)
{
    char dir[HS_REGISTRY_PATH_SIZE], installed[HS_REGISTRY_PATH_SIZE];
    if (strcmp(name, "openvino") != 0 || !strstr(why, "cannot open shared object file"))
        return false;
    if (hs_path_parent(dir, sizeof(dir), path) && hs_path_of_program(installed, sizeof(installed), INSTALLED) &&
        strcmp(dir, installed) == 0 && hs_path_of_program(dir, sizeof(dir), "../lib/hailo-services/openvino"))
        return hs_str_format(
            dst, size, "OpenVINO is not installed with this program (looked in %s). Run `make install` again", dir);
    return hs_str_format(dst, size, "OpenVINO was removed (%s). Run `make` again", why);
}

static int open_module(const char *name, const char *path, const struct hs_backend **ret_backend, struct hs_error *err)
{
    for (size_t i = 0; i < registry.count; i++)
        if (strcmp(registry.modules[i].path, path) == 0) {
            *ret_backend = registry.modules[i].backend;
            return 0;
        }
    if (registry.count == LOADED_MAX)
        return hs_error_set(err, HS_EDEVICE, "too many open backends (at most %d)", LOADED_MAX);
    silence_runtimes();
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle) {
        const char *why = dlerror();
        char explained[HS_ERROR_MESSAGE_SIZE];
        if (why && explain_openvino(name, path, why, explained, sizeof(explained)))
            return hs_error_set(err, HS_EDEVICE, "%s", explained);
        if (why && hs_host_explain_library(hs_host_root(), why, explained, sizeof(explained)))
            return hs_error_set(err, HS_EDEVICE, "cannot open the backend '%s': %s", name, explained);
        return hs_error_set(err, HS_EDEVICE, "cannot open the backend '%s'" HS_DETAIL "%s", name, why ? why : path);
    }
    const struct hs_backend *backend = dlsym(handle, HS_BACKEND_SYMBOL);
    int r = check_table(backend, name, path, err);
    if (r != 0) {
        dlclose(handle);
        return r;
    }
    hs_str_copy(registry.modules[registry.count].path, HS_REGISTRY_PATH_SIZE, path);
    registry.modules[registry.count++].backend = backend;
    *ret_backend = backend;
    return 0;
}

/* Opens the module in the first folder that has it. If that one is broken, fails and does not
 * search further. */
static int find_module(const char *name, char path[HS_REGISTRY_PATH_SIZE], const struct hs_backend **ret_backend,
                       struct hs_error *err)
{
    struct folders folders;
    char file[sizeof(MODULE_PREFIX MODULE_SUFFIX) + NAME_SIZE];
    struct hs_buf tried;
    find_folders(&folders);
    hs_str_format(file, sizeof(file), MODULE_PREFIX "%s" MODULE_SUFFIX, name);
    hs_buf_init(&tried, HS_ERROR_MESSAGE_SIZE);
    for (size_t i = 0; i < folders.count; i++) {
        if (hs_path_join(path, HS_REGISTRY_PATH_SIZE, folders.paths[i], file) && hs_file_exists(path)) {
            hs_buf_finish(&tried);
            return open_module(name, path, ret_backend, err);
        }
        hs_buf_printf(&tried, "%s%s", i ? ", " : "", folders.paths[i]);
    }
    path[0] = '\0';
    const char *list = hs_buf_str(&tried);
    hs_error_set(err, HS_ENOTFOUND, "backend '%s' not found: no %s in %s", name, file, list ? list : "any folder");
    hs_buf_finish(&tried);
    return HS_ENOTFOUND;
}

int hs_registry_find(const char *name, const struct hs_backend **ret_backend, struct hs_error *err)
{
    char path[HS_REGISTRY_PATH_SIZE], shown[2 * NAME_SIZE];
    if (!is_name(name)) {
        hs_str_quote(shown, sizeof(shown), name, strlen(name));
        return hs_error_set(err, HS_EINVAL, "%s is not a valid backend name", shown);
    }
    if (strcmp(name, "cpu") == 0)
        name = "openvino";
    const struct hs_backend *backend = find_built_in(name);
    if (backend) {
        *ret_backend = backend;
        return 0;
    }
    pthread_mutex_lock(&registry.lock);
    int r = find_module(name, path, ret_backend, err);
    pthread_mutex_unlock(&registry.lock);
    return r;
}

bool hs_registry_folder(char ret_path[HS_REGISTRY_PATH_SIZE])
{
    struct folders folders;
    const char *named = getenv("HS_BACKEND_DIR");
    find_folders(&folders);
    for (size_t i = 0; i < folders.count; i++)
        if (hs_file_exists(folders.paths[i]) || (named && strcmp(named, folders.paths[i]) == 0))
            return hs_str_copy(ret_path, HS_REGISTRY_PATH_SIZE, folders.paths[i]);
    return folders.count > 0 && hs_str_copy(ret_path, HS_REGISTRY_PATH_SIZE, folders.paths[folders.count - 1]);
}

/* "HailoRT 5.1.1" -> "5.1.1". */
static const char *version_number(const char *version)
{
    const char *space = strrchr(version, ' ');
    const char *number = space ? space + 1 : version;
    return number[0] >= '0' && number[0] <= '9' ? number : NULL;
}

bool hs_registry_runtime(const char *name, char *dst, size_t size)
{
    const struct hs_backend *backend;
    struct hs_backend_probe probe;
    struct hs_host host;
    if (hs_registry_find(name, &backend, NULL) == 0) {
        backend->probe(NULL, &probe);
        const char *number = version_number(probe.version);
        return number && hs_str_copy(dst, size, number);
    }
    if (strcmp(name, "hailo") != 0)
        return false;
    hs_host_find_libraries(hs_host_root(), &host);
    return host.library_count == 1 && hs_str_copy(dst, size, host.libraries[0].version);
}

static void add_entry(const char *name, struct hs_registry_entry *entries, size_t max, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(entries[i].name, name) == 0)
            return;
    if (*count == max)
        return;
    struct hs_registry_entry *entry = &entries[(*count)++];
    const struct hs_backend *backend = find_built_in(name);
    memset(entry, 0, sizeof(*entry));
    hs_str_copy(entry->name, sizeof(entry->name), name);
    if (!backend) {
        pthread_mutex_lock(&registry.lock);
        find_module(name, entry->path, &backend, &entry->error);
        pthread_mutex_unlock(&registry.lock);
    }
    entry->usable = backend != NULL;
    if (backend)
        backend->probe(NULL, &entry->probe);
}

/* "hs_backend_hailo.so" -> "hailo"; false for other files. */
static bool module_name(const char *file, char name[NAME_SIZE])
{
    if (!hs_str_starts(file, MODULE_PREFIX) || !hs_str_ends(file, MODULE_SUFFIX))
        return false;
    size_t around = sizeof(MODULE_PREFIX MODULE_SUFFIX) - 1, len = strlen(file);
    return len > around && hs_str_copy_n(name, NAME_SIZE, file + sizeof(MODULE_PREFIX) - 1, len - around) &&
           is_name(name);
}

static void add_folder_entries(const char *folder, struct hs_registry_entry *entries, size_t max, size_t *count)
{
    char name[NAME_SIZE];
    DIR *dir = opendir(folder);
    if (!dir)
        return;
    for (struct dirent *file = readdir(dir); file; file = readdir(dir))
        if (module_name(file->d_name, name))
            add_entry(name, entries, max, count);
    closedir(dir);
}

size_t hs_registry_list(struct hs_registry_entry *ret_entries, size_t max)
{
    struct folders folders;
    size_t count = 0;
    add_entry("openvino", ret_entries, max, &count);
    find_folders(&folders);
    for (size_t i = 0; i < folders.count; i++)
        add_folder_entries(folders.paths[i], ret_entries, max, &count);
    for (size_t i = 0; i < HS_ARRAY_LEN(built_in); i++)
        add_entry(built_in[i]->name, ret_entries, max, &count);
    return count;
}
