/* Typed fields of a body, with errors that name the field and the reason ("max_detections: must be
 * at least 0, not -1"). A field that is absent or JSON null returns the default. Text in a form and
 * a JSON string parse the same way. All functions return 0 or HS_EINVAL; on error they leave *ret
 * unchanged. */
#ifndef HS_HTTP_PARAM_H
#define HS_HTTP_PARAM_H

#include <stdbool.h>
#include <stdint.h>

#include "http/body.h"
#include "http/field.h"

/* Requires min <= value <= max; rejects NaN and infinities. */
int hs_param_double(const struct hs_body *body, const char *name, double min, double max, double fallback, double *ret,
                    struct hs_error *err);

/* Truncates a JSON real towards zero (2.9 -> 2); rejects the text "1.5". */
int hs_param_int(const struct hs_body *body, const char *name, int64_t min, int64_t max, int64_t fallback, int64_t *ret,
                 struct hs_error *err);

/* Reads seconds: a number, or text with a unit ("250ms", "30s", "5m"). `unlimited`: also accepts -1. */
int hs_param_seconds(const struct hs_body *body, const char *name, double min, double max, bool unlimited,
                     double fallback, double *ret, struct hs_error *err);

/* Parses 1, 0, true, yes, on, false, no or off, without case. False: another text, *ret is unchanged. */
bool hs_param_read_bool(const char *text, bool *ret);

/* Accepts true, false, 1, 0, and as text also yes, no, on, off in any case. */
int hs_param_bool(const struct hs_body *body, const char *name, bool fallback, bool *ret, struct hs_error *err);

/* Sets *ret to a string borrowed from the body, or to fallback (which may be NULL). */
int hs_param_string(const struct hs_body *body, const char *name, const char *fallback, const char **ret,
                    struct hs_error *err);

/* Sets *ret to the index in names, which ends with NULL. */
int hs_param_enum(const struct hs_body *body, const char *name, const char *const *names, int fallback, int *ret,
                  struct hs_error *err);

/* ---- The same by the row of the field, with its bounds and flags ---- */

int hs_field_double(const struct hs_body *body, const struct hs_field *field, double fallback, double *ret,
                    struct hs_error *err);
int hs_field_int(const struct hs_body *body, const struct hs_field *field, int64_t fallback, int64_t *ret,
                 struct hs_error *err);
int hs_field_seconds(const struct hs_body *body, const struct hs_field *field, double fallback, double *ret,
                     struct hs_error *err);
int hs_field_bool(const struct hs_body *body, const struct hs_field *field, bool fallback, bool *ret,
                  struct hs_error *err);
int hs_field_string(const struct hs_body *body, const struct hs_field *field, const char *fallback, const char **ret,
                    struct hs_error *err);
int hs_field_choice(const struct hs_body *body, const struct hs_field *field, int fallback, int *ret,
                    struct hs_error *err);

/* Read a field of the query (hs_http_query). */
struct hs_http_request;
int hs_query_int(struct hs_http_request *req, const struct hs_field *field, int64_t fallback, int64_t *ret,
                 struct hs_error *err);
int hs_query_bool(struct hs_http_request *req, const struct hs_field *field, bool fallback, bool *ret,
                  struct hs_error *err);

#endif
