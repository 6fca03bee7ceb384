/* Builds JSON values that are complete or absent: a step that fails frees the value and returns
 * NULL, which later steps accept. Any thread. */
#ifndef HS_BASE_JSON_BUILD_H
#define HS_BASE_JSON_BUILD_H

#include <jansson.h>

/* hs_json_with_item appends an item to a list; hs_json_with_member sets a member of an object. Both
 * take their arguments and return the list or object; NULL if memory is short or an argument is NULL. */
json_t *hs_json_with_item(json_t *list, json_t *item);
json_t *hs_json_with_member(json_t *object, const char *key, json_t *value);

/* Moves to `object` all members of `more` that it does not have. Takes both; returns as above. */
json_t *hs_json_with_members(json_t *object, json_t *more);

#endif
