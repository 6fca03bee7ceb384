#include "service/certificate.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "service/app.h"

enum { DAY_S = 86400, WARN_DAYS = 14 };

static int check(const struct hs_server_settings *settings, struct hs_error *err)
{
    bool certificate = settings->tls_certificate[0], key = settings->tls_key[0];
    if (certificate && !key)
        return hs_error_set(err, HS_EINVAL, "server.tls_certificate needs server.tls_key");
    if (key && !certificate)
        return hs_error_set(err, HS_EINVAL, "server.tls_key needs server.tls_certificate");
    if (settings->redirect_port > 0 && !certificate)
        return hs_error_set(err, HS_EINVAL,
                            "server.redirect_port redirects to https, which needs "
                            "server.tls_certificate");
    if (settings->redirect_port > 0 && hs_str_starts(settings->host, "unix:"))
        return hs_error_set(err, HS_EINVAL, "server.redirect_port needs a TCP address in server.host");
    return 0;
}

/* A certificate that begins later is used: after a start without network, the clock of a small computer is behind. */
static void log_validity(const char *source, const struct hs_tls_context *context)
{
    char date[HS_TIME_SIZE];
    int64_t now_s = (int64_t) hs_clock_wall_s(), expires_s = hs_tls_context_expires(context);
    if (!hs_clock_format_utc(expires_s, HS_TIME_MINUTES, date, sizeof(date)))
        hs_str_copy(date, sizeof(date), "?");
    if (expires_s - now_s < WARN_DAYS * DAY_S)
        hs_log_warning("The TLS certificate %s expires soon, on %s", source, date);
    else
        hs_log_info("Using the TLS certificate %s, valid until %s", source, date);
    if (hs_tls_context_begins(context) > now_s)
        hs_log_warning("The TLS certificate %s is not valid yet; check the clock of this machine", source);
}

int hs_certificate_load(const struct hs_server_settings *settings, struct hs_tls_context **ret_context,
                        struct hs_error *err)
{
    struct hs_tls_context *context = NULL;
    int r = check(settings, err);
    if (r == 0 && settings->tls_certificate[0])
        r = hs_tls_context_load(settings->tls_certificate, settings->tls_key, &context, err);
    if (r < 0)
        return r;
    if (context)
        log_validity(settings->tls_certificate, context);
    *ret_context = context;
    return 0;
}

/* ---- Reload ---- */

static int prepare(void *ctx, const struct hs_settings *next, struct hs_error *err)
{
    struct hs_certificate_reload *certificate = ctx;
    int r = hs_certificate_load(&hs_app_common(next)->server, &certificate->next, err);
    if (r == 0 && certificate->in_use != (certificate->next != NULL))
        hs_log_warning("TLS is switched on or off by a restart only: see server.tls_certificate");
    return r;
}

static void abandon(void *ctx)
{
    struct hs_certificate_reload *certificate = ctx;
    hs_tls_context_free(certificate->next);
    certificate->next = NULL;
}

static void commit(void *ctx)
{
    struct hs_certificate_reload *certificate = ctx;
    if (certificate->in_use && certificate->next) {
        hs_http_set_tls(certificate->server, certificate->next);
        certificate->next = NULL;
    }
    abandon(certificate);
}

void hs_certificate_register(struct hs_certificate_reload *certificate, struct hs_reload *reload)
{
    const struct hs_reload_part part = {
        .name = "TLS certificate",
        .prepare = prepare,
        .commit = commit,
        .abandon = abandon,
        .ctx = certificate,
    };
    hs_reload_add(reload, &part);
}
