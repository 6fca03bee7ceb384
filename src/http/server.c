#include "http/server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/str.h"
#include "http/http_metrics.h"
#include "http/request_internal.h"

void hs_http_options_init(struct hs_http_options *options)
{
    *options = (struct hs_http_options) {
        .host = "127.0.0.1",
        .workers = 2,
        .heavy_max = 1,
        .queue_max = 64,
        .connections_max = 256,
        .header_max = 16 << 10,
        .body_max = 16 << 20,
        .bodies_max = 256 << 20,
        .responses_max = 32 << 20,
        .batch_max = 32,
        .header_timeout_ms = 10000,
        .body_idle_ms = 10000,
        .body_timeout_ms = 60000,
        .idle_timeout_ms = 60000,
        .body_rate_min = 1 << 10,
        .response_rate_min = 4 << 10,
        .rate_window_ms = 10000,
        .request_timeout_ms = 30000,
        .retry_after_s = 1,
        .error_shape = HS_HTTP_ERROR_OBJECT,
        .json_style = HS_JSON_SPACED,
        .json_content_type = "application/json; charset=utf-8",
        .not_found_message = "Not found",
    };
}

/* ---- Creation and destruction ---- */

int hs_http_create(const struct hs_http_options *options, const struct hs_http_route *routes, size_t count, void *ctx,
                   struct hs_http_server **ret_server, struct hs_error *err)
{
    const struct hs_http_options *o = options;
    if (o->port < 0 || o->port > 65535)
        return hs_error_set(err, HS_EINVAL, "port: must be between 0 and 65535, not %d", o->port);
    if (o->workers < 1 || o->heavy_max < 1 || o->queue_max < 1 || o->connections_max < 1)
        return hs_error_set(err, HS_EINVAL, "workers, queue and connections must be at least 1");
    if (o->header_max < 1024 || o->header_max > 1 << 20)
        return hs_error_set(err, HS_EINVAL, "the limit of the headers must be between 1 KiB and 1 MiB");
    if (o->bodies_max < o->body_max)
        return hs_error_set(err, HS_EINVAL, "server.max_body_memory is smaller than server.max_body_mb; increase it");
    if (o->header_timeout_ms < 1 || o->body_idle_ms < 1 || o->body_timeout_ms < 1 || o->idle_timeout_ms < 1 ||
        o->rate_window_ms < 1)
        return hs_error_set(err, HS_EINVAL, "time limits must be at least 1 ms");
    if (sodium_init() < 0)
        return hs_error_set(err, HS_EINTERNAL, "cannot initialise libsodium");
    struct hs_http_server *server = calloc(1, sizeof(*server));
    if (!server)
        return hs_error_set(err, HS_ENOMEM, "no memory for the server");
    server->options = *options;
    server->routes = routes;
    server->route_count = count;
    server->ctx = ctx;
    server->metrics = hs_http_metrics_create(routes, count);
    int r = server->metrics ? hs_completion_queue_init(&server->completions, err)
                            : hs_error_set(err, HS_ENOMEM, "no memory for the server");
    if (r < 0) {
        free(server->metrics);
        free(server);
        return r;
    }
    server->loop.listen_fd = -1;
    hs_budget_init(&server->bodies, options->bodies_max);
    hs_budget_init(&server->responses, options->responses_max);
    pthread_mutex_init(&server->lock, NULL);
    hs_cond_init(&server->quiet);
    *ret_server = server;
    return 0;
}

static int try_bind(const struct addrinfo *info)
{
    int on = 1, off = 0;
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, info->ai_protocol);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (info->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* Listens on the first available address of the host; "::" also accepts IPv4. */
static int listen_on(const char *host, int port, int *ret_fd, struct hs_error *err)
{
    char name[256], service[16];
    size_t len = strlen(host);
    bool brackets = len >= 2 && host[0] == '[' && host[len - 1] == ']';
    if (!hs_str_copy_n(name, sizeof(name), host + brackets, len - 2 * brackets))
        return hs_error_set(err, HS_EIO, "server.host is longer than any host name");
    hs_str_format(service, sizeof(service), "%d", port);
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *list;
    int r = getaddrinfo(name[0] ? name : NULL, service, &hints, &list);
    if (r != 0)
        return hs_error_set(err, HS_EIO, "cannot resolve %s: %s; check server.host", host, gai_strerror(r));
    int fd = -1;
    for (const struct addrinfo *info = list; info && fd < 0; info = info->ai_next)
        fd = try_bind(info);
    int reason = errno;
    freeaddrinfo(list);
    if (fd < 0)
        return hs_error_set(err, reason == EADDRINUSE ? HS_ECONFLICT : HS_EIO, "cannot listen on %s port %d: %s", host,
                            port, strerror(reason));
    *ret_fd = fd;
    return 0;
}

int hs_http_start(struct hs_http_server *server, struct hs_error *err)
{
    const struct hs_http_options *o = &server->options;
    int fd = -1;
    int r = hs_pool_create("http-worker", o->workers, o->queue_max, true, &server->pool, err);
    if (r == 0)
        hs_pool_set_heavy_max(server->pool, o->heavy_max);
    if (r == 0 && o->long_work)
        r = hs_pool_create("http-long", 1, 1, false, &server->long_work, err);
    if (r == 0)
        r = listen_on(o->host, o->port, &fd, err);
    if (r < 0)
        return r;
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    char host[HS_ADDRESS_SIZE - 8], service[8];
    if (getsockname(fd, (struct sockaddr *) &address, &len) < 0 ||
        getnameinfo((struct sockaddr *) &address, len, host, sizeof(host), service, sizeof(service),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        close(fd);
        return hs_error_set(err, HS_EIO, "cannot read the address of the listening socket");
    }
    hs_str_format(server->address, sizeof(server->address), address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
                  service);
    return hs_event_loop_start(&server->loop, server, fd, err);
}

const char *hs_http_address(const struct hs_http_server *server)
{
    return server->address;
}

int hs_http_drain(struct hs_http_server *server, int64_t deadline_ns)
{
    if (server->loop.running && !atomic_load(&server->draining))
        hs_event_loop_stop_listening(&server->loop);
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
    hs_http_drain(server, 0);
    /* Accept no more jobs and cancel the existing ones. The network thread handles their responses
     * until the last worker finishes, and uses the pool until it ends. */
    if (server->pool)
        hs_pool_close(server->pool);
    if (server->long_work)
        hs_pool_close(server->long_work);
    hs_completion_queue_command(&server->completions, true, false);
    hs_pool_stop(server->pool);
    hs_pool_stop(server->long_work);
    hs_event_loop_stop(&server->loop);
    hs_pool_destroy(server->pool);
    hs_pool_destroy(server->long_work);
    hs_completion_queue_finish(&server->completions);
    hs_budget_finish(&server->bodies);
    hs_budget_finish(&server->responses);
    pthread_cond_destroy(&server->quiet);
    pthread_mutex_destroy(&server->lock);
    free(server->metrics);
    free(server);
}

void hs_http_stats(struct hs_http_server *server, struct hs_http_stats *ret_stats)
{
    struct hs_http_stats stats = { 0 };
    pthread_mutex_lock(&server->lock);
    stats.active = server->active;
    pthread_mutex_unlock(&server->lock);
    stats.requests = atomic_load(&server->requests);
    if (server->pool)
        stats.workers_busy = hs_pool_get_load(server->pool, &stats.queued);
    stats.workers = (size_t) server->options.workers;
    stats.connections = atomic_load(&server->connections);
    stats.cancelled = atomic_load(&server->cancelled);
    stats.timed_out = atomic_load(&server->timed_out);
    /* Read these last: a connection that is no longer counted holds no memory. */
    stats.body_bytes = hs_budget_used(&server->bodies, NULL);
    stats.response_bytes = hs_budget_used(&server->responses, NULL);
    *ret_stats = stats;
}

void hs_http_stats_of(const struct hs_http_request *req, struct hs_http_stats *ret_stats)
{
    hs_http_stats(req->server, ret_stats);
}

void hs_http_put_metrics_of(const struct hs_http_request *req, struct hs_metrics_writer *writer)
{
    hs_http_metrics_put(req->server->metrics, writer);
}
