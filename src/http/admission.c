#include "http/admission.h"

#include <math.h>
#include <string.h>

#include <sodium.h>

#include "auth/auth.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/origin.h"
#include "base/str.h"
#include "http/access.h"
#include "http/content_coding.h"
#include "http/http_metrics.h"
#include "http/request.h"
#include "http/request_internal.h"

enum { LOCATION_MAX = 12 << 10, HTTPS_PORT = 443 };

/* ---- Access ---- */

static struct hs_http_source source_of(const struct hs_http_request *req)
{
    return (struct hs_http_source) {
        .host = hs_http_host(req),
        .origin = hs_http_header(req, "Origin"),
        .referer = hs_http_header(req, "Referer"),
        .fetch_site = hs_http_header(req, "Sec-Fetch-Site"),
        .address = hs_http_client(req),
        .proxied = hs_http_is_proxied(req),
        .keyed = req->keyed,
        .admin_key = req->scopes & hs_scope_bit(HS_SCOPE_ADMIN),
    };
}

int hs_http_check_admin(const struct hs_http_request *req, struct hs_error *err)
{
    const struct hs_http_source source = source_of(req);
    return hs_access_check_admin(&req->options->access, &source, err);
}

int hs_admission_check(const struct hs_http_request *req, const struct hs_http_route *route, struct hs_error *err)
{
    const struct hs_http_source source = source_of(req);
    if (route->flags & HS_HTTP_ADMIN)
        return hs_access_check_admin(&req->options->access, &source, err);
    return route->flags & HS_HTTP_CHANGES ? hs_access_check_change(&req->options->access, &source, err) : 0;
}

/* ---- API keys and rates ---- */

static const char *const secret_headers[] = { "Authorization", "X-API-Key" };

bool hs_admission_is_secret_header(const char *name)
{
    for (size_t i = 0; i < HS_ARRAY_LEN(secret_headers); i++) {
        if (hs_str_equal_nocase(name, secret_headers[i]))
            return true;
    }
    return false;
}

/* The request keeps its headers until its response is sent, which may take long. */
static void wipe_keys(struct hs_http_request *req)
{
    for (size_t i = 0; i < req->header_count; i++) {
        char *value = (char *) (uintptr_t) req->headers[i].value;
        if (hs_admission_is_secret_header(req->headers[i].name))
            sodium_memzero(value, strlen(value));
    }
}

/* RFC 6750, 3; an error code only if the client has sent a key. */
static void add_challenge(struct hs_http_request *req, const struct hs_http_route *route, enum hs_auth_failure failure)
{
    char text[128] = "Bearer";
    if (failure == HS_AUTH_INVALID)
        hs_str_copy(text, sizeof(text), "Bearer error=\"invalid_token\"");
    else if (failure == HS_AUTH_SCOPE)
        hs_str_format(text, sizeof(text), "Bearer error=\"insufficient_scope\", scope=\"%s\"",
                      hs_scope_name(route->scope));
    if (failure != HS_AUTH_OK && failure != HS_AUTH_ATTEMPTED)
        hs_http_add_header(req, "WWW-Authenticate", text);
}

/* draft-ietf-httpapi-ratelimit-headers-10: the policy has a quota (q) per window of seconds (w); of it remain
 * r requests, and after t seconds all of it. */
static void add_rate(struct hs_http_request *req, const struct hs_auth_result *result)
{
    const char *name = result->key_id[0] ? "key" : "address";
    char text[96];
    hs_str_format(text, sizeof(text), "\"%s\";q=%.0f;w=%.0f", name, result->rate.burst,
                  ceil(result->rate.burst / result->rate.per_second));
    hs_http_add_header(req, "RateLimit-Policy", text);
    hs_str_format(text, sizeof(text), "\"%s\";r=%.0f;t=%.0f", name, floor(result->state.left),
                  ceil(result->state.reset_s));
    hs_http_add_header(req, "RateLimit", text);
}

/* Logs at most as many lines per address as attempts are allowed, so that a stranger cannot fill the log. */
static void log_attempt(const struct hs_http_request *req, const struct hs_auth_result *result,
                        const struct hs_error *why)
{
    const struct hs_log_field fields[] = {
        HS_LOG_FIELD_STRING("client", hs_http_client(req)),
        HS_LOG_FIELD_STRING("request_id", req->id),
        HS_LOG_FIELD_STRING("key", result->failed_id),
    };
    size_t count = HS_ARRAY_LEN(fields) - (result->failed_id[0] ? 0 : 1);
    if (result->failure == HS_AUTH_INVALID)
        hs_log_fields(HS_LOG_WARNING, fields, count, "Request refused: %s", why->message);
}

/* The rate is checked for valid keys and for clients that need none. */
static void count_refusal(enum hs_auth_failure failure)
{
    static const enum hs_http_key_refusal reasons[] = {
        [HS_AUTH_OK] = HS_HTTP_KEY_RATE,
        [HS_AUTH_MISSING] = HS_HTTP_KEY_MISSING,
        [HS_AUTH_INVALID] = HS_HTTP_KEY_INVALID,
        [HS_AUTH_SCOPE] = HS_HTTP_KEY_SCOPE,
        [HS_AUTH_ATTEMPTED] = HS_HTTP_KEY_ATTEMPTS,
    };
    hs_count(&hs_http_key_refusals, reasons[failure]);
}

int hs_admission_authorize(struct hs_http_request *req, const struct hs_http_route *route, struct hs_error *err)
{
    struct hs_auth_result result;
    const struct hs_auth_request request = {
        .authorization = hs_http_header(req, "Authorization"),
        .api_key = hs_http_header(req, "X-API-Key"),
        .address = hs_http_client(req),
        .scope = route ? route->scope : HS_SCOPE_NONE,
        .is_open = route && route->flags & HS_HTTP_OPEN,
        .is_limited = !route || !(route->flags & HS_HTTP_PROBE),
    };
    if (!req->options->auth)
        return 0;
    int r = hs_auth_check(req->options->auth, &request, &result, err);
    wipe_keys(req);
    req->keyed = result.needs_keys;
    req->scopes = result.scopes;
    req->retry_after_s = result.retry_after_s;
    if (result.key_id[0])
        hs_str_format(req->actor, sizeof(req->actor), "key:%s", result.key_id);
    if (result.limited)
        add_rate(req, &result);
    add_challenge(req, route, result.failure);
    log_attempt(req, &result, err);
    if (r < 0)
        count_refusal(result.failure);
    return r;
}

/* ---- CORS ---- */

void hs_admission_begin(struct hs_http_request *req)
{
    const struct hs_http_access *access = &req->options->access;
    if (!access->origins || !access->origins[0])
        return;
    const char *allowed = hs_access_allow_origin(access, hs_http_header(req, "Origin"));
    hs_http_add_header(req, "Vary", "Origin");
    if (!allowed)
        return;
    hs_http_add_header(req, "Access-Control-Allow-Origin", allowed);
    hs_http_add_header(req, "Access-Control-Expose-Headers", "X-Request-Id, X-Warnings, Server-Timing");
    if (req->options->auth && hs_auth_is_active(req->options->auth))
        hs_http_add_header(req, "Access-Control-Expose-Headers",
                           "WWW-Authenticate, Retry-After, RateLimit, RateLimit-Policy");
}

/* Answers a CORS preflight request, which a browser sends before a request that needs permission. */
static void add_preflight(struct hs_http_request *req, const char *allow)
{
    const struct hs_http_access *access = &req->options->access;
    if (!hs_http_header(req, "Access-Control-Request-Method") ||
        !hs_access_allow_origin(access, hs_http_header(req, "Origin")))
        return;
    hs_http_add_header(req, "Access-Control-Allow-Methods", allow);
    hs_http_add_header(
        req, "Access-Control-Allow-Headers",
        "Accept, Authorization, Content-Type, Content-Encoding, Idempotency-Key, X-API-Key, X-Request-Id, "
        "X-Request-Timeout");
    hs_http_add_header(req, "Access-Control-Max-Age", "600");
}

/* ---- Responses ---- */

void hs_admission_refuse(struct hs_http_request *req, int code, const char *allow, const struct hs_error *err)
{
    if (code == HS_EMETHOD)
        hs_http_add_header(req, "Allow", allow);
    if (code == HS_EMETHOD && strcmp(req->method, "OPTIONS") == 0) {
        add_preflight(req, allow);
        hs_http_reply_bytes(req, 204, "", NULL, 0);
        return;
    }
    enum hs_coding coding;
    if (code == HS_EUNSUPPORTED && hs_coding_read(hs_http_header(req, "Content-Encoding"), &coding, NULL) < 0)
        hs_http_add_header(req, "Accept-Encoding", HS_CODINGS);
    else if (code == HS_EUNSUPPORTED && req->route)
        hs_http_add_header(req, "Accept", /* RFC 9110, 15.5.16 */
                           req->route->body == HS_BODY_JSON ? "application/json"
                                                            : "application/json, multipart/form-data");
    hs_http_reply_error(req, code, NULL, "%s", err->message);
}

/* The port of the redirect is the one that the service itself uses for https; behind a port that is forwarded, a proxy
 * must redirect. */
void hs_admission_redirect(struct hs_http_request *req)
{
    struct hs_origin host;
    struct hs_buf location;
    int port = hs_http_tls_port(req->server);
    const char *named = hs_http_host(req), *path = strchr(req->target, '/');
    if (req->authority)
        path = strpbrk(strstr(req->target, "://") + 3, "/?");
    if (!named || !hs_host_parse(named, &host)) {
        hs_http_reply_error(req, HS_EINVAL, NULL, "This port only redirects to https, and the request names no host");
        return;
    }
    hs_buf_init(&location, LOCATION_MAX);
    hs_buf_printf(&location, "https://%s", host.host);
    if (port > 0 && port != HTTPS_PORT)
        hs_buf_printf(&location, ":%d", port);
    if (!path || path[0] == '?')
        hs_buf_append_str(&location, "/");
    hs_buf_append_str(&location, path ? path : "");
    const char *text = hs_buf_error(&location) == 0 ? hs_buf_str(&location) : NULL;
    if (text) {
        hs_http_add_header(req, "Location", text);
        hs_http_reply_bytes(req, 308, "", NULL, 0);
    } else {
        hs_http_reply_error(req, HS_EURI, NULL, "The request's target is too long for a redirect");
    }
    hs_buf_finish(&location);
}

/* ---- Bodies ---- */

static const char *query(void *ctx, const char *name)
{
    return hs_http_query(ctx, name);
}

int hs_admission_create_body(struct hs_http_request *req, enum hs_body_rule rule, const struct hs_body_spec *spec,
                             struct hs_budget *budget, struct hs_body **ret_body, struct hs_error *err)
{
    enum hs_coding coding;
    struct hs_body *body;
    int r = hs_coding_read(hs_http_header(req, "Content-Encoding"), &coding, err);
    if (r == 0)
        r = hs_body_create(rule, hs_http_header(req, "Content-Type"), spec, budget, &body, err);
    if (r < 0)
        return r;
    hs_body_set_query(body, query, req);
    r = hs_body_set_coding(body, coding, err);
    if (r < 0)
        hs_body_destroy(body);
    else
        *ret_body = body;
    return r;
}
