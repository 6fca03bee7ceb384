#include "service/hailo.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "infer/registry.h"
#include "preflight/report.h"
#include "service/startup.h"

/* The findings, and the device while it is open. */
struct look {
    const struct hs_backend *backend; /* NULL: its module cannot be opened */
    struct hs_host host;
    struct hs_preflight_runtime runtime;
    struct hs_device *device;
    struct hs_device_health health;
};

static bool is_wanted(const char *device)
{
    return strcmp(device, "hailo") == 0;
}

/* Looks at everything that shows without opening the device. */
static void look_around(struct look *look)
{
    struct hs_backend_probe probe;
    memset(look, 0, sizeof(*look));
    hs_host_look(hs_host_root(), &look->host);
    if (hs_registry_find("hailo", &look->backend, &look->runtime.module) < 0)
        return;
    look->backend->probe(NULL, &probe);
    look->runtime.devices = probe.device_count;
    hs_str_copy(look->runtime.device_id, sizeof(look->runtime.device_id), probe.ids[0]);
    if (!hs_registry_runtime("hailo", look->runtime.version, sizeof(look->runtime.version)))
        look->runtime.version[0] = '\0';
}

static void open_device(struct look *look, const struct hs_app_sections *sections)
{
    const struct hs_device_options options = {
        .device_id = hs_given(sections->inference->device_id),
        .group = sections->device->group,
    };
    if (!look->backend || (look->runtime.devices == 0 && look->host.node_count == 0))
        return;
    look->runtime.opened = look->backend->open(&options, &look->device, &look->runtime.open) == 0;
    if (!look->runtime.opened || !look->backend->health ||
        look->backend->health(look->device, &look->health, NULL) < 0)
        return;
    hs_str_copy(look->runtime.firmware, sizeof(look->runtime.firmware), look->health.firmware);
}

static void add_report(struct hs_selftest *test, const struct look *look, bool wanted)
{
    struct hs_preflight_report report;
    hs_preflight_tell(&look->host, &look->runtime, wanted, &report);
    for (size_t i = 0; i < report.count; i++) {
        const struct hs_preflight_line *line = &report.lines[i];
        hs_selftest_add(test, line->name, line->ok, line->mend[0] ? line->mend : NULL, "%s", line->detail);
    }
}

/* ---- Model files ---- */

static void try_file(struct hs_selftest *test, const struct look *look, const struct hs_pack *pack,
                     const struct hs_pack_file *file, const char *path)
{
    struct hs_model_spec spec;
    struct hs_model *model;
    struct hs_error err;
    char remedy[200];
    hs_pack_spec(pack, path, &spec);
    if (look->backend->load(look->device, &spec, &model, &err) < 0) {
        hs_str_format(remedy, sizeof(remedy), "models pull %s%s", pack->name,
                      err.code == HS_EMODEL ? " --force" : "; see the message");
        hs_selftest_add(test, "hef", false, remedy, "%s: %s", file->name, err.message);
        return;
    }
    hs_selftest_add(test, "hef", true, NULL, "%s (%s) fits this device and HailoRT %s", file->name, pack->name,
                    look->runtime.version);
    look->backend->unload(model);
}

/* A file for another version of HailoRT is not used, so it counts as ok. */
static void check_file(struct hs_selftest *test, const struct look *look, const struct hs_store *store,
                       const struct hs_pack *pack, const struct hs_pack_file *file)
{
    const struct hs_model_choice choice = { .pack = pack, .file = file };
    const char *version = look->runtime.version[0] ? look->runtime.version : NULL;
    struct hs_error err;
    char *path, place[PATH_MAX];
    if (strcmp(file->backend, "hailo") != 0 || !hs_store_path(store, file->name, place, sizeof(place)) ||
        !hs_file_exists(place))
        return;
    if (!hs_pack_file_fits(file, "hailo", version)) {
        hs_selftest_add(test, "hef", true, NULL, "%s is for HailoRT %s and not used here", file->name, file->runtime);
    } else if (hs_store_verified_path(store, &choice, &path, &err) < 0) {
        hs_selftest_add(test, "hef", false, "pull it again: models pull --force", "%s", err.message);
    } else {
        try_file(test, look, pack, file, path);
        free(path);
    }
}

static void check_files(struct hs_selftest *test, const struct look *look, const struct hs_app *app,
                        const struct hs_model_settings *model)
{
    struct hs_store *store;
    struct hs_error err;
    if (hs_app_open_store(app, model, &store, &err) < 0) {
        hs_selftest_add(test, "hef", false, "see the message", "%s", err.message);
        return;
    }
    for (size_t i = 0; i < hs_store_count(store); i++) {
        const struct hs_pack *pack = hs_store_pack(store, i);
        for (size_t k = 0; hs_app_serves(app, pack) && k < pack->file_count; k++)
            check_file(test, look, store, pack, &pack->files[k]);
    }
    hs_store_close(store);
}

/* ---- */

void hs_hailo_selftest(struct hs_selftest *test, const struct hs_app *app, const struct hs_settings *settings)
{
    const struct hs_app_sections sections = hs_app_sections(app, settings);
    const char *device = sections.inference->device;
    struct look look;
    if (!is_wanted(device) && strcmp(device, "auto") != 0)
        return;
    look_around(&look);
    open_device(&look, &sections);
    add_report(test, &look, is_wanted(device));
    if (!look.runtime.opened)
        return;
    check_files(test, &look, app, sections.model);
    if (look.health.has_temperature)
        hs_selftest_add(test, "temperature", true, NULL, "%.1f degrees Celsius", (double) look.health.temperature_c);
    else
        hs_selftest_add(test, "temperature", true, NULL, "not reported: %s", look.health.note);
    look.backend->close(look.device);
}

void hs_hailo_log_start(const struct hs_inference_settings *inference)
{
    struct look look;
    struct hs_preflight_report report;
    bool wanted = is_wanted(inference->device);
    if (!wanted && strcmp(inference->device, "auto") != 0)
        return;
    look_around(&look);
    /* A device that HailoRT finds reports its own errors when it is opened. */
    if (look.runtime.devices > 0)
        return;
    hs_preflight_tell(&look.host, &look.runtime, wanted, &report);
    const struct hs_preflight_line *failure = hs_preflight_failure(&report);
    if (failure && wanted)
        hs_startup_error(failure->detail, failure->mend);
    else if (failure)
        hs_log_warning("there is a Hailo, but it cannot be used, and the processor does the work: %s; %s",
                       failure->detail, failure->mend);
}
