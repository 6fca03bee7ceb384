#include "http/route.h"

#include <string.h>

#include "base/str.h"

static bool path_matches(const char *pattern, const char *path, const char **ret_param)
{
    const char *brace = strstr(pattern, "/{");
    *ret_param = NULL;
    if (!brace)
        return strcmp(pattern, path) == 0;
    size_t prefix = (size_t) (brace - pattern) + 1;
    if (strncmp(pattern, path, prefix) != 0)
        return false;
    *ret_param = path + prefix;
    return **ret_param != '\0' && !strchr(*ret_param, '/');
}

static void allow(char dst[HS_HTTP_ALLOW_SIZE], const char *method)
{
    size_t len = strlen(dst);
    hs_str_format(dst + len, HS_HTTP_ALLOW_SIZE - len, "%s%s", len ? ", " : "", method);
    if (strcmp(method, "GET") == 0)
        allow(dst, "HEAD");
}

int hs_http_route_find(const struct hs_http_route *routes, size_t count, const char *method, const char *path,
                       const struct hs_http_route **ret_route, const char **ret_param,
                       char ret_allow[HS_HTTP_ALLOW_SIZE])
{
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    const char *param;
    ret_allow[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if (!path_matches(routes[i].path, path, &param))
            continue;
        if (strcmp(routes[i].method, wanted) == 0 || strcmp(routes[i].method, method) == 0) {
            *ret_route = &routes[i];
            *ret_param = param;
            return 0;
        }
        allow(ret_allow, routes[i].method);
    }
    return ret_allow[0] ? HS_EMETHOD : HS_ENOTFOUND;
}
