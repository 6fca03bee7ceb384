#include "http/trace_context.h"

#include <string.h>

#include "base/str.h"

/* version "-" trace-id "-" parent-id "-" flags */
enum { VERSION_LEN = 2, TRACE_LEN = 32, PARENT_LEN = 16, FLAGS_LEN = 2 };

/* Reads `len` lower-case hexadecimal digits and what follows them: a '-', or the end of the value if `last`. */
static bool read_digits(const char **at, size_t len, bool last, char *ret_digits)
{
    if (strspn(*at, "0123456789abcdef") != len)
        return false;
    hs_str_copy_n(ret_digits, len + 1, *at, len);
    *at += len;
    if (**at == '\0')
        return last;
    return *(*at)++ == '-';
}

static bool is_zero(const char *digits)
{
    return digits[strspn(digits, "0")] == '\0';
}

bool hs_trace_context_read(const char *value, struct hs_trace_context *ret_context)
{
    char version[VERSION_LEN + 1], flags[FLAGS_LEN + 1];
    const char *at = value;
    if (!read_digits(&at, VERSION_LEN, false, version) || strcmp(version, "ff") == 0 ||
        !read_digits(&at, TRACE_LEN, false, ret_context->trace_id) || is_zero(ret_context->trace_id) ||
        !read_digits(&at, PARENT_LEN, false, ret_context->parent_id) || is_zero(ret_context->parent_id) ||
        !read_digits(&at, FLAGS_LEN, true, flags))
        return false;
    /* Version 00 ends here; a later one may have more fields. */
    return at[-1] != '-' || strcmp(version, "00") != 0;
}
