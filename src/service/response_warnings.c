#include "service/response_warnings.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "hs/status.h"

enum { HEADER_SIZE = 256 };

json_t *hs_warning_json(const char *code, const char *field, const char *format, ...)
{
    char message[HS_ERROR_MESSAGE_SIZE] = "";
    if (field)
        hs_str_format(message, sizeof(message), "%s: ", field);
    size_t len = strlen(message);
    va_list args;
    va_start(args, format);
    vsnprintf(message + len, sizeof(message) - len, format, args);
    va_end(args);
    hs_str_make_line(message);
    /* "s:s*" would silently omit the field if memory runs out. */
    return field ? json_pack("{s:s, s:s, s:s}", "code", code, "message", message, "field", field)
                 : json_pack("{s:s, s:s}", "code", code, "message", message);
}

json_t *hs_response_warn(json_t *response, json_t *warning)
{
    json_t *warnings = json_object_get(response, "warnings");
    if (response && !warnings && json_object_set_new(response, "warnings", json_array()) == 0)
        warnings = json_object_get(response, "warnings");
    if (json_array_append_new(warnings, warning) == 0)
        return response;
    json_decref(response);
    return NULL;
}

json_t *hs_response_warn_damage(json_t *response, const char *field, const char *damage)
{
    return damage[0] ? hs_response_warn(response, hs_warning_json("image_damaged", field, "%s", damage)) : response;
}

void hs_response_warnings_header(struct hs_http_request *req, const json_t *response)
{
    char codes[HEADER_SIZE] = "";
    size_t i, len = 0;
    json_t *warning;
    json_array_foreach(json_object_get(response, "warnings"), i, warning)
    {
        const char *code = json_string_value(json_object_get(warning, "code"));
        if (!strstr(codes, code) && hs_str_format(codes + len, sizeof(codes) - len, "%s%s", len ? ", " : "", code))
            len = strlen(codes);
    }
    if (codes[0])
        hs_http_add_header(req, "X-Warnings", codes);
}
