#include "service/serve.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "service/startup.h"

/* Workers that may wait for an accelerator at least, while others work. */
enum { WAITING_MIN = 16 };

/* Signals wait for the main thread, and a client that hangs up is an error of its write, not a signal. */
static void take_signals(sigset_t *ret_waited)
{
    sigemptyset(ret_waited);
    sigaddset(ret_waited, SIGTERM);
    sigaddset(ret_waited, SIGINT);
    pthread_sigmask(SIG_BLOCK, ret_waited, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* While the main thread drains, this one waits for a second signal and then ends the process at once. */
static void *end_at_once(void *arg)
{
    int number;
    sigwait(arg, &number);
    hs_log_warning("stopped at once by a second signal");
    _exit(HS_EXIT_OK);
}

static void stop(struct hs_http_server *server, const struct hs_server_settings *settings, sigset_t *waited)
{
    pthread_t watcher;
    bool watched = pthread_create(&watcher, NULL, end_at_once, waited) == 0;
    int64_t timeout_ms = (int64_t) (settings->shutdown_timeout * 1000);
    if (hs_http_drain(server, hs_deadline_in_ms(timeout_ms)) < 0)
        hs_log_warning("requests that did not finish in %.1f s are cut off", settings->shutdown_timeout);
    hs_http_destroy(server);
    if (watched) {
        pthread_cancel(watcher);
        pthread_join(watcher, NULL);
    }
}

/* One more than there are processors: while as many pictures are in the network, the next one is decoded. A worker
 * waits for an accelerator with its picture, and a request that waits for a worker is not looked at, so there are more
 * of them then: that those whose device hangs do not keep others past their deadlines, and for two batches. */
static int default_workers(const struct hs_service *service)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int own = processors > 0 ? (int) processors + 1 : 2;
    if (!service->accelerated)
        return own;
    return own + (2 * service->batch_size > WAITING_MIN ? 2 * service->batch_size : WAITING_MIN);
}

static void http_options(const struct hs_service *service, struct hs_http_options *ret)
{
    const struct hs_server_settings *server = service->settings;
    const struct hs_performance_settings *performance = service->performance;
    hs_http_options_init(ret);
    ret->host = server->host;
    ret->port = server->port;
    ret->workers =
        performance->worker_threads > 0 ? performance->worker_threads : default_workers(service);
    ret->queue_max = (size_t) performance->max_queue_size;
    ret->header_max = (size_t) server->max_header_kb << 10;
    ret->body_idle_ms = (int64_t) (server->body_idle_timeout * 1000);
    ret->connections_max = (size_t) server->max_connections;
    ret->connections_per_address = (size_t) server->max_connections_per_address;
    ret->batch_max = (size_t) server->max_batch;
    ret->body_max = (size_t) server->max_body_mb << 20;
    ret->bodies_max = (size_t) server->max_body_memory;
    ret->header_timeout_ms = (int64_t) (server->header_timeout * 1000);
    ret->body_timeout_ms = (int64_t) (server->body_timeout * 1000);
    ret->idle_timeout_ms = (int64_t) (server->idle_timeout * 1000);
    ret->request_timeout_ms = performance->request_timeout < 0 ? -1 : (int64_t) (performance->request_timeout * 1000);
}

/* The line that scripts wait for. It goes to standard output whatever the log level is. */
static void announce(const struct hs_http_server *server)
{
    printf("listening on http://%s\n", hs_http_address(server));
    fflush(stdout);
}

/* The signal, or 0 where the service must end. */
static int wait_for_end(const struct hs_service *service, const sigset_t *waited)
{
    const struct timespec second = { .tv_sec = 1 };
    for (;;) {
        int number = sigtimedwait(waited, NULL, &second);
        if (number > 0)
            return number;
        if (service->watch)
            service->watch(service->ctx);
        if (service->must_end && service->must_end(service->ctx))
            return 0;
    }
}

int hs_serve(const struct hs_invocation *call, const struct hs_service *service, sigset_t *waited)
{
    struct hs_error err;
    struct hs_http_options options;
    struct hs_http_server *server;
    http_options(service, &options);
    if (service->shape)
        service->shape(&options);
    if (hs_http_create(&options, service->routes, service->route_count, service->ctx, &server, &err) < 0)
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
    if (service->begin)
        service->begin(service->ctx);
    if (hs_http_start(server, &err) < 0) {
        hs_http_destroy(server);
        hs_startup_tell_port(service->settings->port, &err);
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
    }
    announce(server);
    hs_log_info("%s serves %s", call->program->name, service->what);
    int number = wait_for_end(service, waited);
    if (number > 0)
        hs_log_info("%s: finishing what runs", number == SIGINT ? "SIGINT" : "SIGTERM");
    else
        hs_log_error("the device hangs: finishing what runs, to be started again");
    stop(server, service->settings, waited);
    hs_log_info("stopped");
    return number > 0 ? HS_EXIT_OK : HS_EXIT_FAILURE;
}

int hs_serve_command_run(struct hs_invocation *call, const struct hs_serve_command *command)
{
    const char *host = NULL, *port = NULL;
    const struct hs_option options[] = {
        { .name = "host", .kind = HS_OPTION_TEXT, .target = &host, .value = "ADDRESS",
          .help = "where to listen; wins over server.host" },
        { .name = "port", .kind = HS_OPTION_TEXT, .target = &port, .value = "N",
          .help = "port; 0 picks a free one; wins over server.port" },
    };
    struct hs_text_list none = { 0 };
    int code;
    if (!hs_invocation_parse(call, options, HS_ARRAY_LEN(options), &none, 0, &code))
        return code;
    sigset_t waited;
    take_signals(&waited);
    const struct hs_config_override given[] = {
        { "--host", "server.host", host },
        { "--port", "server.port", port },
    };
    struct hs_settings *settings;
    code = command->load(call, given, HS_ARRAY_LEN(given), &settings);
    return code == HS_EXIT_OK ? command->run(call, settings, &waited) : code;
}
