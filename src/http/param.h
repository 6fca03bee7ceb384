/* Typed fields of a body, with errors that name field and reason ("max_detections: must be at least 0, not -1"). A
 * field that is absent or JSON null gives the default. A form's text and a JSON string are read alike. All return 0 or
 * HS_EINVAL, and leave *ret alone on error. */
#ifndef HS_HTTP_PARAM_H
#define HS_HTTP_PARAM_H

#include <stdbool.h>
#include <stdint.h>

#include "http/body.h"

/* min <= value <= max; not a number and infinities are refused. */
int hs_param_double(const struct hs_body *body, const char *name, double min, double max, double fallback, double *ret,
                    struct hs_error *err);

/* A JSON real is cut towards zero (2.9 -> 2); the text "1.5" is refused. */
int hs_param_int(const struct hs_body *body, const char *name, int64_t min, int64_t max, int64_t fallback, int64_t *ret,
                 struct hs_error *err);

/* Seconds: a number, or a text with a unit ("250ms", "30s", "5m"). `forever`: -1 is allowed too. */
int hs_param_seconds(const struct hs_body *body, const char *name, double min, double max, bool forever,
                     double fallback, double *ret, struct hs_error *err);

/* true, false, 1, 0, or as text also yes, no, on, off in any case. */
int hs_param_bool(const struct hs_body *body, const char *name, bool fallback, bool *ret, struct hs_error *err);

/* *ret is borrowed from the body, or is fallback (which may be NULL). */
int hs_param_string(const struct hs_body *body, const char *name, const char *fallback, const char **ret,
                    struct hs_error *err);

/* *ret is the index in names, which ends with NULL. */
int hs_param_enum(const struct hs_body *body, const char *name, const char *const *names, int fallback, int *ret,
                  struct hs_error *err);

#endif
