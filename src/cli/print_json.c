#include "cli/print_json.h"

#include <stdio.h>

#include "http/json_write.h"

enum { REPORT_MAX = 64 << 20 };

int hs_print_json(json_t *report, struct hs_error *err)
{
    struct hs_buf out;
    hs_buf_init(&out, REPORT_MAX);
    int r = report ? hs_json_write(report, HS_JSON_SPACED, &out) : HS_ENOMEM;
    json_decref(report);
    if (r == 0)
        printf("%.*s\n", (int) out.len, (const char *) out.data);
    hs_buf_finish(&out);
    return r < 0 ? hs_error_set(err, r, "no memory for the report") : 0;
}
