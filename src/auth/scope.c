#include "auth/scope.h"

#include <stdbool.h>
#include <string.h>

#include "base/str.h"

static const char *const names[HS_SCOPE_COUNT] = {
    [HS_SCOPE_NONE] = "",
    [HS_SCOPE_DETECT] = "detect",
    [HS_SCOPE_RECOGNIZE] = "recognize",
    [HS_SCOPE_GALLERY_READ] = "gallery:read",
    [HS_SCOPE_GALLERY_WRITE] = "gallery:write",
    [HS_SCOPE_ADMIN] = "admin",
};

const char *hs_scope_name(enum hs_scope scope)
{
    return names[scope];
}

int hs_scope_find(const char *name, enum hs_scope *ret_scope, struct hs_error *err)
{
    char shown[64];
    for (size_t i = HS_SCOPE_NONE + 1; i < HS_SCOPE_COUNT; i++) {
        if (strcmp(names[i], name) == 0) {
            *ret_scope = (enum hs_scope) i;
            return 0;
        }
    }
    hs_str_quote(shown, sizeof(shown), name, strlen(name));
    return hs_error_set(err, HS_EINVAL,
                        "%s is not a scope; the scopes are detect, recognize, gallery:read, gallery:write and admin",
                        shown);
}

int hs_scopes_read(const char *text, unsigned *ret_scopes, struct hs_error *err)
{
    static const char separators[] = ", ";
    unsigned scopes = 0;
    char item[HS_SCOPES_TEXT_SIZE];
    bool any = false;
    if (strcmp(text, "none") == 0 || strcmp(text, "all") == 0) {
        for (size_t i = HS_SCOPE_NONE + 1; text[0] == 'a' && i < HS_SCOPE_COUNT; i++)
            scopes |= hs_scope_bit((enum hs_scope) i);
        *ret_scopes = scopes;
        return 0;
    }
    for (const char *at = text + strspn(text, separators); *at; at += strspn(at, separators)) {
        enum hs_scope scope;
        size_t len = strcspn(at, separators);
        hs_str_copy_n(item, sizeof(item), at, len);
        int r = hs_scope_find(item, &scope, err);
        if (r < 0)
            return r;
        scopes |= hs_scope_bit(scope);
        any = true;
        at += len;
    }
    if (!any)
        return hs_error_set(err, HS_EINVAL, "The list of scopes is empty; write none for a key without scopes");
    *ret_scopes = scopes;
    return 0;
}

const char *hs_scopes_write(unsigned scopes, char ret_text[HS_SCOPES_TEXT_SIZE])
{
    ret_text[0] = '\0';
    for (size_t i = HS_SCOPE_NONE + 1, len = 0; i < HS_SCOPE_COUNT; i++, len = strlen(ret_text)) {
        if (scopes & hs_scope_bit((enum hs_scope) i))
            hs_str_format(ret_text + len, HS_SCOPES_TEXT_SIZE - len, "%s%s", len ? " " : "", names[i]);
    }
    return ret_text;
}
