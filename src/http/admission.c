#include "http/admission.h"

#include <string.h>

#include "base/mem.h"
#include "http/access.h"
#include "http/content_coding.h"
#include "http/request.h"
#include "http/request_internal.h"

/* ---- Access ---- */

static struct hs_http_source source_of(const struct hs_http_request *req)
{
    static const char *const of_proxies[] = { "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via" };
    struct hs_http_source source = {
        /* RFC 9112, 3.2.2: if the target contains the host, Host is ignored. */
        .host = req->authority ? req->authority : hs_http_header(req, "Host"),
        .origin = hs_http_header(req, "Origin"),
        .referer = hs_http_header(req, "Referer"),
        .fetch_site = hs_http_header(req, "Sec-Fetch-Site"),
        .address = req->remote,
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(of_proxies); i++)
        source.proxied |= hs_http_header(req, of_proxies[i]) != NULL;
    return source;
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
