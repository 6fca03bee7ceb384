#include "service/keys.h"

#include <stdlib.h>

#include "auth/auth.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"

static struct hs_auth_options options_of(const struct hs_common_settings *settings)
{
    return (struct hs_auth_options) {
        .mode = (enum hs_auth_mode) settings->auth.mode,
        .keys_file = settings->auth.keys_file,
        .requests_per_second = settings->limits.requests_per_second,
        .burst = settings->limits.burst,
    };
}

/* ---- Reloads ---- */

static int prepare(void *ctx, const struct hs_settings *next, struct hs_error *err)
{
    const struct hs_auth_options options = options_of(hs_app_common(next));
    return hs_auth_prepare(ctx, &options, err);
}

static void commit(void *ctx)
{
    hs_auth_commit(ctx);
}

static void abandon(void *ctx)
{
    hs_auth_abandon(ctx);
}

int hs_keys_open(struct hs_app_core *core, struct hs_error *err)
{
    const struct hs_auth_options options = options_of(core->common);
    struct hs_error why;
    int r = hs_auth_create(&options, &core->auth, &why);
    if (r < 0)
        return hs_error_set(err, r, "API keys: %s. To serve without keys, set auth.mode to off", why.message);
    hs_reload_add(&core->reload, &(struct hs_reload_part) {
                                     .name = "API keys",
                                     .prepare = prepare,
                                     .commit = commit,
                                     .abandon = abandon,
                                     .ctx = core->auth,
                                 });
    return 0;
}

bool hs_keys_are_configured(const struct hs_common_settings *settings)
{
    const char *file = settings->auth.keys_file;
    if (settings->auth.mode == HS_AUTH_AUTO)
        return file[0] && (file[0] != '/' || hs_file_exists(file)); /* else a credential, which only a service has */
    return settings->auth.mode == HS_AUTH_KEYS;
}

/* ---- The log and warnings ---- */

static void log_keys(const struct hs_app_core *core)
{
    char keys[HS_COUNT_SIZE];
    size_t count;
    if (!hs_auth_needs_keys(core->auth, &count))
        return;
    if (count > 0)
        hs_log_info("Requests need an API key; %s in %s", hs_str_count(keys, (int64_t) count, "key", "keys"),
                    core->common->auth.keys_file);
    else
        hs_log_warning("Requests need an API key, but %s has none, so that all are refused. Run `%s keys add`",
                       core->common->auth.keys_file, core->app->program.name);
}

static void log_change(const struct hs_app_core *core)
{
    char keys[HS_COUNT_SIZE];
    size_t count;
    hs_auth_needs_keys(core->auth, &count);
    hs_log_info("The API keys have changed: there are %s now", hs_str_count(keys, (int64_t) count, "key", "keys"));
}

bool hs_keys_exposure(const struct hs_app_core *core, const char *address, char ret_text[HS_ERROR_MESSAGE_SIZE])
{
    if (!address || hs_auth_needs_keys(core->auth, NULL))
        return false;
    hs_str_format(ret_text, HS_ERROR_MESSAGE_SIZE,
                  "Anyone who can reach %s can %s. To limit access, set server.host to 127.0.0.1, or require API keys: "
                  "`%s keys add`",
                  address, core->app->exposure_warning, core->app->program.name);
    return true;
}

void hs_keys_log_start(const struct hs_app_core *core, const struct hs_http_server *server)
{
    char text[HS_ERROR_MESSAGE_SIZE];
    log_keys(core);
    if (hs_keys_exposure(core, hs_http_exposed_address(server), text))
        hs_log_warning("NO API KEYS: %s", text);
}

void hs_keys_watch(const struct hs_app_core *core)
{
    struct hs_error err;
    int r = hs_auth_watch(core->auth, &err);
    if (r < 0)
        hs_log_error("API keys: %s. The previous keys stay valid", err.message);
    else if (r > 0)
        log_change(core);
}

void hs_keys_check(struct hs_selftest *test, const struct hs_common_settings *settings)
{
    const struct hs_auth_options options = options_of(settings);
    struct hs_auth *auth = NULL;
    struct hs_error err;
    char keys[HS_COUNT_SIZE];
    size_t count;
    /* Only the service's own process has the credentials of its unit. */
    if (hs_str_starts(options.keys_file, "credential:") && !getenv("CREDENTIALS_DIRECTORY"))
        return;
    if (hs_auth_create(&options, &auth, &err) < 0)
        hs_selftest_add(test, "API keys", false, "Correct the file or auth.keys_file, or set auth.mode to off", "%s",
                        err.message);
    else if (hs_auth_needs_keys(auth, &count))
        hs_selftest_add(test, "API keys", count > 0, count ? NULL : "Run `keys add`", "%s in %s",
                        hs_str_count(keys, (int64_t) count, "key", "keys"), settings->auth.keys_file);
    hs_auth_destroy(auth);
}
