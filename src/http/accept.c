#include "http/accept.h"

#include <string.h>

#include "base/str.h"
#include "http/request.h"

double hs_accept_quality(const char *accept, const char *type)
{
    size_t len = strlen(type);
    for (const char *at = accept; *at; at += *at == ',') {
        at += strspn(at, " \t");
        size_t item = strcspn(at, ",");
        if (strcspn(at, ";, \t") == len && strncasecmp(at, type, len) == 0) {
            char text[8];
            double quality = 1;
            const char *q = memmem(at, item, "q=", 2);
            if (q && hs_str_copy_n(text, sizeof(text), q + 2, (size_t) (at + item - q) - 2))
                hs_str_to_double(text, &quality);
            return quality;
        }
        at += item;
    }
    return -1;
}

bool hs_accept_prefers(const struct hs_http_request *req, const char *type)
{
    const char *accept = hs_http_header(req, "Accept");
    double quality = accept ? hs_accept_quality(accept, type) : -1;
    return quality > 0 && quality >= hs_accept_quality(accept, "application/json");
}
