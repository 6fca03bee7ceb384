/* `keys`: adds, lists, revokes and replaces API keys. Running services notice a change within a second. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>
#include <sodium.h>

#include "auth/key_file.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/terminal.h"
#include "cli/table.h"
#include "service/keys.h"

enum { GRACE_MAX_S = 366 * 86400 };

/* The command line; shared by all actions. */
struct command {
    struct hs_invocation *call;
    struct hs_settings *settings;
    char path[PATH_MAX]; /* of the key file */
    bool json;
    const char *file, *name, *scopes, *expires, *grace;
    double requests_per_second;
    int64_t burst;
    /* The change: the key as it is in the file afterwards, and its text. */
    struct hs_key key;
    char text[HS_KEY_TEXT_SIZE];
};

static int fail(const struct command *cmd, const struct hs_error *err)
{
    return hs_invocation_fail(cmd->call, HS_EXIT_FAILURE, "%s", err->message);
}

/* ---- Printing ---- */

static json_t *time_json(int64_t time_s)
{
    char text[HS_KEY_TIME_SIZE];
    return time_s ? json_string(hs_key_time_write(time_s, text)) : NULL;
}

static json_t *scopes_json(unsigned scopes)
{
    json_t *list = json_array();
    for (size_t i = HS_SCOPE_NONE + 1; i < HS_SCOPE_COUNT; i++) {
        if (scopes & hs_scope_bit((enum hs_scope) i))
            json_array_append_new(list, json_string(hs_scope_name((enum hs_scope) i)));
    }
    return list;
}

static json_t *key_json(const struct hs_key *key)
{
    json_t *rate = key->requests_per_second >= 0 ? json_real(key->requests_per_second) : NULL;
    json_t *burst = key->burst >= 0 ? json_integer(key->burst) : NULL;
    return json_pack("{s:s, s:s, s:o, s:o*, s:o*, s:o*, s:o*, s:o*}", "id", key->id, "name", key->name, "scopes",
                     scopes_json(key->scopes), "created", time_json(key->created_s), "expires",
                     time_json(key->expires_s), "old_until", time_json(key->old_until_s), "requests_per_second", rate,
                     "burst", burst);
}

/* Prints the key alone, or the JSON with it, on standard output, and a note on standard error. */
static int print_key(struct command *cmd, const char *done)
{
    char until[HS_KEY_TIME_SIZE] = "", name[4 * HS_KEY_NAME_MAX];
    struct hs_error err;
    int r = 0;
    if (cmd->json) {
        json_t *report = key_json(&cmd->key);
        json_object_set_new(report, "key", json_string(cmd->text));
        r = hs_print_json(report, HS_JSON_FILE, &err);
    } else if (puts(cmd->text) < 0 || fflush(stdout) != 0) {
        r = hs_error_set(&err, HS_EIO, "cannot print the key");
    }
    sodium_memzero(cmd->text, sizeof(cmd->text));
    if (r < 0)
        return hs_invocation_fail(cmd->call, HS_EXIT_FAILURE, "%s. Run `%s keys revoke %s`", err.message,
                                  cmd->call->program->name, cmd->key.id);
    hs_terminal_text(name, sizeof(name), cmd->key.name);
    if (cmd->key.old_until_s)
        hs_key_time_write(cmd->key.old_until_s, until);
    if (!cmd->call->quiet)
        fprintf(stderr, "%s key %s (%s) in %s; it is shown only now%s%s\n", done, cmd->key.id, name, cmd->path,
                until[0] ? ", and the old one is valid until " : "", until);
    return HS_EXIT_OK;
}

/* ---- Actions ---- */

/* Records a change that is done. A key must be revocable also if the log cannot be written, so that is only a
 * warning. */
static void record(const struct command *cmd, const char *action, const char *id)
{
    const struct hs_app *app = cmd->call->program->app;
    struct hs_error err;
    int r = app->record ? app->record(cmd->settings, action, id, &err) : 0;
    if (r < 0 && r != HS_ENOTFOUND)
        fprintf(stderr, "%s: the change is done, but not recorded in the audit log: %s\n", cmd->call->prefix,
                err.message);
}

/* Reads "90d" from now on, or a time. */
static int read_expires(const char *text, int64_t *ret_s, struct hs_error *err)
{
    struct hs_error why;
    double seconds;
    int64_t now_s = hs_clock_wall_s();
    if (hs_str_to_seconds(text, &seconds) && seconds > 0 && seconds < 1e10)
        *ret_s = now_s + (int64_t) seconds;
    else if (hs_key_time_read(text, ret_s, &why) < 0)
        return hs_error_set(err, HS_EINVAL,
                            "--expires: must be a time such as 90d, 2030-01-31 or 2030-01-31T12:00:00Z");
    return *ret_s > now_s ? 0 : hs_error_set(err, HS_EINVAL, "--expires: %s is in the past", text);
}

static int add_key(struct hs_keyring *ring, void *arg, struct hs_error *err)
{
    struct command *cmd = arg;
    struct hs_key key;
    hs_key_create(ring, hs_clock_wall_s(), &key, cmd->text);
    hs_str_copy(key.name, sizeof(key.name), cmd->key.name);
    key.scopes = cmd->key.scopes;
    key.expires_s = cmd->key.expires_s;
    key.requests_per_second = cmd->requests_per_second;
    key.burst = (int) cmd->burst;
    cmd->key = key;
    return hs_keyring_add(ring, &key, err);
}

static int do_add(void *arg)
{
    struct command *cmd = arg;
    struct hs_error err;
    if (!cmd->name || !cmd->scopes)
        return hs_invocation_usage(cmd->call);
    if (strlen(cmd->name) > HS_KEY_NAME_MAX || !cmd->name[0] || !hs_utf8_valid(cmd->name, strlen(cmd->name)))
        return hs_invocation_fail(cmd->call, HS_EXIT_USAGE, "--name: must be a text of 1 to %d bytes", HS_KEY_NAME_MAX);
    hs_str_copy(cmd->key.name, sizeof(cmd->key.name), cmd->name);
    hs_str_make_line(cmd->key.name);
    if (hs_scopes_read(cmd->scopes, &cmd->key.scopes, &err) < 0)
        return hs_invocation_fail(cmd->call, HS_EXIT_USAGE, "--scopes: %s", err.message);
    if (cmd->expires && read_expires(cmd->expires, &cmd->key.expires_s, &err) < 0)
        return hs_invocation_fail(cmd->call, HS_EXIT_USAGE, "%s", err.message);
    if (hs_key_file_change(cmd->path, true, add_key, cmd, &err) < 0)
        return fail(cmd, &err);
    record(cmd, "key_added", cmd->key.id);
    return print_key(cmd, "Added");
}

static int do_list(void *arg)
{
    struct command *cmd = arg;
    struct hs_keyring ring = { 0 };
    struct hs_table table;
    struct hs_error err;
    int r = hs_key_file_list(cmd->path, &ring, &err);
    if (r < 0 && r != HS_ENOTFOUND)
        return fail(cmd, &err);
    json_t *list = json_array();
    hs_table_init(&table, 5, 0);
    for (size_t i = 0; i < ring.count; i++) {
        const struct hs_key *key = &ring.keys[i];
        char scopes[HS_SCOPES_TEXT_SIZE], created[HS_KEY_TIME_SIZE], expires[HS_KEY_TIME_SIZE] = "never expires";
        bool over = key->expires_s && hs_clock_wall_s() >= key->expires_s;
        if (key->expires_s)
            hs_key_time_write(key->expires_s, expires);
        hs_table_add(&table, "%s", key->id);
        hs_table_add(&table, "%s", key->name);
        hs_table_add(&table, "%s", key->scopes ? hs_scopes_write(key->scopes, scopes) : "-");
        hs_table_add(&table, "%s", hs_key_time_write(key->created_s, created));
        hs_table_add(&table, "%s%s", expires, over ? " (expired)" : "");
        json_array_append_new(list, key_json(key));
    }
    if (cmd->json)
        r = hs_print_json(json_pack("{s:s, s:O}", "file", cmd->path, "keys", list), HS_JSON_FILE, &err);
    else
        r = hs_table_print(&table, &err);
    if (!cmd->json && ring.count == 0 && !cmd->call->quiet)
        fprintf(stderr, "There are no API keys in %s\n", cmd->path);
    json_decref(list);
    hs_table_finish(&table);
    hs_keyring_finish(&ring);
    return r < 0 ? fail(cmd, &err) : HS_EXIT_OK;
}

static int find_key(const struct command *cmd, struct hs_keyring *ring, const char *id, struct hs_key **ret_key,
                    struct hs_error *err)
{
    *ret_key = hs_keyring_find(ring, id);
    if (*ret_key)
        return 0;
    return hs_error_set(err, HS_ENOTFOUND, "There is no key with the id '%.32s' in %s. `%s keys list` lists the ids",
                        id, cmd->path, cmd->call->program->name);
}

/* All of them or none. */
static int revoke_keys(struct hs_keyring *ring, void *arg, struct hs_error *err)
{
    const struct command *cmd = arg;
    int r = 0;
    for (size_t i = 0; r == 0 && i < cmd->call->operands.count; i++) {
        struct hs_key *key;
        r = find_key(cmd, ring, cmd->call->operands.items[i], &key, err);
        if (r == 0)
            hs_keyring_remove(ring, key);
    }
    return r;
}

static int do_revoke(void *arg)
{
    struct command *cmd = arg;
    struct hs_error err;
    char keys[HS_COUNT_SIZE];
    if (hs_key_file_change(cmd->path, false, revoke_keys, cmd, &err) < 0)
        return fail(cmd, &err);
    for (size_t i = 0; i < cmd->call->operands.count; i++)
        record(cmd, "key_revoked", cmd->call->operands.items[i]);
    if (!cmd->call->quiet)
        fprintf(stderr, "Revoked %s in %s\n", hs_str_count(keys, (int64_t) cmd->call->operands.count, "key", "keys"),
                cmd->path);
    return HS_EXIT_OK;
}

static int rotate_key(struct hs_keyring *ring, void *arg, struct hs_error *err)
{
    struct command *cmd = arg;
    struct hs_key *key;
    double grace_s = 0;
    int r = find_key(cmd, ring, cmd->call->operands.items[0], &key, err);
    if (r < 0)
        return r;
    if (cmd->grace)
        hs_str_to_seconds(cmd->grace, &grace_s);
    hs_key_rotate(key, grace_s >= 1 ? hs_clock_wall_s() + (int64_t) grace_s : 0, cmd->text);
    cmd->key = *key;
    return 0;
}

static int do_rotate(void *arg)
{
    struct command *cmd = arg;
    struct hs_error err;
    double grace_s;
    if (cmd->grace && (!hs_str_to_seconds(cmd->grace, &grace_s) || !(grace_s >= 0 && grace_s <= GRACE_MAX_S)))
        return hs_invocation_fail(cmd->call, HS_EXIT_USAGE, "--grace: must be a time of at most 366d, such as 1h");
    if (hs_key_file_change(cmd->path, false, rotate_key, cmd, &err) < 0)
        return fail(cmd, &err);
    record(cmd, "key_rotated", cmd->key.id);
    return print_key(cmd, "Replaced");
}

/* The routes of the program, from the table that the service uses. */
static int do_scopes(void *arg)
{
    const struct command *cmd = arg;
    const struct hs_app *app = cmd->call->program->app;
    json_t *list = json_array();
    struct hs_table table;
    struct hs_error err;
    hs_table_init(&table, 3, 0);
    for (size_t i = 0; i < *app->route_count; i++) {
        const struct hs_http_route *route = &app->routes[i];
        const char *scope = hs_scope_name(route->scope);
        bool open = route->flags & HS_HTTP_OPEN;
        hs_table_add(&table, "%s", route->method);
        hs_table_add(&table, "%s", route->path);
        hs_table_add(&table, "%s", scope[0] ? scope : open ? "(no key)" : "(any key)");
        json_array_append_new(list, json_pack("{s:s, s:s, s:s?, s:b}", "method", route->method, "path", route->path,
                                              "scope", hs_null_if_empty(scope), "open", (int) open));
    }
    int r = cmd->json ? hs_print_json(json_incref(list), HS_JSON_FILE, &err) : hs_table_print(&table, &err);
    json_decref(list);
    hs_table_finish(&table);
    return r < 0 ? fail(cmd, &err) : HS_EXIT_OK;
}

/* ---- The command ---- */

static int find_file(struct command *cmd)
{
    int code = hs_app_load_settings(cmd->call, NULL, 0, &cmd->settings);
    if (code != HS_EXIT_OK)
        return code;
    const char *file = cmd->file ? cmd->file : hs_app_common(cmd->settings)->auth.keys_file;
    if (!file[0])
        code = hs_invocation_fail(cmd->call, HS_EXIT_FAILURE, "auth.keys_file is empty; name the file with --file");
    else if (hs_str_starts(file, "credential:"))
        code = hs_invocation_fail(cmd->call, HS_EXIT_FAILURE,
                                  "auth.keys_file is a credential of systemd; name its file with --file");
    else if (!hs_path_absolute(cmd->path, sizeof(cmd->path), file))
        code = hs_invocation_fail(cmd->call, HS_EXIT_FAILURE, "the path of the key file is too long");
    return code;
}

static int run(struct hs_invocation *call)
{
    struct command cmd = { .call = call, .requests_per_second = -1, .burst = -1 };
    const struct hs_option options[] = {
        HS_TEXT_OF("add", "name", &cmd.name, "TEXT", "label of the key, such as its client"),
        HS_TEXT_OF("add", "scopes", &cmd.scopes, "LIST",
                   "scopes, separated by commas: detect, recognize, gallery:read, gallery:write, admin; all; or none"),
        HS_TEXT_OF("add", "expires", &cmd.expires, "TIME",
                   "end of the key, such as 90d or 2030-01-31 (default: never)"),
        HS_NUMBER_OF("add", "requests-per-second", &cmd.requests_per_second, "N", 0, 1e6,
                     "maximum rate of this key; 0: no limit (default: limits.requests_per_second)"),
        HS_INT_OF("add", "burst", &cmd.burst, "N", 0, 1000000, "requests at once (default: limits.burst)"),
        HS_TEXT_OF("rotate", "grace", &cmd.grace, "TIME", "the old key stays valid for that long, such as 1h"),
        HS_TEXT_OF("add list revoke rotate", "file", &cmd.file, "FILE", "the key file (default: auth.keys_file)"),
        HS_FLAG_OF("add list rotate scopes", "json", &cmd.json, "print JSON"),
    };
    int code;
    if (!hs_invocation_read(call, options, HS_ARRAY_LEN(options), &code))
        return code;
    if (sodium_init() < 0)
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "cannot initialise libsodium");
    code = find_file(&cmd);
    if (code == HS_EXIT_OK)
        code = call->action->run(&cmd);
    hs_settings_destroy(cmd.settings);
    return code;
}

static const struct hs_action actions[] = {
    { "add", "--name TEXT --scopes LIST", "Make a key, and print it once", do_add },
    { "list", "", "List the keys, without their secrets", do_list },
    { "revoke", "ID…", "Delete keys", do_revoke },
    { "rotate", "ID", "Replace the secret of a key, and print it once", do_rotate },
    { "scopes", "", "List the routes, and the scope that each needs", do_scopes },
};
static const struct hs_example examples[] = {
    { "keys add --name camera --scopes detect --file .deps/keys.json", "Make a key for a client that finds people" },
    { "keys list --file .deps/keys.json", "List the keys" },
    { "keys scopes", "List the scopes of the routes" },
};

const struct hs_command hs_command_keys = {
    .name = "keys",
    .summary = "Make, list, revoke and replace API keys",
    .run = run,
    HS_ACTIONS(actions),
    HS_EXAMPLES(examples),
};
