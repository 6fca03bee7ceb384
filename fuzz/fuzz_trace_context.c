/* The value of the header traceparent. An accepted value begins with a version and exactly the ids that were read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/trace_context.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_id(const char *id, size_t len)
{
    if (strlen(id) != len || strspn(id, "0123456789abcdef") != len || strspn(id, "0") == len)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct hs_trace_context context;
    char written[64];
    char *text = hs_fuzz_text(data, len);
    if (hs_trace_context_read(text, &context)) {
        check_id(context.trace_id, 32);
        check_id(context.parent_id, 16);
        snprintf(written, sizeof(written), "-%s-%s-", context.trace_id, context.parent_id);
        if (strlen(text) < 55 || strncmp(text + 2, written, strlen(written)) != 0 || strncmp(text, "ff", 2) == 0)
            abort();
        if (strncmp(text, "00", 2) == 0 && strlen(text) != 55)
            abort();
    }
    free(text);
    return 0;
}
