#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "hs/status.h"

struct status {
    const char *name;
    int http;
    enum hs_recovery recovery;
};

/* Indexed by the negated code. */
static const struct status statuses[] = { { "ok", 200, HS_RECOVERY_NONE },
#define ROW(name, value, text, http, recovery) [-(value)] = { text, http, HS_RECOVERY_##recovery },
                                          HS_STATUS_MAP(ROW)
#undef ROW
};

static const struct status *find(int code)
{
    bool known = code <= 0 && code > -(int) HS_ARRAY_LEN(statuses) && statuses[-code].name;
    return &statuses[known ? -code : -HS_EINTERNAL];
}

const char *hs_status_name(int code)
{
    return find(code)->name;
}

int hs_status_http(int code)
{
    return find(code)->http;
}

enum hs_recovery hs_status_recovery(int code)
{
    return find(code)->recovery;
}

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

/* A path begins a word, so "a/b" and "https://" are not paths. Text in double quotes was sent by a client
 * (hs_str_quote) and is not changed. */
static bool begins_path(const char *message, const char *at)
{
    return *at == '/' && at[1] && !strchr("/ ", at[1]) && (at == message || strchr(" '`([=<", at[-1]));
}

void hs_error_public(const char *message, char ret_text[HS_ERROR_MESSAGE_SIZE])
{
    const char *end = strstr(message, HS_DETAIL), *at = message;
    size_t len = 0;
    end = end ? end : message + strlen(message);
    while (at < end && len < HS_ERROR_MESSAGE_SIZE - 1) {
        if (begins_path(message, at)) {
            const char *stop = at + strcspn(at, " '\"`,;:()[]<>"), *name = at;
            for (const char *c = at; c < stop && c < end; c++)
                name = *c == '/' && c + 1 < stop ? c + 1 : name;
            at = name;
        }
        ret_text[len++] = *at++;
    }
    ret_text[len] = '\0';
}
