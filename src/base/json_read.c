#include "base/json_read.h"

#include <errno.h>
#include <stdbool.h>

int hs_json_read(const char *text, size_t len, size_t flags, json_t **ret_value, json_error_t *ret_detail)
{
    json_error_t detail;
    /* jansson has a code for a lack of memory, but uses it in few places: in others it says nothing, or that the text
     * is invalid. */
    errno = 0;
    json_t *value = json_loadb(text, len, flags, &detail);
    bool no_memory = errno == ENOMEM || !detail.text[0] || json_error_code(&detail) == json_error_out_of_memory;
    if (value)
        *ret_value = value;
    else if (ret_detail)
        *ret_detail = detail;
    return value ? 0 : no_memory ? HS_ENOMEM : HS_EINVAL;
}
