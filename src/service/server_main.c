#include "service/server_main.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/thread.h"
#include "preflight/host.h"
#include "service/app.h"
#include "service/app_routes.h"
#include "service/certificate.h"
#include "service/keys.h"
#include "service/notify.h"
#include "service/server_reload.h"

void hs_startup_error(const char *what, const char *solution)
{
    const struct hs_log_field fields[] = { HS_LOG_FIELD_STRING("solution", solution) };
    const char *prefix = hs_log_journal_prefix(HS_LOG_ERROR);
    if (hs_log_get_format() == HS_LOG_JSON)
        hs_log_fields(HS_LOG_ERROR, fields, HS_ARRAY_LEN(fields), "%s", what);
    else
        fprintf(stderr, "%sError: %s\n%s→ Solution: %s\n", prefix, what, prefix, solution);
}

void hs_startup_log_holders(void)
{
    struct hs_host host;
    hs_host_inspect(hs_host_root(), &host);
    for (size_t i = 0; i < host.holder_count; i++)
        hs_log_error("%s (pid %d) has %s open", host.holders[i].command, host.holders[i].pid, host.holders[i].node);
}

void hs_startup_report_model(const char *file)
{
    char what[512];
    if (!file[0])
        return;
    hs_str_format(what, sizeof(what), "Cannot load model '%s'", file);
    hs_startup_error(what, "Run `models pull`, or name the folder with --models");
}

/* Least number of workers that may wait for an accelerator while others work. */
enum { WAITING_MIN = 16 };

/* Blocks the signals that end or reload the service; the main thread waits for them. SIGHUP is not
 * waited for if nohup ignores it. SIGPIPE and SIGXFSZ are ignored, because a write reports these as
 * errors, and so are SIGUSR1 and SIGUSR2, which other programs use to reopen logs. SIGQUIT still
 * dumps core. */
static void block_signals(sigset_t *ret_waited)
{
    static const int ignored[] = { SIGPIPE, SIGXFSZ, SIGUSR1, SIGUSR2 };
    struct sigaction hangup;
    sigemptyset(ret_waited);
    sigaddset(ret_waited, SIGTERM);
    sigaddset(ret_waited, SIGINT);
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
        sigaddset(ret_waited, SIGHUP);
    pthread_sigmask(SIG_BLOCK, ret_waited, NULL);
    for (size_t i = 0; i < HS_ARRAY_LEN(ignored); i++)
        signal(ignored[i], SIG_IGN);
}

/* Devices have this long to close after the shutdown timeout, and at least CLOSE_MIN_S after the signal. */
enum { CLOSE_S = 2, CLOSE_MIN_S = 5 };

/* The end of the process, even if a device does not close. */
struct exit_watch {
    const sigset_t *waited;
    int64_t limit_ns;
    int code; /* exit code of the process */
    pthread_t watcher;
    bool watched;
};

/* Runs from the first signal until everything is closed. Ends the process at once on a second
 * signal, or if a device does not close in time. A terminal that closes may send SIGHUP twice, from
 * the kernel and the shell; both count as one. */
static void *force_exit(void *arg)
{
    const struct exit_watch *watch = arg;
    sigset_t again = *watch->waited;
    sigdelset(&again, SIGHUP);
    for (int64_t left_ns; (left_ns = watch->limit_ns - hs_clock_now_ns()) > 0;) {
        const struct timespec left = { .tv_sec = left_ns / HS_NS_PER_S, .tv_nsec = left_ns % HS_NS_PER_S };
        if (sigtimedwait(&again, NULL, &left) > 0) {
            hs_log_warning("Stopped at once by a second signal");
            _exit(watch->code);
        }
    }
    hs_log_error("Stopped at once: a device did not close in time");
    _exit(watch->code);
}

static void stop(struct hs_http_server *server, double timeout_s, struct exit_watch *watch)
{
    int64_t timeout_ms = (int64_t) (timeout_s * 1000), least_ms = CLOSE_MIN_S * 1000;
    watch->limit_ns =
        hs_deadline_in_ms(timeout_ms + CLOSE_S * 1000 > least_ms ? timeout_ms + CLOSE_S * 1000 : least_ms);
    watch->watched = hs_thread_start(&watch->watcher, "end", force_exit, watch) == 0;
    if (hs_http_drain(server, hs_deadline_in_ms(timeout_ms)) < 0) {
        struct hs_http_stats stats;
        hs_http_stats(server, &stats);
        hs_log_warning("Cut off %zu request%s that did not finish in %g s", stats.active, stats.active == 1 ? "" : "s",
                       timeout_s);
    }
    hs_http_destroy(server);
}

/* One more than the number of processors, so that the next picture is decoded while the others are
 * in the network. With an accelerator, a worker holds its picture while it waits for the device,
 * and requests without a worker are not processed. So there are more workers: enough for two
 * batches, and enough that requests on a hung device do not delay others past their deadlines. */
static int default_workers(const struct hs_app_core *core)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int own = processors > 0 ? (int) processors + 1 : 2, batches = 2 * core->common->device.batch_size;
    if (hs_model_runner_is_processor(hs_model_pool_first(hs_app_core_pool(core, 0))))
        return own;
    return own + (batches > WAITING_MIN ? batches : WAITING_MIN);
}

/* Half of the workers, but not more than there are processors, because heavy requests need
 * processors to decode and would leave little for other requests. */
static int heavy_workers(int workers)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int half = workers - workers / 2, most = processors > 2 ? (int) processors : 2;
    return half < most ? half : most;
}

static void http_options(const struct hs_app_core *core, struct hs_http_options *ret)
{
    const struct hs_server_settings *server = &core->common->server;
    const struct hs_performance_settings *performance = &core->common->performance;
    hs_http_options_init(ret);
    ret->host = server->host;
    ret->port = server->port;
    ret->socket_mode = hs_socket_mode(server);
    ret->redirect_port = server->redirect_port;
    ret->path_prefix = server->path_prefix;
    ret->trusted_proxies = server->trusted_proxies;
    ret->workers = performance->worker_threads > 0 ? performance->worker_threads : default_workers(core);
    ret->heavy_max = heavy_workers(ret->workers);
    ret->long_work = core->common->model.allow_pull;
    ret->queue_max = (size_t) performance->max_queue_size;
    ret->header_max = (size_t) server->max_header_kb << 10;
    ret->body_idle_ms = (int64_t) (server->body_idle_timeout * 1000);
    ret->connections_max = (size_t) server->max_connections;
    ret->connections_per_address = (size_t) server->max_connections_per_address;
    ret->batch_max = (size_t) server->max_batch;
    ret->body_max = (size_t) server->max_body_mb << 20;
    ret->bodies_max = (size_t) server->max_body_memory;
    ret->responses_max = (size_t) server->max_response_memory;
    ret->header_timeout_ms = (int64_t) (server->header_timeout * 1000);
    ret->body_timeout_ms = (int64_t) (server->body_timeout * 1000);
    ret->idle_timeout_ms = (int64_t) (server->idle_timeout * 1000);
    ret->request_timeout_ms = performance->request_timeout < 0 ? -1 : (int64_t) (performance->request_timeout * 1000);
    ret->access = (struct hs_http_access) {
        .origins = server->cors_origins,
        .hosts = server->allowed_hosts,
        .own_host = server->host,
        .admin = (enum hs_http_admin) server->admin,
    };
    if (gethostname(ret->access.machine, sizeof(ret->access.machine) - 1) < 0)
        ret->access.machine[0] = '\0';
    ret->auth = core->auth;
    if (core->app->configure_http)
        core->app->configure_http(core, ret);
}

/* Returns true if a device does not return its pictures and device.on_hang is "exit". */
static bool must_end(const struct hs_app_core *core)
{
    bool hung = false;
    for (size_t i = 0; i < core->cache_count; i++) {
        struct hs_model_pool_status status;
        hs_model_pool_get_status(hs_app_core_pool(core, i), &status);
        hung |= status.hung;
    }
    return hung && core->common->device.on_hang == HS_HANG_EXIT;
}

/* A running service, for the main thread. */
/* Sockets of systemd. */
struct inherited_sockets {
    struct hs_listener items[HS_LISTENERS_MAX];
    size_t count;
};

struct service {
    struct hs_server_reload reload;
    struct hs_certificate_reload certificate;
    const struct inherited_sockets *inherited;
    struct exit_watch *watch;
    int terminal; /* the controlling terminal at the start; -1: none */
    int64_t fed_ns;
    char reload_failure[HS_ERROR_MESSAGE_SIZE]; /* of the last reload; "": it succeeded */
    char status[2 * HS_ERROR_MESSAGE_SIZE];     /* as sent to the service manager */
};

/* SIGHUP means two things: an administrator asks for a reload, or the terminal of a program in the
 * foreground was closed, which ends it. In the second case the terminal is gone. */
static bool terminal_is_gone(int terminal)
{
    struct pollfd poller = { .fd = terminal };
    return terminal >= 0 && poll(&poller, 1, 0) == 1 && poller.revents & (POLLHUP | POLLERR | POLLNVAL);
}

/* Sends the state of the models to the service manager if it has changed. */
static void send_status(struct service *service)
{
    struct hs_app_core *core = service->reload.core;
    char names[HS_APP_MODELS_MAX * 256 + 16], text[sizeof(service->status)], detail[HS_ERROR_MESSAGE_SIZE];
    const char *device = "";
    bool degraded = false;
    if (!hs_notify_wanted())
        return;
    const char *reason = hs_app_not_ready(service->reload.current, detail);
    for (size_t i = 0; i < core->cache_count; i++) {
        struct hs_model_pool_status status;
        hs_model_pool_get_status(hs_app_core_pool(core, i), &status);
        degraded |= status.degraded;
        device = status.device;
    }
    hs_app_core_names(core, names, sizeof(names));
    if (reason)
        hs_str_format(text, sizeof(text), "not ready: %s%s%s", reason, detail[0] ? ": " : "", detail);
    else
        hs_str_format(text, sizeof(text), "%s: %s on %s", degraded ? "degraded" : "ready", names, device);
    size_t len = strlen(text);
    if (service->reload_failure[0])
        hs_str_format(text + len, sizeof(text) - len, "; reload failed, the old settings are in effect: %s",
                      service->reload_failure);
    if (strcmp(text, service->status) != 0)
        hs_notify("STATUS=%s", text);
    hs_str_copy(service->status, sizeof(service->status), text);
}

/* Reports to the service manager that the service works, a few times within its limit. */
static void feed_watchdog(struct service *service)
{
    int64_t limit_ns = hs_notify_watchdog_ns(), now_ns = hs_clock_now_ns();
    if (limit_ns == 0 || !hs_http_is_alive(service->reload.server) || now_ns - service->fed_ns < limit_ns / 4)
        return;
    hs_notify("WATCHDOG=1");
    service->fed_ns = now_ns;
}

/* The manager waits for RELOADING=1 and then READY=1 if the unit has Type=notify-reload. */
static void reload(struct service *service)
{
    struct hs_error err;
    hs_notify("RELOADING=1\nMONOTONIC_USEC=%" PRId64, hs_clock_now_ns() / 1000);
    int r = hs_server_reload_run(&service->reload, &err);
    hs_str_copy(service->reload_failure, sizeof(service->reload_failure), r < 0 ? err.message : "");
    send_status(service);
    hs_notify("READY=1");
}

/* Waits for the end of the service, and reloads it. Returns the signal, or 0 if a hung device ends it. */
static int wait_for_end(struct service *service)
{
    const struct hs_app_core *core = service->reload.core;
    int64_t limit_ns = hs_notify_watchdog_ns(), pause_ns = HS_NS_PER_S;
    if (limit_ns > 0 && limit_ns / 8 < pause_ns)
        pause_ns = limit_ns / 8;
    const struct timespec pause = { .tv_sec = pause_ns / HS_NS_PER_S, .tv_nsec = pause_ns % HS_NS_PER_S };
    for (;;) {
        int number = sigtimedwait(service->watch->waited, NULL, &pause);
        if (number == SIGHUP && !terminal_is_gone(service->terminal))
            reload(service);
        else if (number > 0)
            return number;
        for (size_t i = 0; i < core->cache_count; i++)
            hs_model_pool_watch(hs_app_core_pool(core, i));
        hs_keys_watch(core);
        if (must_end(service->reload.current))
            return 0;
        feed_watchdog(service);
        send_status(service);
    }
}

/* Scripts wait for these lines, so they go to standard output at every log level. */
static void announce(const struct hs_http_server *server)
{
    char url[HS_HTTP_URL_SIZE];
    const struct hs_log_field address[] = { HS_LOG_FIELD_STRING("address", url) };
    for (size_t i = 0; hs_http_url(server, i, url); i++)
        hs_log_announce(address, HS_ARRAY_LEN(address), "listening on %s", url);
}

/* Prints why the service cannot listen. Returns the exit code. */
static int fail_to_listen(const struct hs_invocation *call, const struct hs_server_settings *settings,
                          const struct hs_error *err)
{
    char in_use[HS_ERROR_MESSAGE_SIZE + 32];
    bool one_port = settings->redirect_port == 0 && !hs_str_starts(settings->host, "unix:");
    if (one_port)
        hs_str_format(in_use, sizeof(in_use), "Address already in use (port %d)", settings->port);
    else
        hs_str_format(in_use, sizeof(in_use), "Address already in use (%s)", err->message);
    if (err->code == HS_ECONFLICT)
        hs_startup_error(in_use, "Change port in config or stop conflicting service");
    return hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err->message);
}

/* `number`: the signal, or 0. */
static void log_stopping(int number, size_t active, double timeout_s)
{
    char name[16];
    hs_str_format(name, sizeof(name), "SIG%s", number > 0 ? sigabbrev_np(number) : "");
    const struct hs_log_field fields[] = { HS_LOG_FIELD_STRING("signal", name) };
    hs_log_fields(HS_LOG_INFO, fields, number > 0, "Stopping: %zu request%s to finish, at most %g s", active,
                  active == 1 ? "" : "s", timeout_s);
}

/* Starts to listen. On failure prints the reason and returns the exit code. */
static int start(struct service *service, struct hs_app_core *core)
{
    const struct hs_invocation *call = service->reload.call;
    const struct hs_app *app = core->app;
    struct hs_http_options options;
    struct hs_http_server *server;
    struct hs_tls_context *tls;
    struct hs_error err;
    if (hs_keys_open(core, &err) < 0)
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
    http_options(core, &options);
    options.inherited = service->inherited->items;
    options.inherited_count = service->inherited->count;
    if (options.inherited_count > 0)
        hs_log_info("Using the sockets of systemd instead of server.host, server.port and server.redirect_port");
    if (hs_certificate_load(&core->common->server, &tls, &err) < 0 ||
        hs_http_create(&options, app->routes, *app->route_count, core, &server, &err) < 0)
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
    hs_http_set_tls(server, tls);
    service->reload.server = service->certificate.server = server;
    service->certificate.in_use = tls != NULL;
    if (app->begin)
        app->begin(core);
    if (core->common->model.keep_alive != 0)
        hs_app_core_start_loading(core);
    if (hs_http_start(server, &err) == 0)
        return HS_EXIT_OK;
    hs_http_destroy(server);
    return fail_to_listen(call, &core->common->server, &err);
}

static int serve(struct service *service)
{
    struct hs_app_core *core = service->reload.core;
    struct exit_watch *watch = service->watch;
    char names[HS_APP_MODELS_MAX * 256 + 16];
    struct hs_http_stats stats;
    int code = start(service, core);
    hs_notify_end_start();
    if (code != HS_EXIT_OK)
        return code;
    struct hs_http_server *server = service->reload.server;
    announce(server);
    hs_app_core_names(core, names, sizeof(names));
    hs_log_info("Serving %s on %s", names, hs_model_pool_first(hs_app_core_pool(core, 0))->device);
    hs_keys_log_start(core, server);
    hs_certificate_register(&service->certificate, &core->reload);
    hs_server_reload_init(&service->reload);
    hs_notify("READY=1");
    int number = wait_for_end(service);
    const struct hs_server_settings settings = service->reload.current->common->server;
    hs_notify("STOPPING=1\nSTATUS=finishing requests\nEXTEND_TIMEOUT_USEC=%.0f",
              (settings.shutdown_timeout + CLOSE_S + CLOSE_MIN_S) * 1e6);
    hs_http_stats(server, &stats);
    if (number == 0)
        hs_log_error("A device does not return its pictures: the service ends, because device.on_hang is exit");
    log_stopping(number, stats.active, settings.shutdown_timeout);
    watch->code = number > 0 ? HS_EXIT_OK : HS_EXIT_FAILURE;
    stop(server, settings.shutdown_timeout, watch);
    hs_log_info("Stopped");
    return watch->code;
}

/* Changes to /, so that the start folder can be removed or unmounted. Writes that folder, or "" if it was removed. */
static int change_to_root(struct hs_settings *settings, char ret_folder[PATH_MAX], struct hs_error *err)
{
    char backends[PATH_MAX];
    const char *given = getenv("HS_BACKEND_DIR");
    if (!getcwd(ret_folder, PATH_MAX))
        ret_folder[0] = '\0';
    int r = hs_settings_make_paths_absolute(settings, ret_folder, err);
    if (r < 0)
        return r;
    if (given && given[0] && hs_path_absolute(backends, sizeof(backends), given))
        setenv("HS_BACKEND_DIR", backends, 1);
    return chdir("/") < 0 ? hs_error_set(err, HS_EIO, "cannot enter the folder /: %s", strerror(errno)) : 0;
}

/* The rest is set when the settings are known to be valid. */
static void set_log_format(const struct hs_settings *settings)
{
    const struct hs_logging_settings *logging = &hs_app_common(settings)->logging;
    hs_log_setup(hs_settings_schema(settings)->program, HS_LOG_INFO, (enum hs_log_format) logging->format);
}

/* The format of errors before the settings are read. */
static void guess_log_format(const struct hs_program *program)
{
    char name[HS_VARIABLE_SIZE];
    hs_schema_variable(program->schema, "logging.format", name);
    const char *format = getenv(name);
    hs_log_setup(program->name, HS_LOG_INFO, format && strcmp(format, "json") == 0 ? HS_LOG_JSON : HS_LOG_TEXT);
}

static int run_service(const struct hs_invocation *call, const struct hs_config_override *given, size_t given_count)
{
    struct hs_settings *settings;
    void *state;
    struct hs_error err;
    char refused[HS_REFUSED_SIZE], folder[PATH_MAX];
    sigset_t waited;
    struct inherited_sockets inherited;
    hs_notify_init();
    block_signals(&waited); /* before any thread starts */
    if (hs_listener_inherit(inherited.items, &inherited.count, &err) < 0)
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
    int code = hs_app_load_settings(call, given, given_count, &settings);
    if (code != HS_EXIT_OK)
        return code;
    hs_notify_begin_start();
    hs_selftest_log_hailo(&hs_app_common(settings)->inference);
    if (change_to_root(settings, folder, &err) < 0) {
        hs_settings_destroy(settings);
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
    }
    if (hs_app_create(call->program->app, settings, HS_APP_OPEN | HS_APP_PREPARE, refused, &state, &err) < 0) {
        hs_startup_report_model(refused);
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
    }
    struct exit_watch watch = { .waited = &waited };
    struct service service = {
        .reload = { .call = call,
                    .given = given,
                    .given_count = given_count,
                    .core = state,
                    .http_options = http_options,
                    .folder = folder },
        .inherited = &inherited,
        .watch = &watch,
        .terminal = open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK),
    };
    code = serve(&service);
    hs_app_destroy(state);
    if (watch.watched) {
        pthread_cancel(watch.watcher);
        pthread_join(watch.watcher, NULL);
    }
    if (service.terminal >= 0)
        close(service.terminal);
    return code;
}

static int run(struct hs_invocation *call)
{
    const char *host = NULL, *port = NULL;
    const struct hs_option options[] = {
        HS_TEXT("host", &host, "ADDRESS", "address or unix:PATH to listen on (default: server.host)"),
        HS_TEXT("port", &port, "N", "port to listen on; 0 chooses a free one (default: server.port)"),
    };
    int code;
    call->logs = true;
    call->peek_settings = set_log_format;
    guess_log_format(call->program);
    if (!hs_invocation_read(call, options, HS_ARRAY_LEN(options), &code))
        return code;
    const struct hs_config_override given[] = {
        { "--host", "server.host", host },
        { "--port", "server.port", port },
    };
    return run_service(call, given, HS_ARRAY_LEN(given));
}

static const struct hs_example examples[] = {
    { "serve --models .deps/models", "Serve until Ctrl-C" },
    { "serve --models .deps/models --host 127.0.0.1 --port 8080", "Serve this machine only, on another port" },
};

const struct hs_command hs_command_serve = {
    .name = "serve",
    .arguments = "",
    .summary = "Serve the API over HTTP",
    .run = run,
    HS_EXAMPLES(examples),
};
