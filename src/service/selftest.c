#include "service/selftest.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "infer/registry.h"
#include "preflight/host.h"
#include "service/app.h"
#include "service/hailo.h"

enum { ENTRIES_MAX = 16, LINE = 512 };

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
    printf("%-4s %-11s %s\n", ok ? "ok" : "FAIL", name, detail);
    if (remedy)
        printf("     %-11s %s\n", "", remedy);
}

static void check_machine(struct hs_selftest *test)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE), cores = sysconf(_SC_NPROCESSORS_ONLN);
    char model[80];
    hs_host_model(hs_host_root(), model, sizeof(model));
    hs_selftest_add(test, "machine", true, NULL, "%s%s%ld cores, %ld MiB of memory", model, model[0] ? ", " : "", cores,
                    (long) ((double) pages * page / 1048576));
}

static void check_backends(struct hs_selftest *test)
{
    struct hs_registry_entry entries[ENTRIES_MAX];
    size_t count = hs_registry_list(entries, ENTRIES_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct hs_registry_entry *e = &entries[i];
        if (e->usable && e->probe.available)
            hs_selftest_add(test, "backend", true, NULL, "%s: %s, %s", e->name, e->probe.device, e->probe.version);
        else
            hs_selftest_add(test, "backend", true, NULL, "%s cannot be used: %s", e->name,
                            e->usable ? e->probe.reason : e->error.message);
    }
}

/* Waits for each model; false: one cannot be loaded. */
static bool check_devices(struct hs_selftest *test, const struct hs_app_core *core)
{
    int64_t start = hs_clock_now_ns();
    hs_app_core_start_loading(core);
    for (size_t i = 0; i < core->cache_count; i++) {
        const struct hs_model_runner *runner = hs_model_pool_first(hs_app_core_pool(core, i));
        struct hs_runner_status status;
        struct hs_error err;
        if (hs_app_core_wait_loaded(core, i, &err) < 0) {
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

/* Without what hs_app.open opens, so that opening does not repair or migrate anything. Takes the settings. */
static void check_models(struct hs_selftest *test, const struct hs_app *app, struct hs_settings *settings)
{
    bool one = app->model_count == 1;
    char names[HS_APP_MODELS_MAX * 256 + 16];
    struct hs_app_core *core;
    void *state;
    struct hs_error err;
    if (hs_app_create(app, settings, false, NULL, &state, &err) < 0) {
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
        app->check_picture(test, core);
    hs_app_destroy(core);
}

static void check_memory(struct hs_selftest *test)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    hs_selftest_add(test, "memory", true, NULL, "%ld MiB at most so far", use.ru_maxrss / 1024);
}

static int print_report(const struct hs_selftest *test)
{
    if (!test->json) {
        puts(test->ok ? "all is well" : "something is wrong; see above");
        return 0;
    }
    struct hs_error err;
    return hs_print_json(json_pack("{s:b, s:O}", "ok", (int) test->ok, "checks", test->checks), HS_JSON_SPACED,
                         &err);
}

int hs_cmd_selftest(struct hs_invocation *call)
{
    static const struct hs_config_override loaded = { "this command", "model.keep_alive", "-1" };
    const struct hs_app *app = call->program->app;
    struct hs_selftest test = { .ok = true };
    const struct hs_option options[] = {
        HS_FLAG("json", &test.json, "print JSON"),
    };
    struct hs_settings *settings;
    int code;
    if (!hs_invocation_parse(call, options, HS_ARRAY_LEN(options), 0, &code))
        return code;
    code = hs_app_load_settings(call, &loaded, 1, &settings);
    if (code != HS_EXIT_OK)
        return code;
    test.checks = json_array();
    check_machine(&test);
    check_backends(&test);
    hs_hailo_selftest(&test, app, settings);
    if (app->check_settings)
        app->check_settings(&test, hs_settings_values(settings));
    check_models(&test, app, settings);
    check_memory(&test);
    int r = print_report(&test);
    json_decref(test.checks);
    return r == 0 && test.ok ? HS_EXIT_OK : HS_EXIT_FAILURE;
}
