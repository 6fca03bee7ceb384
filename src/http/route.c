#include "http/route.h"

#include <string.h>

#include "base/str.h"

struct span {
    char *text;
    size_t len;
};

/* Returns true if a segment as sent, with percent-encoding, equals this literal text. */
static bool matches(const struct span *segment, const char *literal, size_t len)
{
    const char *p = segment->text, *end = p + segment->len;
    for (; p < end && len > 0; p++, literal++, len--) {
        int high = *p == '%' ? hs_str_hex_digit(p[1]) : -1, low = high >= 0 ? hs_str_hex_digit(p[2]) : -1;
        if ((low >= 0 ? high << 4 | low : (unsigned char) *p) != (unsigned char) *literal)
            return false;
        p += low >= 0 ? 2 : 0;
    }
    return p == end && len == 0;
}

/* Compares segment by segment; an encoded '/' belongs to its segment. */
static bool path_matches(const char *pattern, char *path, struct span ret_params[HS_HTTP_PARAMS_MAX])
{
    for (size_t count = 0;; pattern++, path++) {
        size_t len = strcspn(pattern, "/");
        const struct span segment = { path, strcspn(path, "/") };
        if (pattern[0] == '{' && count < HS_HTTP_PARAMS_MAX && segment.len > 0)
            ret_params[count++] = segment;
        else if (!matches(&segment, pattern, len))
            return false;
        pattern += len;
        path += segment.len;
        if (*pattern != *path)
            return false;
        if (*pattern == '\0')
            return true;
    }
}

/* Adds a method to the list, once. */
static void allow(char dst[HS_HTTP_ALLOW_SIZE], const char *method)
{
    size_t len = strlen(dst), method_len = strlen(method);
    for (const char *at = dst; (at = strstr(at, method)); at += method_len) {
        if ((at == dst || at[-1] == ' ') && strchr(",", at[method_len]))
            return;
    }
    hs_str_format(dst + len, HS_HTTP_ALLOW_SIZE - len, "%s%s", len ? ", " : "", method);
    if (strcmp(method, "GET") == 0)
        allow(dst, "HEAD");
}

int hs_http_route_find(const struct hs_http_route *routes, size_t count, const char *method, char *path,
                       const struct hs_http_route **ret_route, const char *ret_params[HS_HTTP_PARAMS_MAX],
                       char ret_allow[HS_HTTP_ALLOW_SIZE])
{
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    bool all = strcmp(path, "*") == 0; /* RFC 9110, 9.3.7 */
    ret_allow[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        struct span params[HS_HTTP_PARAMS_MAX] = { 0 };
        if (!all && !path_matches(routes[i].path, path, params))
            continue;
        if (all || (strcmp(routes[i].method, wanted) != 0 && strcmp(routes[i].method, method) != 0)) {
            allow(ret_allow, routes[i].method);
            continue;
        }
        for (size_t k = 0; k < HS_HTTP_PARAMS_MAX; k++) {
            ret_params[k] = params[k].text;
            if (!params[k].text)
                continue;
            params[k].text[params[k].len] = '\0';
            hs_str_percent_decode(params[k].text, false);
        }
        *ret_route = &routes[i];
        return 0;
    }
    if (!ret_allow[0])
        return HS_ENOTFOUND;
    allow(ret_allow, "OPTIONS");
    return HS_EMETHOD;
}
