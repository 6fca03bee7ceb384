#include "base/json_read.h"

#include <stdlib.h>

/* Number of failed allocations by jansson in this thread. */
static _Thread_local unsigned failures;

static void *allocate(size_t size)
{
    void *data = malloc(size);
    failures += !data;
    return data;
}

/* Runs before main, so before the first thread and the first JSON value exist. */
__attribute__((constructor)) static void watch_memory(void)
{
    json_set_alloc_funcs(allocate, free);
}

int hs_json_read(const char *text, size_t len, size_t flags, json_t **ret_value, json_error_t *ret_detail)
{
    json_error_t detail;
    /* jansson reports few failed allocations with its error code for them. For others it sets no error, reports invalid
     * text, or continues with a character of a string missing. */
    unsigned before = failures;
    json_t *value = json_loadb(text, len, flags, &detail);
    if (failures != before) {
        json_decref(value);
        return HS_ENOMEM;
    }
    if (value)
        *ret_value = value;
    else if (ret_detail)
        *ret_detail = detail;
    return value ? 0 : HS_EINVAL;
}
