#include "service/selftest.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/terminal.h"
#include "infer/registry.h"
#include "preflight/report.h"
#include "service/app.h"
#include "service/keys.h"
#include "service/model_runner.h"
#include "service/server_main.h"
#include "service/test_image.h"

enum { ENTRIES_MAX = 16, LINE = 512, PICTURE_MAX = 16 << 20 };

void hs_selftest_add(struct hs_selftest *test, const char *name, bool ok, const char *remedy, const char *format, ...)
{
    char detail[LINE];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    if (!ok)
        test->ok = false;
    json_array_append_new(test->checks, json_pack("{s:s, s:b, s:s, s:s?}", "name", name, "ok", (int) ok, "detail",
                                                  detail, "mend", remedy));
    if (test->json)
        return;
    test->failures += !ok;
    printf("%s%-4s%s %-11s %s\n", test->color ? (ok ? HS_TERMINAL_GREEN : HS_TERMINAL_RED) : "", ok ? "ok" : "FAIL",
           test->color ? HS_TERMINAL_NORMAL : "", name, detail);
    if (remedy)
        printf("     %-11s %s\n", "", remedy);
}

static void check_machine(struct hs_selftest *test)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE), cores = sysconf(_SC_NPROCESSORS_ONLN);
    char model[80], count[HS_COUNT_SIZE];
    hs_host_model(hs_host_root(), model, sizeof(model));
    hs_selftest_add(test, "machine", true, NULL, "%s%s%s, %ld MiB of memory", model, model[0] ? ", " : "",
                    hs_str_count(count, cores, "core", "cores"), (long) ((double) pages * page / 1048576));
}

/* A module that is present but does not work is a fault. A missing module is a fault only if no
 * other one replaces it: a machine with a Hailo needs no OpenVINO, and a machine without one needs
 * no Hailo module. */
static bool is_fault(const struct hs_registry_entry *e, const char *device)
{
    return strcmp(e->name, "openvino") == 0 &&
           (e->path[0] || strcmp(hs_model_runner_backend_name(device), "openvino") == 0);
}

static void check_backends(struct hs_selftest *test, const char *device)
{
    struct hs_registry_entry entries[ENTRIES_MAX];
    size_t count = hs_registry_list(entries, ENTRIES_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct hs_registry_entry *e = &entries[i];
        const char *reason = e->usable ? e->probe.reason : e->error.message;
        if (e->usable && e->probe.available)
            hs_selftest_add(test, "backend", true, NULL, "%s: %s, %s", e->name, e->probe.device, e->probe.version);
        else if (is_fault(e, device))
            hs_selftest_add(test, "backend", false, e->path[0] ? NULL : "run `make install` again", "%s: %s", e->name,
                            reason);
        else
            hs_selftest_add(test, "backend", true, NULL, "%s is not used: %s", e->name, reason);
    }
}

/* ---- Hailo ---- */

/* The findings about a Hailo, and the device while it is open. */
struct hailo {
    const struct hs_backend *backend; /* NULL: the module cannot be opened */
    struct hs_host host;
    struct hs_preflight_runtime runtime;
    struct hs_device *device;
    struct hs_device_health health;
};

static bool is_wanted(const char *device)
{
    return strcmp(device, "hailo") == 0;
}

/* Collects everything that can be found without opening the device. */
static void inspect_hailo(struct hailo *hailo)
{
    struct hs_backend_probe probe;
    memset(hailo, 0, sizeof(*hailo));
    hs_host_inspect(hs_host_root(), &hailo->host);
    if (hs_registry_find("hailo", &hailo->backend, &hailo->runtime.module) < 0)
        return;
    hailo->backend->probe(NULL, &probe);
    hailo->runtime.devices = probe.device_count;
    hs_str_copy(hailo->runtime.device_id, sizeof(hailo->runtime.device_id), probe.ids[0]);
    if (!hs_registry_runtime("hailo", hailo->runtime.version, sizeof(hailo->runtime.version)))
        hailo->runtime.version[0] = '\0';
}

static void open_device(struct hailo *hailo, const struct hs_common_settings *settings)
{
    const struct hs_device_options options = {
        .device_id = hs_null_if_empty(settings->inference.device_id),
        .group = settings->device.group,
    };
    if (!hailo->backend || (hailo->runtime.devices == 0 && hailo->host.node_count == 0))
        return;
    hailo->runtime.opened = hailo->backend->open(&options, &hailo->device, &hailo->runtime.open) == 0;
    if (!hailo->runtime.opened || !hailo->backend->health ||
        hailo->backend->health(hailo->device, &hailo->health, NULL) < 0)
        return;
    hs_str_copy(hailo->runtime.firmware, sizeof(hailo->runtime.firmware), hailo->health.firmware);
}

static void add_report(struct hs_selftest *test, const struct hailo *hailo, bool wanted)
{
    struct hs_preflight_report report;
    hs_preflight_check(&hailo->host, &hailo->runtime, wanted, &report);
    for (size_t i = 0; i < report.count; i++) {
        const struct hs_preflight_line *line = &report.lines[i];
        hs_selftest_add(test, line->name, line->ok, line->fix[0] ? line->fix : NULL, "%s", line->detail);
    }
}

static void try_file(struct hs_selftest *test, const struct hailo *hailo, const struct hs_pack *pack,
                     const struct hs_pack_file *file, const char *path)
{
    struct hs_model_spec spec;
    struct hs_model *model;
    struct hs_error err;
    char remedy[200];
    hs_pack_spec(pack, path, &spec);
    if (hailo->backend->load(hailo->device, &spec, &model, &err) < 0) {
        hs_str_format(remedy, sizeof(remedy), "models pull %s --backend hailo%s", pack->name,
                      err.code == HS_EMODEL ? " --force" : "; see the message");
        hs_selftest_add(test, "hef", false, remedy, "%s: %s", file->name, err.message);
        return;
    }
    hs_selftest_add(test, "hef", true, NULL, "%s (%s) fits this device and HailoRT %s", file->name, pack->name,
                    hailo->runtime.version);
    hailo->backend->unload(model);
}

/* Reports a file for another version of HailoRT as ok, because it is not used. */
static void check_file(struct hs_selftest *test, const struct hailo *hailo, const struct hs_store *store,
                       const struct hs_pack *pack, const struct hs_pack_file *file)
{
    const struct hs_model_choice choice = { .pack = pack, .file = file };
    const char *version = hailo->runtime.version[0] ? hailo->runtime.version : NULL;
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
        try_file(test, hailo, pack, file, path);
        free(path);
    }
}

static void check_files(struct hs_selftest *test, const struct hailo *hailo, const struct hs_app *app,
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
            check_file(test, hailo, store, pack, &pack->files[k]);
    }
    hs_store_close(store);
}

/* Adds one line if the machine lacks a Hailo and the settings do not require one, and none if they
 * name another device. Opens the device briefly, and loads each installed model file for it. */
static void check_hailo(struct hs_selftest *test, const struct hs_app *app, const struct hs_settings *settings)
{
    const struct hs_common_settings *common = hs_app_common(settings);
    const char *device = common->inference.device;
    struct hailo hailo;
    if (!is_wanted(device) && strcmp(device, "auto") != 0)
        return;
    inspect_hailo(&hailo);
    open_device(&hailo, common);
    add_report(test, &hailo, is_wanted(device));
    if (!hailo.runtime.opened)
        return;
    check_files(test, &hailo, app, &common->model);
    if (hailo.health.has_temperature)
        hs_selftest_add(test, "temperature", true, NULL, "%.1f degrees Celsius", (double) hailo.health.temperature_c);
    else
        hs_selftest_add(test, "temperature", true, NULL, "not reported: %s", hailo.health.note);
    hailo.backend->close(hailo.device);
}

void hs_selftest_log_hailo(const struct hs_inference_settings *inference)
{
    struct hailo hailo;
    struct hs_preflight_report report;
    bool wanted = is_wanted(inference->device);
    if (!wanted && strcmp(inference->device, "auto") != 0)
        return;
    inspect_hailo(&hailo);
    /* If HailoRT finds a device, errors are reported when it is opened. */
    if (hailo.runtime.devices > 0)
        return;
    hs_preflight_check(&hailo.host, &hailo.runtime, wanted, &report);
    const struct hs_preflight_line *failure = hs_preflight_failure(&report);
    if (failure && wanted)
        hs_startup_error(failure->detail, failure->fix);
    else if (failure)
        hs_log_warning("there is a Hailo, but it cannot be used, and the processor does the work: %s; %s",
                       failure->detail, failure->fix);
}

/* ---- models ---- */

/* Waits for each model. Returns false if one cannot be loaded. */
static bool check_devices(struct hs_selftest *test, const struct hs_app_core *core)
{
    int64_t start = hs_clock_now_ns();
    hs_app_core_start_loading(core);
    for (size_t i = 0; i < core->cache_count; i++) {
        const struct hs_model_runner *runner = hs_model_pool_first(hs_app_core_pool(core, i));
        struct hs_runner_status status;
        struct hs_model_pool_status pool_status;
        struct hs_error err;
        hs_model_pool_get_status(hs_app_core_pool(core, i), &pool_status);
        if (pool_status.replaced_reason)
            hs_selftest_add(test, "device", false,
                            "follow the message, or choose the processor with --set inference.device=cpu",
                            "the processor runs %s, not the Hailo: %s", runner->model, pool_status.replaced_reason);
        if (hs_model_pool_wait_loaded(hs_app_core_pool(core, i), HS_NO_DEADLINE, &err) < 0) {
            hs_selftest_add(test, "device", false,
                            "choose another with --set inference.device=…, or fix the cause that the message names",
                            "%s: %s", runner->model, err.message);
            return false;
        }
        hs_runner_get_status(runner->runner, &status);
        hs_selftest_add(test, "device", true, NULL, "%s: %s, %s; %s ready after %.2f s", status.backend, status.device,
                        status.version, runner->model, hs_ns_to_ms(hs_clock_now_ns() - start) / 1000);
    }
    return true;
}

static void check_picture(struct hs_selftest *test, const struct hs_app_core *core)
{
    struct hs_buf picture;
    struct hs_error err;
    hs_buf_init(&picture, PICTURE_MAX);
    if (hs_test_image_encode(&picture, &err) < 0 || core->app->check_picture(test, core, &picture, &err) < 0)
        hs_selftest_add(test, "picture", false, "see the message, and the log of the device's driver", "%s",
                        err.message);
    hs_buf_finish(&picture);
}

/* Does not call hs_app.open, so that nothing is repaired or migrated. Takes the settings. */
static void check_models(struct hs_selftest *test, const struct hs_app *app, struct hs_settings *settings)
{
    bool one = app->model_count == 1;
    char names[HS_APP_MODELS_MAX * 256 + 16];
    struct hs_app_core *core;
    void *state;
    struct hs_error err;
    if (hs_app_create(app, settings, 0, NULL, &state, &err) < 0) {
        hs_selftest_add(test, "models", false,
                        one ? "'models pull' brings the default model, 'models list' shows all of them"
                            : "'models pull' brings the default models, 'models list' shows all of them",
                        "%s", err.message);
        return;
    }
    core = state;
    hs_app_core_names(core, names, sizeof(names));
    hs_selftest_add(test, "models", true, NULL, "%s in %s, hash%s verified", names, hs_store_dir(core->store),
                    one ? "" : "es");
    if (check_devices(test, core))
        check_picture(test, core);
    hs_app_destroy(core);
}

static void check_memory(struct hs_selftest *test)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    hs_selftest_add(test, "memory", true, NULL, "at most %ld MiB used", use.ru_maxrss / 1024);
}

static int print_report(const struct hs_selftest *test)
{
    if (!test->json) {
        char failed[HS_COUNT_SIZE];
        printf("%s%s\n", test->ok ? "All checks passed" : hs_str_count(failed, test->failures, "check", "checks"),
               test->ok ? "" : " failed");
        return 0;
    }
    struct hs_error err;
    return hs_print_json(json_pack("{s:b, s:O}", "ok", (int) test->ok, "checks", test->checks), HS_JSON_SPACED, &err);
}

static int run(struct hs_invocation *call)
{
    static const struct hs_config_override loaded = { "this command", "model.keep_alive", "-1" };
    const struct hs_app *app = call->program->app;
    struct hs_selftest test = { .ok = true };
    const struct hs_option options[] = {
        HS_FLAG("json", &test.json, "print JSON"),
    };
    struct hs_settings *settings;
    int code;
    if (!hs_invocation_read(call, options, HS_ARRAY_LEN(options), &code))
        return code;
    code = hs_app_load_settings(call, &loaded, 1, &settings);
    if (code != HS_EXIT_OK)
        return code;
    test.checks = json_array();
    test.color = call->color;
    check_machine(&test);
    check_backends(&test, hs_app_common(settings)->inference.device);
    check_hailo(&test, app, settings);
    hs_keys_check(&test, hs_app_common(settings));
    if (app->check_settings)
        app->check_settings(&test, hs_settings_values(settings));
    check_models(&test, app, settings);
    check_memory(&test);
    int r = print_report(&test);
    json_decref(test.checks);
    return r == 0 && test.ok ? HS_EXIT_OK : HS_EXIT_FAILURE;
}

static const struct hs_example examples[] = {
    { "selftest --models .deps/models", "Check everything that the service needs" },
    { "selftest --models .deps/models --json", "The same for a script" },
};

const struct hs_command hs_command_selftest = {
    .name = "selftest",
    .arguments = "",
    .summary = "Check this machine, its devices and the models",
    .run = run,
    HS_EXAMPLES(examples),
};
