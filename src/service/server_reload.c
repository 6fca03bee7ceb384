/* Requests see a change of settings as a whole: each uses the copy of the state that was current when it began
 * (hs_app_revise), and the server frees a copy after its last request. So handlers read settings without locks. These
 * designs were rejected: a lock around all settings, which every handler would hold; atomic fields, with which one
 * request could see two settings that do not fit each other; and a counted settings object that handlers pass through
 * all layers beside the state. Objects that live longer than a request (runners, the gallery, sockets) keep the
 * settings of the start, so those rows lack HS_SETTING_RELOAD. */
#include "service/server_reload.h"

#include <limits.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"

enum { NAMES_MAX = 16 << 10 };

static int prepare(void *ctx, const struct hs_settings *next, struct hs_error *err)
{
    struct hs_server_reload *reload = ctx;
    struct hs_http_options options;
    (void) next;
    reload->next_core = hs_app_revise(reload->core, reload->next);
    if (!reload->next_core) {
        reload->next = NULL; /* hs_app_revise has freed it */
        return hs_error_set(err, HS_ENOMEM, "out of memory");
    }
    reload->http_options(reload->next_core, &options);
    int r = hs_http_revision_create(reload->server, &options, reload->next_core, hs_app_destroy_revision,
                                    &reload->revision, err);
    if (r < 0) {
        reload->next_core->config = NULL; /* still owned by hs_server_reload_run */
        hs_app_destroy_revision(reload->next_core);
    }
    return r;
}

static void commit(void *ctx)
{
    struct hs_server_reload *reload = ctx;
    const struct hs_common_settings *before = reload->current->common, *after = reload->next_core->common;
    hs_log_setup(reload->call->program->name, hs_app_log_level(reload->call, &after->logging),
                 (enum hs_log_format) after->logging.format);
    /* A client may have set another time, which an unrelated reload does not change. */
    for (size_t i = 0; before->model.keep_alive != after->model.keep_alive && i < reload->core->cache_count; i++)
        hs_model_pool_set_keep_alive(hs_app_core_pool(reload->core, i), after->model.keep_alive);
    reload->current = reload->next_core;
    reload->next = NULL; /* the revision owns it */
    hs_http_revision_commit(reload->revision);
}

static void abandon(void *ctx)
{
    struct hs_server_reload *reload = ctx;
    reload->next_core->config = NULL; /* still owned by hs_server_reload_run */
    hs_http_revision_abandon(reload->revision);
}

void hs_server_reload_init(struct hs_server_reload *reload)
{
    reload->current = reload->core;
    hs_reload_add(&reload->core->reload, &(struct hs_reload_part) {
                                             .name = "settings",
                                             .prepare = prepare,
                                             .commit = commit,
                                             .abandon = abandon,
                                             .ctx = reload,
                                         });
}

/* Reads the settings as at the start. All problems are logged. */
static int load(struct hs_server_reload *reload, struct hs_error *err)
{
    struct hs_invocation call = *reload->call;
    struct hs_problems problems = { 0 };
    char path[PATH_MAX];
    call.peek_settings = NULL;
    if (call.config_path && call.config_path[0] != '/' && reload->folder[0] &&
        hs_path_join(path, sizeof(path), reload->folder, call.config_path))
        call.config_path = path;
    int code = hs_load_settings(&call, reload->given, reload->given_count, &reload->next, &problems);
    hs_problems_finish(&problems);
    if (code != HS_EXIT_OK)
        return hs_error_set(err, HS_EINVAL, "the configuration has errors, see the log");
    return hs_settings_make_paths_absolute(reload->next, reload->folder, err);
}

static void log_result(struct hs_buf *changed, struct hs_buf *fixed)
{
    const char *names = hs_buf_str(changed), *fixed_names = hs_buf_str(fixed);
    if (changed->len)
        hs_log_info("Reloaded the settings; changed: %s", names ? names : "some");
    else
        hs_log_info("Reloaded the settings; none of those that a reload applies has changed");
    if (fixed->len)
        hs_log_warning("Changed in the configuration, but in effect only after a restart: %s",
                       fixed_names ? fixed_names : "some");
}

enum { RELOAD_APPLIED, RELOAD_FAILED };
static const char *const results[] = { [RELOAD_APPLIED] = "applied", [RELOAD_FAILED] = "failed" };
HS_COUNTERS(hs_server_reloads, "hailo_reloads_total", "Reloads of the settings by their result.", "result", results);

int hs_server_reload_run(struct hs_server_reload *reload, struct hs_error *err)
{
    struct hs_buf changed, fixed;
    hs_buf_init(&changed, NAMES_MAX);
    hs_buf_init(&fixed, NAMES_MAX);
    int r = load(reload, err);
    if (r == 0 && (r = hs_settings_keep_fixed(reload->next, reload->current->config, &changed, &fixed)) < 0)
        hs_error_set(err, r, "cannot compare the settings: %s", hs_status_name(r));
    if (r == 0)
        r = hs_reload_apply(&reload->core->reload, reload->next, err);
    hs_count(&hs_server_reloads, r == 0 ? RELOAD_APPLIED : RELOAD_FAILED);
    if (r == 0)
        log_result(&changed, &fixed);
    else
        hs_log_error("Not reloaded, the old settings stay in effect: %s", err->message);
    hs_settings_destroy(reload->next);
    reload->next = NULL;
    hs_buf_finish(&changed);
    hs_buf_finish(&fixed);
    return r;
}
