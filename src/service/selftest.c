#include "service/selftest.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/print_json.h"
#include "infer/registry.h"
#include "preflight/host.h"

enum { ENTRIES_MAX = 16, LINE = 512 };

void hs_selftest_add(struct hs_selftest *test, const char *name, bool ok, const char *mend, const char *format, ...)
{
    char detail[LINE];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    if (!ok)
        test->ok = false;
    json_array_append_new(
        test->checks, json_pack("{s:s, s:b, s:s, s:s?}", "name", name, "ok", (int) ok, "detail", detail, "mend", mend));
    if (test->json)
        return;
    printf("%-4s %-11s %s\n", ok ? "ok" : "FAIL", name, detail);
    if (mend)
        printf("     %-11s %s\n", "", mend);
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

void hs_selftest_add_device(struct hs_selftest *test, struct hs_runner *engine, const char *what, double seconds)
{
    struct hs_runner_status status;
    hs_runner_get_status(engine, &status);
    hs_selftest_add(test, "device", true, NULL, "%s: %s, %s; %s ready after %.2f s", status.backend, status.device,
                    status.version, what, seconds);
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
    return hs_print_json(json_pack("{s:b, s:O}", "ok", (int) test->ok, "checks", test->checks), &err);
}

int hs_selftest_command_run(struct hs_invocation *call, const struct hs_selftest_command *command)
{
    struct hs_selftest test = { .ok = true };
    const struct hs_option options[] = {
        { .name = "json", .kind = HS_OPTION_FLAG, .target = &test.json, .help = "print JSON" },
    };
    struct hs_text_list none = { 0 };
    int code;
    if (!hs_invocation_parse(call, options, HS_ARRAY_LEN(options), &none, 0, &code))
        return code;
    struct hs_settings *settings;
    code = command->load(call, &settings);
    if (code != HS_EXIT_OK)
        return code;
    test.checks = json_array();
    check_machine(&test);
    check_backends(&test);
    command->check(&test, settings);
    check_memory(&test);
    int r = print_report(&test);
    json_decref(test.checks);
    return r == 0 && test.ok ? HS_EXIT_OK : HS_EXIT_FAILURE;
}
