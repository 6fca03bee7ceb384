#include "service/reload.h"

#include <assert.h>

void hs_reload_add(struct hs_reload *reload, const struct hs_reload_part *part)
{
    assert(reload->count < HS_RELOAD_PARTS_MAX);
    reload->parts[reload->count++] = *part;
}

int hs_reload_apply(const struct hs_reload *reload, const struct hs_settings *next, struct hs_error *err)
{
    struct hs_error why;
    size_t prepared = 0;
    int r = 0;
    while (prepared < reload->count && r == 0) {
        const struct hs_reload_part *part = &reload->parts[prepared];
        r = part->prepare(part->ctx, next, &why);
        if (r < 0)
            hs_error_set(err, r, "%s: %s", part->name, why.message);
        else
            prepared++;
    }
    for (size_t i = 0; r == 0 && i < prepared; i++) {
        if (reload->parts[i].commit)
            reload->parts[i].commit(reload->parts[i].ctx);
    }
    for (; r < 0 && prepared > 0; prepared--) {
        const struct hs_reload_part *part = &reload->parts[prepared - 1];
        if (part->abandon)
            part->abandon(part->ctx);
    }
    return r;
}
