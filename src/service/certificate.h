/* The TLS certificate of a service: read at the start, and again when the settings are reloaded. */
#ifndef HS_SERVICE_CERTIFICATE_H
#define HS_SERVICE_CERTIFICATE_H

#include "config/common.h"
#include "hs/status.h"
#include "http/server.h"
#include "http/tls.h"
#include "service/reload.h"

/* Loads the certificate of the settings and logs until when it is valid. *ret_context is NULL if they have none.
 * HS_EINVAL also for settings that do not fit together (a key without a certificate, a redirect without TLS). */
int hs_certificate_load(const struct hs_server_settings *settings, struct hs_tls_context **ret_context,
                        struct hs_error *err);

struct hs_certificate_reload {
    struct hs_http_server *server;
    bool in_use;                 /* the service started with TLS */
    struct hs_tls_context *next; /* between prepare and commit */
};

/* Registers the certificate: a reload reads its files again, and further connections use them. Borrows both arguments
 * until the service ends. */
void hs_certificate_register(struct hs_certificate_reload *certificate, struct hs_reload *reload);

#endif
