/* The `warnings` array of a response: remarks on a request that succeeded. Each warning is an object
 * like the error object: {"code", "message"}, and {"field"} if a field of the request caused it;
 * the message then begins with the name of the field. A code may add members. References are
 * jansson's. All functions return NULL if memory runs out. */
#ifndef HS_SERVICE_RESPONSE_WARNINGS_H
#define HS_SERVICE_RESPONSE_WARNINGS_H

#include <jansson.h>

#include "http/request.h"

/* Returns a new warning, to which the caller may add members. `field` may be NULL. The message is
 * reduced to one line of UTF-8 and cut at the length of an error message. Caller frees with
 * json_decref. */
json_t *hs_warning_json(const char *code, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Appends `warning` to the response's `warnings`, and creates the array if it is missing. Takes both
 * references. Returns the reference to the response; NULL if either argument is NULL. */
json_t *hs_response_warn(json_t *response, json_t *warning);

/* Appends "image_damaged" for the picture sent as `field`, with the message `damage` (struct
 * hs_image). An empty `damage` has no effect. Takes and returns the reference to the response. */
json_t *hs_response_warn_damage(json_t *response, const char *field, const char *damage);

/* Adds the codes of the response's warnings, if any, as the header X-Warnings: "image_damaged,
 * unknown_field". For answers that are not JSON. */
void hs_response_warnings_header(struct hs_http_request *req, const json_t *response);

#endif
