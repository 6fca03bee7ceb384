/* `warnings` of an answer: what its reader should know though the request succeeded. An array of objects like the error
 * object: {"code", "message"}; `field` too if a field of the request is concerned, with whose name the message begins;
 * and members of the code's own. References are jansson's; all give NULL without memory. */
#ifndef HS_SERVICE_ANSWER_WARNINGS_H
#define HS_SERVICE_ANSWER_WARNINGS_H

#include <jansson.h>

#include "http/request.h"

/* A warning, which the caller owns and may add members to. field NULL: none. The message becomes one line of UTF-8, cut
 * at the length of an error's. */
json_t *hs_warning_json(const char *code, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Appends the warning, which it takes, to the answer's `warnings`, which are made if there are none. Takes and gives
 * the reference to the answer. Either NULL gives NULL. */
json_t *hs_answer_warn(json_t *answer, json_t *warning);

/* "image_damaged" for a picture (struct hs_image: damage) that came as `field`; "" has no effect. */
json_t *hs_answer_warn_damage(json_t *answer, const char *field, const char *damage);

/* Adds the codes of the answer's warnings, if there are any, as the header X-Warnings: "image_damaged, unknown_field".
 * For an answer that is not JSON. */
void hs_answer_warnings_header(struct hs_http_request *req, const json_t *answer);

#endif
