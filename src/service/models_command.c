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
#include "cli/table.h"
#include "models/fetch.h"
#include "models/import.h"
#include "service/app.h"

/* The command line and values derived from the settings; shared by all actions. */
struct command {
    struct hs_invocation *call;
    const struct hs_app *app;
    struct hs_settings *settings;
    const char *local_backend; /* the backend of this machine: "hailo" or "openvino" */
    const char *local_runtime; /* version of the backend's runtime, "5.1.1"; NULL: unknown */
    bool pull_fallback;        /* the processor may be its fallback, so `pull` fetches the processor's file too */
    struct hs_store *store;
    char cache[PATH_MAX];      /* folder of compiled models; "": its path is too long */
    struct hs_text_list names; /* arguments of the action; borrowed */
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

/* For an unknown name, prints an error with the most similar one and returns NULL. */
static const struct hs_pack *find_pack(const struct command *cmd, const char *name)
{
    const struct hs_pack *pack = hs_store_find(cmd->store, name);
    const char *meant = NULL;
    size_t distance = hs_str_near(name);
    if (pack)
        return pack;
    for (size_t i = 0; i < hs_store_count(cmd->store); i++) {
        pack = hs_store_pack(cmd->store, i);
        if (hs_app_serves(cmd->app, pack) && hs_str_nearer(name, pack->name, &distance))
            meant = pack->name;
    }
    hs_invocation_fail(cmd->call, HS_EXIT_FAILURE, "unknown model '%s'%s%s%s `%s models list` lists the models", name,
                       meant ? ". Did you mean '" : ".", meant ? meant : "", meant ? "'?" : "",
                       cmd->call->program->name);
    return NULL;
}

/* ---- list ---- */

/* Returns true for the model that `auto` selects on this machine; the table marks it. */
static bool is_default(const struct command *cmd, const struct hs_pack *pack, const struct hs_pack_file *file)
{
    struct hs_model_choice choice;
    return hs_store_choose(cmd->store, pack->task, NULL, cmd->local_backend, cmd->local_runtime, &choice, NULL) == 0 &&
           choice.pack == pack && choice.file == file;
}

static uint64_t compiled_bytes(const struct command *cmd, const struct hs_pack_file *file)
{
    struct hs_compiled_stats sum;
    hs_compiled_stats(cmd->cache, file->name, false, &sum);
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
    json_t *root = json_pack("{s:s, s:s, s:o}", "folder", hs_store_dir(cmd->store), "backend", cmd->local_backend,
                             "models", models);
    struct hs_error err;
    if (hs_print_json(root, HS_JSON_FILE, &err) < 0)
        return hs_invocation_fail(cmd->call, HS_EXIT_FAILURE, "%s", err.message);
    return HS_EXIT_OK;
}

/* Returns true if two files differ only in the version of the runtime, so that they share a row. */
static bool shares_row(const struct command *cmd, const struct hs_pack_file *a, const struct hs_pack_file *b)
{
    return a->runtime && b->runtime && strcmp(a->backend, b->backend) == 0 && a->size == b->size &&
           !hs_store_has(cmd->store, a) && !hs_store_has(cmd->store, b);
}

/* Adds the row of the files first..last. */
static void list_row(const struct command *cmd, const struct hs_pack *pack, const struct hs_pack_file *first,
                     const struct hs_pack_file *last, struct hs_table *table)
{
    char size[32] = "", compiled[32] = "";
    uint64_t bytes = compiled_bytes(cmd, first);
    if (first->size)
        hs_progress_size(first->size, size);
    if (bytes)
        hs_progress_size(bytes, compiled);
    hs_table_add(table, "%s%s", pack->name, is_default(cmd, pack, first) ? " *" : "");
    hs_table_add(table, "%s%s%s%s%s", first->backend, first->runtime ? " " : "", first->runtime ? first->runtime : "",
                 first == last ? "" : " to ", first == last ? "" : last->runtime);
    hs_table_add(table, "%s", hs_store_has(cmd->store, first) ? "installed" : first->source_count ? "-" : "missing");
    hs_table_add(table, "%s", size);
    hs_table_add(table, "%s", compiled);
    hs_table_add(table, "%s", pack->licence_name);
    hs_table_add(table, "%s%s", pack->title, pack->imported ? " (imported)" : "");
}

static void list_pack(const struct command *cmd, const struct hs_pack *pack, struct hs_table *table)
{
    for (size_t first = 0, last; first < pack->file_count; first = last + 1) {
        last = first;
        while (last + 1 < pack->file_count && shares_row(cmd, &pack->files[last], &pack->files[last + 1]))
            last++;
        list_row(cmd, pack, &pack->files[first], &pack->files[last], table);
    }
}

static int do_list(void *arg)
{
    static const char *const headings[] = { "MODEL", "FOR", "STATE", "SIZE", "COMPILED", "LICENCE", "DESCRIPTION" };
    const struct command *cmd = arg;
    struct hs_table table;
    struct hs_error err;
    if (cmd->json)
        return list_json(cmd);
    hs_table_init(&table, HS_ARRAY_LEN(headings), 1u << 3 | 1u << 4);
    for (size_t i = 0; i < HS_ARRAY_LEN(headings); i++)
        hs_table_add(&table, "%s", headings[i]);
    for (size_t i = 0; i < hs_store_count(cmd->store); i++) {
        const struct hs_pack *pack = hs_store_pack(cmd->store, i);
        if (hs_app_serves(cmd->app, pack))
            list_pack(cmd, pack, &table);
    }
    int r = hs_table_print(&table, &err);
    hs_table_finish(&table);
    if (r < 0)
        return fail(cmd, &err);
    if (!cmd->call->quiet)
        printf("\n* default on this machine\nFolder: %s\n", hs_store_dir(cmd->store));
    return HS_EXIT_OK;
}

/* ---- pull ---- */

static void print_line(void *arg, const char *line)
{
    hs_progress_clear(arg);
    fprintf(stderr, "  %s\n", line);
}

static int pull_one(struct command *cmd, const struct hs_model_choice *choice)
{
    const struct hs_pack *pack = choice->pack;
    const char *mirror = hs_app_common(cmd->settings)->model.mirror, *url = pack->licence_url;
    const struct hs_fetch_options options = {
        .mirror = cmd->mirror ? cmd->mirror : hs_null_if_empty(mirror),
        .force = cmd->force,
        .stall_s = (int) cmd->timeout,
        .progress = hs_progress_show,
        .on_message = print_line,
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
           result.present ? "already installed" : "installed");
    printf("  in %s\n", hs_store_dir(cmd->store));
    if (result.recorded)
        printf("  %s; this checksum is recorded, and every later use is compared with it\n",
               result.source_verified ? "made from a verified checkpoint" : "no checksum of this file is published");
    return HS_EXIT_OK;
}

/* Chooses the file to pull for a model (NULL: the task's default): for --backend, or else for this
 * machine's device, or else for the processor. Prints an error on failure. */
static bool choose(struct command *cmd, enum hs_task task, const char *name, struct hs_model_choice *ret)
{
    const char *backend = cmd->backend ? cmd->backend : cmd->local_backend;
    bool own = strcmp(backend, cmd->local_backend) == 0;
    const char *runtime = cmd->runtime ? cmd->runtime : own ? cmd->local_runtime : NULL;
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
    struct hs_model_choice choice, fallback;
    struct hs_error err;
    if (!choose(cmd, task, name, &choice))
        return HS_EXIT_FAILURE;
    int code = pull_one(cmd, &choice);
    if (!cmd->pull_fallback || cmd->backend || strcmp(choice.file->backend, "openvino") == 0)
        return code;
    fallback = (struct hs_model_choice) { choice.pack, hs_pack_find_file(choice.pack, "openvino", NULL) };
    if (!fallback.file && hs_store_choose_default(cmd->store, choice.pack->task, "openvino", NULL, &fallback, &err) < 0)
        return fail(cmd, &err);
    return pull_one(cmd, &fallback) == HS_EXIT_OK ? code : HS_EXIT_FAILURE;
}

/* Pulls the named models; without names, for each task the configured model, or else the default. */
static int do_pull(void *arg)
{
    struct command *cmd = arg;
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
    static const char *const words[] = { "missing", "ok", "WRONG",
                                         "UNKNOWN (not pulled, so its checksum is not known)" };
    enum hs_file_state state;
    char hex[65], size[32];
    struct hs_compiled_stats sum;
    struct hs_error err;
    if (hs_store_check(cmd->store, file, &state, hex, &err) < 0)
        return fail(cmd, &err);
    if (state == HS_FILE_MISSING && !named)
        return HS_EXIT_OK;
    printf("%s: %s%s%s\n", file->name, words[state], hex[0] ? " " : "", hex);
    *count += 1;
    hs_compiled_stats(cmd->cache, file->name, true, &sum);
    if (sum.entries) {
        hs_progress_size(sum.bytes, size);
        printf("%s: compiled: %s (%d, %s)\n", file->name,
               sum.damaged ? "DAMAGED; it is compiled again when it is used" : "ok", sum.entries, size);
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

static int do_verify(void *arg)
{
    const struct command *cmd = arg;
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

/* ---- ready ---- */

/* Exit code of `ready` if the settings cannot be read. systemd skips a unit if its ExecCondition= exits with 1 to 254,
 * so the unit fails only with this one. */
enum { SETTINGS_UNREADABLE = 255 };

/* Makes the same checks as `serve` before it loads a model. */
static int do_ready(void *arg)
{
    struct command *cmd = arg;
    char names[HS_APP_MODELS_MAX * 256 + 16];
    void *state;
    struct hs_error err;
    int r = hs_app_create(cmd->app, cmd->settings, 0, NULL, &state, &err);
    cmd->settings = NULL;
    if (r < 0)
        return fail(cmd, &err);
    hs_app_core_names(state, names, sizeof(names));
    if (!cmd->call->quiet)
        printf("%s: installed\n", names);
    hs_app_destroy(state);
    return HS_EXIT_OK;
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

static int do_import(void *arg)
{
    const struct command *cmd = arg;
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

static int do_remove(void *arg)
{
    const struct command *cmd = arg;
    int code = HS_EXIT_OK;
    for (size_t i = 0; i < cmd->names.count; i++) {
        const struct hs_pack *pack = find_pack(cmd, cmd->names.items[i]);
        struct hs_error err;
        int removed = 0;
        char compiled[32] = "", files[HS_COUNT_SIZE];
        bool imported = pack && pack->imported;
        uint64_t bytes = pack ? remove_compiled(cmd, pack) : 0;
        if (bytes)
            hs_progress_size(bytes, compiled);
        if (!pack || hs_store_remove(cmd->store, pack, &removed, &err) < 0)
            code = pack ? fail(cmd, &err) : HS_EXIT_FAILURE;
        else
            printf("%s: removed %s%s%s%s%s\n", cmd->names.items[i], hs_str_count(files, removed, "file", "files"),
                   bytes ? " and " : "", compiled, bytes ? " of compiled models" : "",
                   imported ? ", and the imported model" : "");
    }
    return code;
}

/* ---- the command line ---- */

static int run_with_store(struct command *cmd)
{
    const struct hs_common_settings *s = hs_app_common(cmd->settings);
    char version[HS_RUNTIME_SIZE];
    struct hs_error err;
    cmd->local_backend = hs_app_pull_backend(&s->inference);
    cmd->local_runtime = hs_model_runner_runtime(cmd->local_backend, version);
    cmd->pull_fallback = strcmp(cmd->local_backend, "hailo") == 0 && s->device.fallback == HS_FALLBACK_CPU;
    if (hs_app_open_store(cmd->app, &s->model, &cmd->store, &err) < 0)
        return fail(cmd, &err);
    if (!hs_model_runner_cache_dir(&s->inference, cmd->store, cmd->cache, sizeof(cmd->cache)))
        cmd->cache[0] = '\0';
    if (hs_store_warning(cmd->store))
        fprintf(stderr, "%s: skipped: %s\n", cmd->call->prefix, hs_store_warning(cmd->store));
    int code = cmd->call->action->run(cmd);
    hs_store_close(cmd->store);
    return code;
}

static int run(struct hs_invocation *call)
{
    struct command cmd = { .call = call, .app = call->program->app };
    const struct hs_option options[] = {
        HS_FLAG_OF("list", "json", &cmd.json, "print JSON"),
        HS_TEXT_OF("pull", "mirror", &cmd.mirror, "PLACE", "folder or address to try first (default: model.mirror)"),
        HS_TEXT_OF("pull", "backend", &cmd.backend, "openvino|hailo",
                   "download the file for this backend (default: that of this machine)"),
        HS_TEXT_OF("pull", "runtime", &cmd.runtime, "VERSION",
                   "download the file for this version of HailoRT (default: the installed one)"),
        HS_INT_OF("pull", "timeout", &cmd.timeout, "SECONDS", 1, 3600,
                  "try the next source if almost nothing arrives for that long (default 30)"),
        HS_FLAG_OF("pull import", "force", &cmd.force, "download again, or replace the model of that name"),
        HS_TEXT_OF("import", "name", &cmd.name, "NAME", "name of the model"),
        HS_TEXT_OF("import", "title", &cmd.title, "TEXT", "description of the model"),
        HS_TEXT_OF("import", "licence", &cmd.licence, "TEXT", "licence of the model"),
        HS_INT_OF("import", "keypoints", &cmd.keypoints, "N", 1, 256,
                  "number of keypoints, if the file does not contain it"),
        HS_INT_OF("import", "dims", &cmd.dims, "N", 2, 3, "values of each keypoint, 2 or 3"),
        HS_INT_OF("import", "classes", &cmd.classes, "N", 1, 1000, "number of classes"),
        HS_TEXT_OF("import", "normalize", &cmd.normalize, "MEAN,STD",
                   "normalisation of a face model's input, such as 127.5,128"),
        HS_NUMBER_OF("import", "threshold", &cmd.threshold, "COSINE", 0.01, 1,
                     "recognition threshold of a face embedding model (default 0.5)"),
        HS_INT_OF("import", "input", &cmd.input, "SIDE", 32, 8192,
                  "side of the input in pixels, if the file leaves it open"),
    };
    int code;
    if (!hs_invocation_read(call, options, HS_ARRAY_LEN(options), &code))
        return code;
    hs_progress_init(&cmd.progress, false);
    cmd.progress.quiet = call->quiet;
    cmd.names = call->operands;
    code = hs_app_load_settings(call, NULL, 0, &cmd.settings);
    if (code == HS_EXIT_OK)
        code = run_with_store(&cmd);
    else if (call->action->run == do_ready)
        code = SETTINGS_UNREADABLE;
    hs_settings_destroy(cmd.settings);
    return code;
}

static const struct hs_action actions[] = {
    { "list", "", "List the models, and which of them are installed", do_list },
    { "pull", "[NAME…]", "Download models; without a name, the default ones", do_pull },
    { "verify", "[NAME…]", "Compare installed files with their checksums", do_verify },
    { "ready", "", "Exit with 0 if the models that `serve` loads are installed", do_ready },
    { "import", "FILE --name NAME", "Add a model from a .pt, .onnx or .hef file", do_import },
    { "remove", "NAME…", "Delete models from this machine", do_remove },
};
static const struct hs_example examples[] = {
    { "models list --models .deps/models", "List the models" },
    { "models verify --models .deps/models", "Check the installed files" },
    { "models pull --models .deps/models", "Download the default models, if they are missing" },
};

const struct hs_command hs_command_models = {
    .name = "models",
    .summary = "List, download, check, import and remove models",
    .run = run,
    HS_ACTIONS(actions),
    HS_EXAMPLES(examples),
};
