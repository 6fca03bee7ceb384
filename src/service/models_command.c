/* `models`: lists, pulls, verifies, imports and removes model files. */
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiled_cache.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/progress.h"
#include "models/fetch.h"
#include "models/import.h"
#include "service/app.h"

/* The command line and values derived from the settings; shared by all actions. */
struct command {
    struct hs_invocation *call;
    const struct hs_app *app;
    struct hs_settings *settings;
    const char *here;         /* the backend of this machine: "hailo" or "openvino" */
    const char *here_runtime; /* version of the backend's runtime, "5.1.1"; NULL: unknown */
    bool standby;             /* the processor may be its fallback, so `pull` fetches the processor's file too */
    struct hs_store *store;
    char cache[PATH_MAX];      /* folder of compiled models; "": its path is too long */
    struct hs_text_list names; /* arguments after the action */
    struct hs_progress progress;
    bool json, force;
    const char *mirror, *backend, *runtime;
    const char *name, *title, *licence, *normalize;
    double threshold;
    int64_t keypoints, dims, classes, input, timeout;
};

static int fail(const struct command *cmd, const struct hs_error *err)
{
    return hs_invocation_fail(cmd->call, HS_EXIT_FAILURE, "%s", err->message);
}

static const struct hs_pack *find_pack(const struct command *cmd, const char *name)
{
    const struct hs_pack *pack = hs_store_find(cmd->store, name);
    if (!pack)
        hs_invocation_fail(cmd->call, HS_EXIT_FAILURE, "there is no model %s; `models list` shows them", name);
    return pack;
}

/* ---- list ---- */

/* Returns true for the model that `auto` selects on this machine; the table marks it. */
static bool is_default(const struct command *cmd, const struct hs_pack *pack, const struct hs_pack_file *file)
{
    struct hs_model_choice choice;
    return hs_store_choose(cmd->store, pack->task, NULL, cmd->here, cmd->here_runtime, &choice, NULL) == 0 &&
           choice.pack == pack && choice.file == file;
}

static uint64_t compiled_bytes(const struct command *cmd, const struct hs_pack_file *file)
{
    struct hs_compiled_sum sum;
    hs_compiled_sum(cmd->cache, file->name, false, &sum);
    return sum.bytes;
}

static json_t *file_json(const struct command *cmd, const struct hs_pack *pack, const struct hs_pack_file *file)
{
    json_t *size = file->size ? json_integer((json_int_t) file->size) : NULL;
    uint64_t compiled = compiled_bytes(cmd, file);
    return json_pack("{s:s, s:s*, s:s, s:o*, s:s*, s:b, s:b, s:s, s:o*}", "backend", file->backend, "runtime",
                     file->runtime, "file", file->name, "size", size, "sha256", file->sha256, "installed",
                     hs_store_has(cmd->store, file), "default", is_default(cmd, pack, file), "decode",
                     hs_decode_name(file->decode), "compiled_bytes",
                     compiled ? json_integer((json_int_t) compiled) : NULL);
}

static json_t *pack_json(const struct command *cmd, const struct hs_pack *pack)
{
    const struct hs_pack_embedding *e = &pack->embedding;
    json_t *files = json_array(), *embedding = NULL;
    for (size_t i = 0; files && i < pack->file_count; i++)
        json_array_append_new(files, file_json(cmd, pack, &pack->files[i]));
    if (e->space)
        embedding = json_pack("{s:s, s:i, s:f, s:f}", "space", e->space, "dimension", e->dimension, "threshold",
                              hs_json_float(e->threshold), "threshold_min", hs_json_float(e->threshold_min));
    return json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:o*, s:b, s:o}", "name", pack->name, "task",
                     hs_task_name(pack->task), "title", pack->title, "licence", pack->licence_name, "width",
                     pack->input.width, "height", pack->input.height, "classes", (int) pack->class_count, "keypoints",
                     (int) pack->keypoint_count, "embedding", embedding, "imported", pack->imported, "files", files);
}

static int list_json(const struct command *cmd)
{
    json_t *models = json_array();
    for (size_t i = 0; i < hs_store_count(cmd->store); i++)
        if (hs_app_serves(cmd->app, hs_store_pack(cmd->store, i)))
            json_array_append_new(models, pack_json(cmd, hs_store_pack(cmd->store, i)));
    json_t *root =
        json_pack("{s:s, s:s, s:o}", "folder", hs_store_dir(cmd->store), "backend", cmd->here, "models", models);
    struct hs_error err;
    if (hs_print_json(root, HS_JSON_FILE, &err) < 0)
        return hs_invocation_fail(cmd->call, HS_EXIT_FAILURE, "%s", err.message);
    return HS_EXIT_OK;
}

static void list_row(const struct command *cmd, const struct hs_pack *pack, const struct hs_pack_file *file)
{
    char size[32] = "", backend[40], compiled[32] = "";
    uint64_t bytes = compiled_bytes(cmd, file);
    const char *state = hs_store_has(cmd->store, file) ? "installed" : file->source_count ? "-" : "missing";
    if (file->size)
        hs_progress_size(file->size, size);
    if (bytes)
        hs_progress_size(bytes, compiled);
    hs_str_format(backend, sizeof(backend), "%s%s%s", file->backend, file->runtime ? " " : "",
                  file->runtime ? file->runtime : "");
    printf("%-24s %c %-10s %-10s %9s  %-14s %s%s%s%s%s\n", pack->name, is_default(cmd, pack, file) ? '*' : ' ', backend,
           state, size, pack->licence_name, pack->title, pack->imported ? " (imported)" : "",
           bytes ? " (compiled: " : "", compiled, bytes ? ")" : "");
}

static int do_list(struct command *cmd)
{
    if (cmd->names.count)
        return hs_invocation_usage_of(cmd->call, "list [--json]");
    if (cmd->json)
        return list_json(cmd);
    printf("%-24s   %-10s %-10s %9s  %-14s %s\n", "MODEL", "FOR", "STATE", "SIZE", "LICENCE", "WHAT");
    for (size_t i = 0; i < hs_store_count(cmd->store); i++) {
        const struct hs_pack *pack = hs_store_pack(cmd->store, i);
        for (size_t k = 0; hs_app_serves(cmd->app, pack) && k < pack->file_count; k++)
            list_row(cmd, pack, &pack->files[k]);
    }
    printf("\n* what `auto` means on this machine. Folder: %s\n", hs_store_dir(cmd->store));
    return HS_EXIT_OK;
}

/* ---- pull ---- */

static void say(void *arg, const char *line)
{
    hs_progress_clear(arg);
    fprintf(stderr, "  %s\n", line);
}

static int pull_one(struct command *cmd, const struct hs_model_choice *choice)
{
    const struct hs_pack *pack = choice->pack;
    const char *mirror = hs_app_common(cmd->settings)->model.mirror, *url = pack->licence_url;
    const struct hs_fetch_options options = {
        .mirror = cmd->mirror ? cmd->mirror : hs_given(mirror),
        .force = cmd->force,
        .stall_s = (int) cmd->timeout,
        .progress = hs_progress_show,
        .say = say,
        .arg = &cmd->progress,
    };
    struct hs_fetch_result result;
    struct hs_error err;
    char size[32];
    printf("%s: %s, for %s\n  licence: %s%s%s%s\n", pack->name, pack->title, choice->file->backend, pack->licence_name,
           url ? " <" : "", url ? url : "", url ? ">" : "");
    if (pack->licence_note)
        printf("  %s\n", pack->licence_note);
    fflush(stdout);
    int r = hs_fetch_file(cmd->store, choice, &options, &result, &err);
    hs_progress_clear(&cmd->progress);
    if (r < 0)
        return fail(cmd, &err);
    hs_progress_size(result.size, size);
    printf("  %s, %s, SHA-256 %s: %s\n", choice->file->name, size, result.sha256,
           result.already ? "already here" : "installed");
    printf("  in %s\n", hs_store_dir(cmd->store));
    if (result.recorded)
        printf("  %s: this one was recorded and every later use is compared with it\n",
               result.source_verified ? "made from a verified checkpoint" : "nobody publishes a checksum of this file");
    return HS_EXIT_OK;
}

/* Chooses the file to pull for a model (NULL: the task's default): for --backend, or else for this
 * machine's device, or else for the processor. Prints an error on failure. */
static bool choose(struct command *cmd, enum hs_task task, const char *name, struct hs_model_choice *ret)
{
    const char *backend = cmd->backend ? cmd->backend : cmd->here;
    bool own = strcmp(backend, cmd->here) == 0;
    const char *runtime = cmd->runtime ? cmd->runtime : own ? cmd->here_runtime : NULL;
    struct hs_error err;
    if (!name) {
        if (hs_store_choose_default(cmd->store, task, backend, runtime, ret, &err) == 0)
            return true;
        fail(cmd, &err);
        return false;
    }
    ret->pack = find_pack(cmd, name);
    if (!ret->pack)
        return false;
    ret->file = hs_pack_find_file(ret->pack, backend, runtime);
    if (!ret->file && !cmd->backend)
        ret->file = hs_pack_find_file(ret->pack, "openvino", NULL);
    if (!ret->file)
        hs_invocation_fail(cmd->call, HS_EXIT_FAILURE, "%s has no file for %s%s%s", ret->pack->name, backend,
                           runtime ? " " : "", runtime ? runtime : "");
    return ret->file;
}

/* Pulls the file, and the one for the fallback on the processor: the pack's own, or else that of
 * the task's default. */
static int pull(struct command *cmd, enum hs_task task, const char *name)
{
    struct hs_model_choice choice, standby;
    struct hs_error err;
    if (!choose(cmd, task, name, &choice))
        return HS_EXIT_FAILURE;
    int code = pull_one(cmd, &choice);
    if (!cmd->standby || cmd->backend || strcmp(choice.file->backend, "openvino") == 0)
        return code;
    standby = (struct hs_model_choice) { choice.pack, hs_pack_find_file(choice.pack, "openvino", NULL) };
    if (!standby.file && hs_store_choose_default(cmd->store, choice.pack->task, "openvino", NULL, &standby, &err) < 0)
        return fail(cmd, &err);
    return pull_one(cmd, &standby) == HS_EXIT_OK ? code : HS_EXIT_FAILURE;
}

/* Pulls the named models; without names, for each task the configured model, or else the default. */
static int do_pull(struct command *cmd)
{
    int code = HS_EXIT_OK;
    for (size_t i = 0; i < cmd->names.count; i++)
        if (pull(cmd, 0, cmd->names.items[i]) != HS_EXIT_OK)
            code = HS_EXIT_FAILURE;
    for (size_t i = 0; cmd->names.count == 0 && i < cmd->app->model_count; i++) {
        const struct hs_app_model *model = &cmd->app->models[i];
        const char *name = hs_app_pack(cmd->settings, model);
        if (pull(cmd, model->task, strcmp(name, "auto") == 0 ? NULL : name) != HS_EXIT_OK)
            code = HS_EXIT_FAILURE;
    }
    return code;
}

/* ---- verify ---- */

static int verify_file(const struct command *cmd, const struct hs_pack_file *file, bool named, size_t *count)
{
    static const char *const words[] = { "missing", "ok", "WRONG", "UNKNOWN (not pulled: nothing to compare with)" };
    enum hs_file_state state;
    char hex[65], size[32];
    struct hs_compiled_sum sum;
    struct hs_error err;
    if (hs_store_check(cmd->store, file, &state, hex, &err) < 0)
        return fail(cmd, &err);
    if (state == HS_FILE_MISSING && !named)
        return HS_EXIT_OK;
    printf("%s: %s%s%s\n", file->name, words[state], hex[0] ? " " : "", hex);
    *count += 1;
    hs_compiled_sum(cmd->cache, file->name, true, &sum);
    if (sum.entries) {
        hs_progress_size(sum.bytes, size);
        printf("%s: compiled: %s (%d, %s)\n", file->name,
               sum.damaged ? "DAMAGED, compiled again when it is used" : "ok", sum.entries, size);
    }
    if (sum.damaged)
        return HS_EXIT_FAILURE;
    return state == HS_FILE_VERIFIED || state == HS_FILE_MISSING ? HS_EXIT_OK : HS_EXIT_FAILURE;
}

static int verify_pack(const struct command *cmd, const struct hs_pack *pack, bool named, size_t *count)
{
    int code = HS_EXIT_OK;
    bool any = false;
    for (size_t i = 0; i < pack->file_count; i++) {
        any |= hs_store_has(cmd->store, &pack->files[i]);
        if (verify_file(cmd, &pack->files[i], named, count) != HS_EXIT_OK)
            code = HS_EXIT_FAILURE;
    }
    return named && !any ? HS_EXIT_FAILURE : code;
}

static int do_verify(struct command *cmd)
{
    bool named = cmd->names.count > 0;
    int code = HS_EXIT_OK;
    size_t count = 0, packs = named ? cmd->names.count : hs_store_count(cmd->store);
    for (size_t i = 0; i < packs; i++) {
        const struct hs_pack *pack = named ? find_pack(cmd, cmd->names.items[i]) : hs_store_pack(cmd->store, i);
        if (!pack || verify_pack(cmd, pack, named, &count) != HS_EXIT_OK)
            code = HS_EXIT_FAILURE;
    }
    if (count == 0 && code == HS_EXIT_OK)
        printf("no model files in %s\n", hs_store_dir(cmd->store));
    return code;
}

/* ---- import, remove ---- */

/* Returns the number of bytes deleted. */
static uint64_t remove_compiled(const struct command *cmd, const struct hs_pack *pack)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < pack->file_count; i++)
        bytes += hs_compiled_remove(cmd->cache, pack->files[i].name);
    return bytes;
}

static int do_import(struct command *cmd)
{
    if (cmd->names.count != 1 || !cmd->name)
        return hs_invocation_usage_of(cmd->call, "import FILE --name NAME");
    enum hs_task tasks[HS_APP_MODELS_MAX];
    for (size_t i = 0; i < cmd->app->model_count; i++)
        tasks[i] = cmd->app->models[i].task;
    const struct hs_import_options options = {
        .file = cmd->names.items[0],
        .name = cmd->name,
        .title = cmd->title,
        .licence = cmd->licence,
        .keypoints = (int) cmd->keypoints,
        .dims = (int) cmd->dims,
        .classes = (int) cmd->classes,
        .input = (int) cmd->input,
        .force = cmd->force,
        .normalize = cmd->normalize,
        .threshold = cmd->threshold,
        .tasks = tasks,
        .task_count = cmd->app->model_count,
    };
    const struct hs_pack *replaced = hs_store_find(cmd->store, cmd->name);
    struct hs_error err;
    char *summary = NULL;
    if (hs_import(cmd->store, &options, &summary, &err) < 0)
        return fail(cmd, &err);
    if (replaced)
        remove_compiled(cmd, replaced);
    printf("%s\n", summary ? summary : options.name);
    free(summary);
    return HS_EXIT_OK;
}

static int do_remove(struct command *cmd)
{
    int code = HS_EXIT_OK;
    if (cmd->names.count == 0)
        return hs_invocation_usage_of(cmd->call, "remove NAME...");
    for (size_t i = 0; i < cmd->names.count; i++) {
        const struct hs_pack *pack = find_pack(cmd, cmd->names.items[i]);
        struct hs_error err;
        int removed = 0;
        char compiled[32] = "";
        bool imported = pack && pack->imported;
        uint64_t bytes = pack ? remove_compiled(cmd, pack) : 0;
        if (bytes)
            hs_progress_size(bytes, compiled);
        if (!pack || hs_store_remove(cmd->store, pack, &removed, &err) < 0)
            code = pack ? fail(cmd, &err) : HS_EXIT_FAILURE;
        else
            printf("%s: %d file%s removed%s%s%s\n", cmd->names.items[i], removed, removed == 1 ? "" : "s",
                   bytes ? ", compiled models too: " : "", compiled, imported ? ", the model is forgotten" : "");
    }
    return code;
}

/* ---- the command line ---- */

static int run_with_store(struct command *cmd, int (*run)(struct command *cmd))
{
    const struct hs_common_settings *s = hs_app_common(cmd->settings);
    char version[HS_RUNTIME_SIZE];
    struct hs_error err;
    cmd->here = hs_app_pull_backend(&s->inference);
    cmd->here_runtime = hs_model_runner_runtime(cmd->here, version);
    cmd->standby = strcmp(cmd->here, "hailo") == 0 && s->device.fallback == HS_FALLBACK_CPU;
    if (hs_app_open_store(cmd->app, &s->model, &cmd->store, &err) < 0)
        return fail(cmd, &err);
    if (!hs_model_runner_cache_dir(&s->inference, cmd->store, cmd->cache, sizeof(cmd->cache)))
        cmd->cache[0] = '\0';
    if (hs_store_complaint(cmd->store))
        fprintf(stderr, "%s: skipped: %s\n", cmd->call->who, hs_store_complaint(cmd->store));
    int code = run(cmd);
    hs_store_close(cmd->store);
    return code;
}

static int run_action(struct command *cmd, const char *name)
{
    static const struct {
        const char *name;
        int (*run)(struct command *cmd);
    } actions[] = { { "list", do_list },
                    { "pull", do_pull },
                    { "verify", do_verify },
                    { "import", do_import },
                    { "remove", do_remove } };
    for (size_t i = 0; i < HS_ARRAY_LEN(actions); i++) {
        if (strcmp(actions[i].name, name) != 0)
            continue;
        int code = hs_app_load_settings(cmd->call, NULL, 0, &cmd->settings);
        if (code == HS_EXIT_OK)
            code = run_with_store(cmd, actions[i].run);
        hs_settings_destroy(cmd->settings);
        return code;
    }
    return hs_invocation_usage(cmd->call);
}

int hs_cmd_models(struct hs_invocation *call)
{
    struct command cmd = { .call = call, .app = call->program->app };
    const struct hs_option options[] = {
        HS_FLAG("json", &cmd.json, "list: as JSON"),
        HS_TEXT("mirror", &cmd.mirror, "PLACE", "pull: a folder or address to try first; wins over model.mirror"),
        HS_TEXT("backend", &cmd.backend, "NAME", "pull: the file for openvino or hailo"),
        HS_TEXT("runtime", &cmd.runtime, "VERSION", "pull: the file for this version of the device's runtime"),
        HS_INT("timeout", &cmd.timeout, "SECONDS", 1, 3600,
               "pull: give a source up if (almost) nothing arrives for so long (30)"),
        HS_FLAG("force", &cmd.force, "pull: fetch again; import: replace"),
        HS_TEXT("name", &cmd.name, "NAME", "import: what the model will be called"),
        HS_TEXT("title", &cmd.title, "TEXT", "import: what it is"),
        HS_TEXT("licence", &cmd.licence, "TEXT", "import: its licence"),
        HS_INT("keypoints", &cmd.keypoints, "N", 1, 256, "import: how many, if the file does not say"),
        HS_INT("dims", &cmd.dims, "N", 2, 3, "import: numbers a keypoint, 2 or 3"),
        HS_INT("classes", &cmd.classes, "N", 1, 1000, "import: how many classes"),
        HS_TEXT("normalize", &cmd.normalize, "MEAN,STD", "import: of a face model, such as 127.5,128"),
        HS_NUMBER("threshold", &cmd.threshold, "COSINE", 0.01, 1, "import: of a face embedding (0.5)"),
        HS_INT("input", &cmd.input, "SIDE", 32, 8192, "import: side of the input, if the file leaves it open"),
    };
    int code;
    if (!hs_invocation_parse(call, options, HS_ARRAY_LEN(options), 100, &code))
        return code;
    if (call->words.count == 0)
        return hs_invocation_usage(call);
    hs_progress_init(&cmd.progress, false);
    cmd.names = (struct hs_text_list) { call->words.items + 1, call->words.count - 1 };
    return run_action(&cmd, call->words.items[0]);
}
