/* `warnings` of an answer: what its reader should know though the request succeeded. */
#ifndef HS_SERVICE_ANSWER_WARNINGS_H
#define HS_SERVICE_ANSWER_WARNINGS_H

#include <jansson.h>

/* Appends "FIELD: TEXT" to the answer's array `warnings`, which is made if there is none; `field` is the field of the
 * request that it concerns. Does nothing if `text` is "". Takes and gives the reference; NULL gives NULL, as does
 * having no memory. */
json_t *hs_answer_warn(json_t *answer, const char *field, const char *text);

#endif
