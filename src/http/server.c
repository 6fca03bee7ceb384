#include "http/server.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/str.h"
#include "http/http_metrics.h"
#include "http/request_internal.h"

void hs_http_options_init(struct hs_http_options *options)
{
    *options = (struct hs_http_options) {
        .host = "127.0.0.1",
        .socket_mode = 0660,
        .path_prefix = "",
        .trusted_proxies = "",
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
        .stuck_after_ms = 30000,
        .retry_after_s = 1,
        .error_shape = HS_HTTP_ERROR_OBJECT,
        .json_style = HS_JSON_SPACED,
        .json_content_type = "application/json; charset=utf-8",
        .not_found_message = "Not found",
    };
}

/* ---- Creation and destruction ---- */

static int check_options(const struct hs_http_options *o, struct hs_error *err)
{
    if (o->port < 0 || o->port > 65535)
        return hs_error_set(err, HS_EINVAL, "port: must be between 0 and 65535, not %d", o->port);
    if (o->redirect_port < 0 || o->redirect_port > 65535)
        return hs_error_set(err, HS_EINVAL, "redirect_port: must be between 0 and 65535, not %d", o->redirect_port);
    if (o->workers < 1 || o->heavy_max < 1 || o->queue_max < 1 || o->connections_max < 1)
        return hs_error_set(err, HS_EINVAL, "workers, queue and connections must be at least 1");
    if (o->header_max < 1024 || o->header_max > 1 << 20)
        return hs_error_set(err, HS_EINVAL, "the limit of the headers must be between 1 KiB and 1 MiB");
    if (o->bodies_max < o->body_max)
        return hs_error_set(err, HS_EINVAL, "server.max_body_memory is smaller than server.max_body_mb; increase it");
    if (o->header_timeout_ms < 1 || o->body_idle_ms < 1 || o->body_timeout_ms < 1 || o->idle_timeout_ms < 1 ||
        o->rate_window_ms < 1)
        return hs_error_set(err, HS_EINVAL, "time limits must be at least 1 ms");
    return 0;
}

/* The caller has the only reference. NULL: out of memory. */
static struct hs_http_revision *create_revision(struct hs_http_server *server, const struct hs_http_options *options,
                                                void *ctx, void (*release)(void *ctx))
{
    struct hs_http_revision *revision = calloc(1, sizeof(*revision));
    if (revision)
        *revision = (struct hs_http_revision) {
            .server = server, .options = *options, .ctx = ctx, .release = release, .refs = 1
        };
    return revision;
}

int hs_http_create(const struct hs_http_options *options, const struct hs_http_route *routes, size_t count, void *ctx,
                   struct hs_http_server **ret_server, struct hs_error *err)
{
    int r = check_options(options, err);
    if (r < 0)
        return r;
    if (sodium_init() < 0)
        return hs_error_set(err, HS_EINTERNAL, "cannot initialise libsodium");
    struct hs_http_server *server = calloc(1, sizeof(*server));
    struct hs_http_revision *revision = server ? create_revision(server, options, ctx, NULL) : NULL;
    if (!revision)
        r = hs_error_set(err, HS_ENOMEM, "no memory for the server");
    if (r == 0 && !(server->metrics = hs_http_metrics_create(routes, count)))
        r = hs_error_set(err, HS_ENOMEM, "no memory for the server");
    if (r == 0)
        r = hs_proxies_init(&server->proxies, options->trusted_proxies, err);
    if (r == 0)
        r = hs_completion_queue_init(&server->completions, err);
    if (r < 0) {
        if (server) {
            hs_proxies_finish(&server->proxies);
            free(server->metrics);
        }
        hs_http_revision_unref(revision);
        free(server);
        return r;
    }
    server->options = *options;
    server->workers = (size_t) options->workers;
    server->stuck_after_ns = options->stuck_after_ms * HS_NS_PER_MS;
    server->current = revision;
    server->routes = routes;
    server->route_count = count;
    for (size_t i = 0; i < options->inherited_count; i++)
        server->loop.listeners[i] = options->inherited[i];
    server->loop.listener_count = options->inherited_count;
    hs_budget_init(&server->bodies, options->bodies_max);
    hs_budget_init(&server->responses, options->responses_max);
    pthread_mutex_init(&server->lock, NULL);
    pthread_mutex_init(&server->tls_lock, NULL);
    hs_cond_init(&server->quiet);
    *ret_server = server;
    return 0;
}

/* ---- Revisions ---- */

int hs_http_revision_create(struct hs_http_server *server, const struct hs_http_options *options, void *ctx,
                            void (*release)(void *ctx), struct hs_http_revision **ret_revision, struct hs_error *err)
{
    int r = check_options(options, err);
    if (r < 0)
        return r;
    *ret_revision = create_revision(server, options, ctx, release);
    return *ret_revision ? 0 : hs_error_set(err, HS_ENOMEM, "no memory for new options");
}

void hs_http_revision_commit(struct hs_http_revision *revision)
{
    struct hs_http_server *server = revision->server;
    pthread_mutex_lock(&server->lock);
    struct hs_http_revision *overtaken = server->committed;
    server->committed = revision;
    pthread_mutex_unlock(&server->lock);
    hs_http_revision_abandon(overtaken);
    hs_completion_queue_command(&server->completions, false, false);
}

void hs_http_revision_abandon(struct hs_http_revision *revision)
{
    hs_http_revision_unref(revision);
}

void hs_http_revision_unref(struct hs_http_revision *revision)
{
    if (!revision || --revision->refs > 0)
        return;
    if (revision->release)
        revision->release(revision->ctx);
    free(revision);
}

void hs_http_take_revision(struct hs_http_server *server)
{
    pthread_mutex_lock(&server->lock);
    struct hs_http_revision *revision = server->committed;
    server->committed = NULL;
    pthread_mutex_unlock(&server->lock);
    if (!revision)
        return;
    hs_http_revision_unref(server->current);
    server->current = revision;
    server->options = revision->options;
}

/* ---- Listening ---- */

static int listen_on(struct hs_http_server *server, const char *host, int port, struct hs_error *err)
{
    struct hs_event_loop *loop = &server->loop;
    int r = hs_listener_open(host, port, server->options.socket_mode, &loop->listeners[loop->listener_count], err);
    if (r == 0)
        loop->listener_count++;
    return r;
}

static int open_listeners(struct hs_http_server *server, struct hs_error *err)
{
    const struct hs_http_options *o = &server->options;
    int r = 0;
    if (server->loop.listener_count == 0) {
        r = listen_on(server, o->host, o->port, err);
        if (r == 0 && o->redirect_port > 0)
            r = listen_on(server, o->host, o->redirect_port, err);
        if (r == 0)
            server->loop.listeners[server->loop.listener_count - 1].redirects = o->redirect_port > 0;
    }
    return r;
}

int hs_http_start(struct hs_http_server *server, struct hs_error *err)
{
    const struct hs_http_options *o = &server->options;
    server->uses_tls = server->tls;
    int r = hs_pool_create("http-worker", o->workers, o->queue_max, true, &server->pool, err);
    if (r == 0)
        hs_pool_set_heavy_max(server->pool, o->heavy_max);
    if (r == 0 && o->long_work)
        r = hs_pool_create("http-long", 1, 1, false, &server->long_work, err);
    if (r == 0)
        r = open_listeners(server, err);
    return r < 0 ? r : hs_event_loop_start(&server->loop, server, err);
}

const char *hs_http_address(const struct hs_http_server *server)
{
    return server->loop.listeners[0].address;
}

bool hs_http_url(const struct hs_http_server *server, size_t index, char ret_url[HS_HTTP_URL_SIZE])
{
    if (index >= server->loop.listener_count)
        return false;
    const struct hs_listener *listener = &server->loop.listeners[index];
    const char *scheme = hs_http_uses_tls(server, listener) ? "https://" : listener->is_unix ? "" : "http://";
    hs_str_format(ret_url, HS_HTTP_URL_SIZE, "%s%s", scheme, listener->address);
    return true;
}

const char *hs_http_exposed_address(const struct hs_http_server *server)
{
    for (size_t i = 0; i < server->loop.listener_count; i++) {
        const struct hs_listener *listener = &server->loop.listeners[i];
        if (!listener->loopback && !listener->redirects)
            return listener->address;
    }
    return NULL;
}

const char *hs_http_exposed_address_of(const struct hs_http_request *req)
{
    return req->server ? hs_http_exposed_address(req->server) : NULL;
}

/* ---- TLS ---- */

void hs_http_set_tls(struct hs_http_server *server, struct hs_tls_context *context)
{
    pthread_mutex_lock(&server->tls_lock);
    struct hs_tls_context *old = server->tls;
    server->tls = context;
    pthread_mutex_unlock(&server->tls_lock);
    hs_tls_context_free(old);
}

bool hs_http_uses_tls(const struct hs_http_server *server, const struct hs_listener *listener)
{
    return server->uses_tls && !listener->is_unix && !listener->redirects;
}

int hs_http_tls_port(const struct hs_http_server *server)
{
    for (size_t i = 0; i < server->loop.listener_count; i++) {
        if (hs_http_uses_tls(server, &server->loop.listeners[i]))
            return server->loop.listeners[i].port;
    }
    return 0;
}

struct hs_tls_session *hs_http_create_tls_session(struct hs_http_server *server, int fd)
{
    pthread_mutex_lock(&server->tls_lock);
    struct hs_tls_session *session = hs_tls_session_create(server->tls, fd);
    pthread_mutex_unlock(&server->tls_lock);
    return session;
}

/* ---- The end ---- */

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
    hs_http_revision_unref(server->committed);
    hs_http_revision_unref(server->current);
    pthread_cond_destroy(&server->quiet);
    pthread_mutex_destroy(&server->lock);
    pthread_mutex_destroy(&server->tls_lock);
    hs_tls_context_free(server->tls);
    hs_proxies_finish(&server->proxies);
    free(server->metrics);
    free(server);
}

bool hs_http_is_alive(struct hs_http_server *server)
{
    bool given = atomic_load(&server->signs_given) == atomic_load(&server->signs_wanted);
    if (given)
        atomic_fetch_add(&server->signs_wanted, 1);
    hs_completion_queue_command(&server->completions, false, false);
    return given && !hs_pool_is_stuck(server->pool, server->stuck_after_ns);
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
    stats.workers = server->workers;
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
    static const struct hs_metric expiry = { "hailo_tls_certificate_expiry_timestamp_seconds",
                                             "Time at which the certificate expires.", HS_METRIC_GAUGE, false };
    struct hs_http_server *server = req->server;
    hs_http_metrics_put(server->metrics, writer);
    pthread_mutex_lock(&server->tls_lock);
    int64_t expires_s = server->tls ? hs_tls_context_expires(server->tls) : 0;
    pthread_mutex_unlock(&server->tls_lock);
    if (expires_s > 0)
        hs_metrics_put_single(writer, &expiry, (double) expires_s);
}
