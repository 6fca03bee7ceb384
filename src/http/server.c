#include "http/server.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>
#include <sodium.h>

#include "base/clock.h"
#include "http/daemon.h"
#include "http/exchange.h"

void hs_http_options_init(struct hs_http_options *options)
{
    *options = (struct hs_http_options) {
        .host = "127.0.0.1",
        .workers = 2,
        .queue_max = 64,
        .connections_max = 256,
        .header_max = 16 << 10,
        .body_max = 16 << 20,
        .bodies_max = 256 << 20,
        .batch_max = 32,
        .header_timeout_ms = 10000,
        .body_idle_ms = 10000,
        .body_timeout_ms = 60000,
        .idle_timeout_ms = 60000,
        .request_timeout_ms = 30000,
        .retry_after_s = 1,
        .error_shape = HS_HTTP_ERROR_OBJECT,
        .json_style = HS_JSON_SPACED,
        .json_content_type = "application/json; charset=utf-8",
        .not_found_message = "Not found",
    };
}

/* ---- The watcher's reports ---- */

static void on_gone(void *ctx, uint64_t id)
{
    struct hs_http_server *server = ctx;
    hs_conn_cancel(&server->conns, id);
}

static void on_tick(void *ctx)
{
    struct hs_http_server *server = ctx;
    hs_conn_cut_slow(&server->conns, &server->options);
}

static const struct hs_watch_events watch_events = { on_gone, on_tick };

/* ---- Life ---- */

static int check_options(const struct hs_http_options *o, struct hs_error *err)
{
    if (o->port < 0 || o->port > 65535)
        return hs_error_set(err, HS_EINVAL, "port: must be between 0 and 65535, not %d", o->port);
    if (o->workers < 1 || o->queue_max < 1 || o->connections_max < 1)
        return hs_error_set(err, HS_EINVAL, "workers, queue and connections must be at least 1");
    if (o->header_max < 1024 || o->header_max > 1 << 20)
        return hs_error_set(err, HS_EINVAL, "the headers' bound must be between 1 KiB and 1 MiB");
    if (o->bodies_max < o->body_max)
        return hs_error_set(err, HS_EINVAL, "the memory for bodies is smaller than one body may be");
    if (o->header_timeout_ms < 1 || o->body_idle_ms < 1 || o->body_timeout_ms < 1 || o->idle_timeout_ms < 1)
        return hs_error_set(err, HS_EINVAL, "time limits must be at least 1 ms");
    return 0;
}

int hs_http_create(const struct hs_http_options *options, const struct hs_http_route *routes, size_t count, void *ctx,
                   struct hs_http_server **ret_server, struct hs_error *err)
{
    int r = check_options(options, err);
    if (r < 0)
        return r;
    if (sodium_init() < 0)
        return hs_error_set(err, HS_EINTERNAL, "libsodium cannot be used");
    struct hs_http_server *server = calloc(1, sizeof(*server));
    if (!server)
        return hs_error_set(err, HS_ENOMEM, "no memory for the server");
    server->options = *options;
    server->routes = routes;
    server->route_count = count;
    server->ctx = ctx;
    server->quiesced_fd = -1;
    server->budget.max = options->bodies_max;
    pthread_mutex_init(&server->lock, NULL);
    hs_cond_init(&server->quiet);
    hs_conn_list_init(&server->conns);
    *ret_server = server;
    return 0;
}

/* Often enough for the shortest limit to be kept to about a quarter. */
static int tick_ms(const struct hs_http_options *o)
{
    int64_t shortest = o->header_timeout_ms;
    shortest = o->body_idle_ms < shortest ? o->body_idle_ms : shortest;
    shortest = o->body_timeout_ms < shortest ? o->body_timeout_ms : shortest;
    shortest = o->idle_timeout_ms < shortest ? o->idle_timeout_ms : shortest;
    return shortest < 80 ? 20 : shortest > 4000 ? 1000 : (int) shortest / 4;
}

int hs_http_start(struct hs_http_server *server, struct hs_error *err)
{
    const struct hs_http_options *o = &server->options;
    int fd;
    int r = hs_pool_create("http-worker", o->workers, o->queue_max, &server->pool, err);
    if (r == 0)
        r = hs_pool_start_deadline_thread(server->pool, err);
    if (r == 0)
        r = hs_watch_create(tick_ms(o), &watch_events, server, &server->watch, err);
    if (r == 0)
        r = hs_listen(o->host, o->port, &fd, err);
    if (r < 0)
        return r;
    r = hs_listen_address(fd, server->address, &server->port);
    server->daemon = r < 0 ? NULL : hs_daemon_start(server, fd);
    if (!server->daemon) {
        close(fd);
        return hs_error_set(err, HS_EIO, "the HTTP daemon cannot be started on %s", server->address);
    }
    return 0;
}

const char *hs_http_address(const struct hs_http_server *server)
{
    return server->address;
}

int hs_http_port(const struct hs_http_server *server)
{
    return server->port;
}

int hs_http_drain(struct hs_http_server *server, int64_t deadline_ns)
{
    pthread_mutex_lock(&server->lock);
    bool first = !server->draining;
    server->draining = true;
    pthread_mutex_unlock(&server->lock);
    if (first && server->daemon) {
        /* The network thread may look at the socket until it is stopped, so it is only closed then. */
        server->quiesced_fd = MHD_quiesce_daemon(server->daemon);
        if (server->quiesced_fd >= 0)
            shutdown(server->quiesced_fd, SHUT_RDWR);
    }
    int r = 0;
    pthread_mutex_lock(&server->lock);
    while (server->active > 0 && r == 0)
        r = hs_cond_wait_until(&server->quiet, &server->lock, deadline_ns);
    r = server->active > 0 ? HS_ETIMEOUT : 0;
    pthread_mutex_unlock(&server->lock);
    return r;
}

void hs_http_destroy(struct hs_http_server *server)
{
    if (!server)
        return;
    if (server->daemon)
        hs_http_drain(server, 0);
    /* No job comes any more, and those there are get cancelled. Running them to their end resumes every suspended
     * connection; only then may the daemon be stopped, whose thread uses the pool until then. */
    if (server->pool)
        hs_pool_close(server->pool);
    hs_conn_cancel_all(&server->conns);
    hs_pool_stop(server->pool);
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    hs_pool_destroy(server->pool);
    if (server->quiesced_fd >= 0)
        close(server->quiesced_fd);
    hs_watch_destroy(server->watch);
    hs_conn_list_finish(&server->conns);
    pthread_cond_destroy(&server->quiet);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

void hs_http_stats(struct hs_http_server *server, struct hs_http_stats *ret_stats)
{
    struct hs_http_stats stats = { 0 };
    pthread_mutex_lock(&server->lock);
    stats.requests = server->requests;
    stats.active = server->active;
    pthread_mutex_unlock(&server->lock);
    stats.queued = server->pool ? hs_pool_waiting(server->pool) : 0;
    pthread_mutex_lock(&server->conns.lock);
    stats.connections = server->conns.count;
    stats.cancelled = server->conns.cancelled;
    stats.timed_out = server->conns.timed_out;
    pthread_mutex_unlock(&server->conns.lock);
    /* Last: a connection that is counted no more holds no memory any more. */
    stats.body_bytes = atomic_load(&server->budget.used);
    *ret_stats = stats;
}

void hs_http_stats_of(const struct hs_http_request *req, struct hs_http_stats *ret_stats)
{
    hs_http_stats(req->server, ret_stats);
}
