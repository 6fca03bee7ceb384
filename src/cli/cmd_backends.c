#include "cli/cmd_backends.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/backend_build.h"
#include "cli/print_json.h"
#include "infer/registry.h"

enum { ENTRIES_MAX = 16 };

static const char *reason_of(const struct hs_registry_entry *entry)
{
    return !entry->usable ? entry->error.message : entry->probe.available ? "" : entry->probe.reason;
}

static int list_json(const struct hs_invocation *call, const struct hs_registry_entry *entries, size_t count)
{
    struct hs_error err;
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct hs_registry_entry *e = &entries[i];
        json_array_append_new(list, json_pack("{s:s, s:b, s:s, s:s, s:s, s:s}", "name", e->name, "available",
                                              e->usable && e->probe.available, "file", e->path, "version",
                                              e->probe.version, "device", e->probe.device, "reason", reason_of(e)));
    }
    if (hs_print_json(json_pack("{s:o}", "backends", list), &err) == 0)
        return HS_EXIT_OK;
    return hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
}

static int list(const struct hs_invocation *call, bool json)
{
    struct hs_registry_entry entries[ENTRIES_MAX];
    size_t count = hs_registry_list(entries, ENTRIES_MAX);
    if (json)
        return list_json(call, entries, count);
    for (size_t i = 0; i < count; i++) {
        const struct hs_registry_entry *e = &entries[i];
        bool available = e->usable && e->probe.available;
        printf("%-10s %-3s %s%s%s\n", e->name, available ? "yes" : "no",
               available ? e->probe.version : reason_of(e), available ? ", " : "", available ? e->probe.device : "");
        printf("%-14s %s\n", "", e->path[0] ? e->path : "(built in)");
    }
    return HS_EXIT_OK;
}

static int build(const struct hs_invocation *call, const struct hs_backend_build *options)
{
    struct hs_backend_built built;
    struct hs_error err;
    if (hs_backend_build(options, &built, &err) < 0)
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
    printf("%s: built by %s against %s, opens, and runs with %s\n", built.module, built.compiler, built.library,
           built.version);
    return HS_EXIT_OK;
}

int hs_cmd_backends(struct hs_invocation *call)
{
    struct hs_backend_build wanted = { .sdk = NULL };
    bool json = false;
    const struct hs_option options[] = {
        { .name = "json", .kind = HS_OPTION_FLAG, .target = &json, .help = "list: as JSON" },
        { .name = "sdk", .kind = HS_OPTION_TEXT, .target = &wanted.sdk, .value = "DIR",
          .help = "build: HailoRT's folder, with include/ and lib/; else where compiler and loader look" },
        { .name = "output", .kind = HS_OPTION_TEXT, .target = &wanted.output, .value = "DIR",
          .help = "build: folder for the module; else where the program looks for it" },
    };
    struct hs_text_list words = { 0 };
    int code;
    if (hs_invocation_parse(call, options, HS_ARRAY_LEN(options), &words, 1, &code)) {
        const char *action = words.count ? words.items[0] : "";
        if (strcmp(action, "list") == 0)
            code = list(call, json);
        else if (strcmp(action, "build") == 0)
            code = build(call, &wanted);
        else
            code = hs_invocation_fail(call, HS_EXIT_USAGE, "%s%s: list or build?",
                                      words.count ? "no such action: " : "which", action);
    }
    hs_text_list_finish(&words);
    return code;
}
