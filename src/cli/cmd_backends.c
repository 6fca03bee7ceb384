#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/paths.h"
#include "cli/program.h"
#include "infer/registry.h"
#include "preflight/host.h"

enum { ENTRIES_MAX = 16 };

static const char *reason_of(const struct hs_registry_entry *entry)
{
    return !entry->usable ? entry->error.message : entry->probe.available ? "" : entry->probe.reason;
}

struct backends {
    const struct hs_invocation *call;
    bool json;
    const char *sdk;    /* a folder with include/ and lib/ of HailoRT; NULL: the default paths of compiler and loader */
    const char *output; /* folder for the module; NULL: the folder from which the programs load modules */
    char program[PATH_MAX], script[PATH_MAX], library[PATH_MAX];
};

static int list_json(const struct backends *backends, const struct hs_registry_entry *entries, size_t count)
{
    struct hs_error err;
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct hs_registry_entry *e = &entries[i];
        json_array_append_new(array, json_pack("{s:s, s:b, s:s, s:s, s:s, s:s}", "name", e->name, "available",
                                               e->usable && e->probe.available, "file", e->path, "version",
                                               e->probe.version, "device", e->probe.device, "reason", reason_of(e)));
    }
    if (hs_print_json(json_pack("{s:o}", "backends", array), HS_JSON_SPACED, &err) < 0)
        return hs_invocation_fail(backends->call, HS_EXIT_FAILURE, "%s", err.message);
    return HS_EXIT_OK;
}

static int do_list(void *arg)
{
    const struct backends *backends = arg;
    struct hs_registry_entry entries[ENTRIES_MAX];
    size_t count = hs_registry_list(entries, ENTRIES_MAX);
    if (backends->json)
        return list_json(backends, entries, count);
    printf("%-10s %-9s %s\n", "BACKEND", "USABLE", "DEVICE OR REASON");
    for (size_t i = 0; i < count; i++) {
        const struct hs_registry_entry *e = &entries[i];
        bool available = e->usable && e->probe.available;
        printf("%-10s %-9s %s%s%s\n", e->name, available ? "yes" : "no", available ? e->probe.version : reason_of(e),
               available ? ", " : "", available ? e->probe.device : "");
        if (backends->call->verbose)
            printf("%-20s %s\n", "", e->path[0] ? e->path : "(built in)");
    }
    return HS_EXIT_OK;
}

/* ---- build ---- */

/* Finds the script that builds the module: in the source tree of a build folder, or installed with the program. */
static int find_script(struct backends *build, struct hs_error *err)
{
    static const char *const places[] = { "source/src/backends/hailo/build.sh",
                                          "../share/hailo-services/backend-hailo/src/backends/hailo/build.sh" };
    ssize_t len = readlink("/proc/self/exe", build->program, sizeof(build->program) - 1);
    build->program[len > 0 ? len : 0] = '\0';
    for (size_t i = 0; i < HS_ARRAY_LEN(places); i++)
        if (hs_path_of_program(build->script, sizeof(build->script), places[i]) && hs_file_exists(build->script))
            return 0;
    return hs_error_set(err, HS_ENOTFOUND, "the backend's sources are not installed (%s); install the program again",
                        build->script);
}

/* Finds HailoRT's library. Prefers the file name without a version, which belongs to the installed headers. */
static int find_library(struct backends *build, struct hs_error *err)
{
    struct hs_host host = { .library_count = 0 };
    char folder[PATH_MAX] = "";
    if (build->sdk && hs_path_join(folder, sizeof(folder), build->sdk, "lib"))
        hs_host_find_libraries_in("", folder, &host);
    else if (!build->sdk)
        hs_host_find_libraries("", &host);
    for (size_t i = 0; i < host.library_count; i++)
        if (hs_path_join(build->library, PATH_MAX, host.libraries[i].folder, "libhailort.so") &&
            hs_file_exists(build->library))
            return 0;
    if (host.library_count > 0 && hs_str_format(build->library, PATH_MAX, "%s/libhailort.so.%s",
                                                host.libraries[0].folder, host.libraries[0].version))
        return 0;
    return hs_error_set(err, HS_ENOTFOUND,
                        "HailoRT's library (libhailort.so) is not %s%s: sudo apt install "
                        "hailo-h10-all, or name HailoRT's folder with --sdk DIR (it holds include/ and lib/)",
                        build->sdk ? "in " : "installed", folder);
}

static int do_build(void *arg)
{
    struct backends *build = arg;
    struct hs_error err;
    char sdk[PATH_MAX], folder[HS_REGISTRY_PATH_SIZE];
    int r = 0;
    if (build->sdk && !realpath(build->sdk, sdk))
        r = hs_error_set(&err, HS_ENOTFOUND, "--sdk: %s: %s", build->sdk, strerror(errno));
    build->sdk = build->sdk ? sdk : NULL;
    if (r == 0)
        r = find_script(build, &err);
    if (r == 0)
        r = find_library(build, &err);
    if (r == 0 && !build->output && !hs_registry_folder(folder))
        r = hs_error_set(&err, HS_EINVAL, "the path of the modules is too long");
    if (r == 0) {
        const char *argv[] = { "sh",
                               build->script,
                               build->program,
                               build->output ? build->output : folder,
                               build->library,
                               build->sdk ? build->sdk : "",
                               HS_SHIM_SOURCES,
                               NULL };
        /* The script replaces this process and prints its own result. */
        fflush(NULL);
        execv("/bin/sh", (char *const *) argv);
        hs_error_set(&err, HS_EIO, "cannot run /bin/sh: %s", strerror(errno));
    }
    return hs_invocation_fail(build->call, HS_EXIT_FAILURE, "%s", err.message);
}

static int run(struct hs_invocation *call)
{
    struct backends backends = { .call = call };
    const struct hs_option options[] = {
        HS_FLAG_OF("list", "json", &backends.json, "print JSON"),
        HS_TEXT_OF("build", "sdk", &backends.sdk, "DIR",
                   "HailoRT's folder, with include/ and lib/ (default: where compiler and loader look)"),
        HS_TEXT_OF("build", "output", &backends.output, "DIR",
                   "folder for the module (default: where the program looks for it)"),
    };
    int code;
    return hs_invocation_read(call, options, HS_ARRAY_LEN(options), &code) ? call->action->run(&backends) : code;
}

static const struct hs_action actions[] = {
    { "list", "", "List the backends and the devices that they find", do_list },
    { "build", "", "Build the module for a Hailo on a machine with HailoRT", do_build },
};
static const struct hs_example examples[] = {
    { "backends list", "Show if OpenVINO and a Hailo can be used" },
    { "backends build", "Build the module for a Hailo, once on each machine" },
};

const struct hs_command hs_command_backends = {
    .name = "backends",
    .summary = "Show what runs the models; build the module for a Hailo",
    .run = run,
    HS_ACTIONS(actions),
    HS_EXAMPLES(examples),
};
