#include "http/admission.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/origin.h"
#include "http/access.h"
#include "http/content_coding.h"
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
}

/* Answers a CORS preflight request, which a browser sends before a request that needs permission. */
static void add_preflight(struct hs_http_request *req, const char *allow)
{
    const struct hs_http_access *access = &req->options->access;
    if (!hs_http_header(req, "Access-Control-Request-Method") ||
        !hs_access_allow_origin(access, hs_http_header(req, "Origin")))
        return;
    hs_http_add_header(req, "Access-Control-Allow-Methods", allow);
    hs_http_add_header(req, "Access-Control-Allow-Headers",
                       "Accept, Content-Type, Content-Encoding, Idempotency-Key, X-Request-Id, X-Request-Timeout");
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
        path = strchr(strstr(req->target, "://") + 3, '/');
    if (!named || !hs_host_parse(named, &host)) {
        hs_http_reply_error(req, HS_EINVAL, NULL, "This port only redirects to https, and the request names no host");
        return;
    }
    hs_buf_init(&location, LOCATION_MAX);
    hs_buf_printf(&location, "https://%s", host.host);
    if (port > 0 && port != HTTPS_PORT)
        hs_buf_printf(&location, ":%d", port);
    hs_buf_append_str(&location, path ? path : "/");
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
