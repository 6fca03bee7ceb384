/* Four lines: Host, Origin, Referer, Sec-Fetch-Site; an empty line means absent. A parsed origin reads the same
 * after it is written again. A page that is neither from this host nor listed is never allowed to change
 * anything. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/origin.h"
#include "http/access.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_origin(const char *text)
{
    struct hs_origin origin, again;
    char written[HS_HOST_SIZE + HS_ORIGIN_SCHEME_SIZE + 16];
    if (!text || !hs_origin_parse(text, &origin))
        return;
    snprintf(written, sizeof(written), "%s://%s", origin.scheme, origin.host);
    if (origin.port)
        snprintf(written + strlen(written), sizeof(written) - strlen(written), ":%d", origin.port);
    if (!hs_origin_parse(written, &again) || !hs_origin_equal(&origin, &again) ||
        strcmp(origin.host, again.host) != 0 || hs_origin_error(text))
        abort();
}

/* Without Sec-Fetch-Site only the host's own origin is allowed, besides the listed one. */
static void check_allowed(const struct hs_http_source *source)
{
    struct hs_origin origin, host;
    if (source->fetch_site || !source->origin)
        return;
    if (!hs_origin_parse(source->origin, &origin))
        abort();
    if (strcmp(origin.host, "listed.example") == 0)
        return;
    if (!source->host || !hs_host_parse(source->host, &host) || strcmp(host.host, origin.host) != 0)
        abort();
    if (!hs_host_is_address(&host) && strcmp(host.host, "localhost") != 0 && strcmp(host.host, "pi") != 0 &&
        strcmp(host.host, "pi.local") != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const struct hs_http_access access = {
        .origins = "https://listed.example", .machine = "pi", .own_host = "0.0.0.0", .admin = HS_HTTP_ADMIN_LOCAL
    };
    char *lines = hs_fuzz_text(data, len), *next = lines;
    const char *fields[4] = { NULL };
    struct hs_error err;
    for (size_t i = 0; i < 4 && next; i++) {
        char *line = strsep(&next, "\n");
        fields[i] = line[0] ? line : NULL;
        check_origin(fields[i]);
    }
    const struct hs_http_source source = {
        .host = fields[0], .origin = fields[1], .referer = fields[2], .fetch_site = fields[3], .address = "127.0.0.1"
    };
    int r = hs_access_check_change(&access, &source, &err);
    if (r == 0)
        check_allowed(&source);
    else if (r != HS_EFORBIDDEN || !err.message[0])
        abort();
    if (hs_access_check_admin(&access, &source, NULL) != r)
        abort();
    free(lines);
    return 0;
}
