#include "base/json_read.h"

#include <stdlib.h>

/* Allocations of jansson in this thread that failed. */
static _Thread_local unsigned failures;

static void *allocate(size_t size)
{
    void *data = malloc(size);
    failures += !data;
    return data;
}

/* Before the first thread and the first value. */
__attribute__((constructor)) static void watch_memory(void)
{
    json_set_alloc_funcs(allocate, free);
}

int hs_json_read(const char *text, size_t len, size_t flags, json_t **ret_value, json_error_t *ret_detail)
{
    json_error_t detail;
    /* jansson has a code for a lack of memory, but uses it in few places: in others it says nothing, or that the text
     * is invalid, or it leaves out a character of a string and goes on. */
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
