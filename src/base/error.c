#include <stdarg.h>
#include <stdio.h>

#include "hs/status.h"

int hs_error_set(struct hs_error *err, int code, const char *format, ...)
{
    if (!err)
        return code;
    err->code = code;
    err->line = 0;
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    return code;
}

const char *hs_status_name(int code)
{
    switch (code) {
    case HS_OK:
        return "ok";
#define HS_STATUS_NAME(name, value, text, http, recovery) \
    case HS_##name: \
        return text;
        HS_STATUS_MAP(HS_STATUS_NAME)
#undef HS_STATUS_NAME
    default:
        return "internal";
    }
}

int hs_status_http(int code)
{
    switch (code) {
    case HS_OK:
        return 200;
#define HS_STATUS_HTTP(name, value, text, http, recovery) \
    case HS_##name: \
        return http;
        HS_STATUS_MAP(HS_STATUS_HTTP)
#undef HS_STATUS_HTTP
    default:
        return 500;
    }
}

enum hs_recovery hs_status_recovery(int code)
{
    switch (code) {
    case HS_OK:
        return HS_RECOVERY_NONE;
#define HS_STATUS_RECOVERY(name, value, text, http, recovery) \
    case HS_##name: \
        return HS_RECOVERY_##recovery;
        HS_STATUS_MAP(HS_STATUS_RECOVERY)
#undef HS_STATUS_RECOVERY
    default:
        return HS_RECOVERY_ELSEWHERE;
    }
}
