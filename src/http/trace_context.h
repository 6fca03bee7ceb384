/* The header `traceparent` of W3C Trace Context (https://www.w3.org/TR/trace-context/), which
 * connects a request with the trace of its client. */
#ifndef HS_HTTP_TRACE_CONTEXT_H
#define HS_HTTP_TRACE_CONTEXT_H

#include <stdbool.h>

struct hs_trace_context {
    char trace_id[33], parent_id[17]; /* lower-case hexadecimal digits */
};

/* Reads the value of the header. Returns false if it is invalid; *ret_context is then undefined. A
 * later version than 00 is read as far as this version goes (section 3.2.4). */
bool hs_trace_context_read(const char *value, struct hs_trace_context *ret_context);

#endif
