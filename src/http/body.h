/* Request bodies, parsed as they arrive: multipart/form-data, a JSON object with base64 pictures,
 * or one picture as the whole body. A body keeps the bytes of its pictures (base64 decoded), short
 * texts, and the JSON outside the pictures. Each of these has a fixed limit. */
#ifndef HS_HTTP_BODY_H
#define HS_HTTP_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/budget.h"
#include "hs/status.h"
#include "http/content_coding.h"
#include "http/field.h"

/* How the Content-Type selects the parser. On a route that takes one picture, and with a rule that
 * allows forms, a body of type image/… or application/octet-stream is that picture. Exception: a
 * body that begins like JSON is JSON if its type is application/octet-stream or the rule is
 * HS_BODY_FORM_ELSE_JSON. */
enum hs_body_rule {
    HS_BODY_NONE,           /* no body expected; reads and drops a small one */
    HS_BODY_FORM_ELSE_JSON, /* "multipart/form-data" anywhere in the type: multipart; another multipart/…:
                               HS_EUNSUPPORTED; anything else, or no type: JSON */
    HS_BODY_FORM_OR_JSON,   /* multipart/form-data, application/json, application/…+json; else HS_EUNSUPPORTED */
    HS_BODY_JSON,           /* application/json, application/…+json; else HS_EUNSUPPORTED */
};

/* The fields that a route expects. Lists end with NULL; the body borrows them. */
struct hs_body_spec {
    const char *const *files; /* fields that hold bytes: file parts, or base64 strings in the top-level object */
    /* All fields of the route, including pictures. The body does not show any other field to the handler: parts of a
     * form are read and dropped, and members of an object count as absent. NULL shows all. */
    const struct hs_field *const *fields;
    size_t bytes_max; /* limit of the whole body, both as sent and unpacked */
    bool any_json;    /* also accept a top-level value that is not an object */
    /* Names of the picture list, or NULL if the route has none. In a form, the list members are the
     * file parts with these names, in order. In JSON, the list is an array of base64 strings, or of
     * objects that hold such a string in `list_member`. The names must not appear in files. */
    const char *const *list;
    const char *list_member;
    size_t list_max; /* maximum number of list members */
};

enum {
    HS_BODY_PARTS_MAX = 100, /* parts of a form, excluding list members */
    HS_BODY_PART_HEADER_MAX = 8192,
    HS_BODY_TEXT_MAX = 4096,     /* a text part */
    HS_BODY_JSON_MAX = 65536,    /* the JSON without its base64 pictures */
    HS_BODY_JSON_DEPTH_MAX = 33, /* 32 nested levels inside the top-level object */
    HS_BODY_UNUSED_MAX = 8,
    HS_BODY_NAME_SIZE = 64, /* name of an unused field, truncated */
};

struct hs_body;

/* Creates a parser. content_type may be NULL; budget may be NULL and must outlive the body. Fails
 * with HS_EUNSUPPORTED for an unsupported type, and with HS_EINVAL for a form without a boundary,
 * or for a single picture on a route that takes several, which the message names. Caller frees with
 * hs_body_destroy. Not thread-safe. */
int hs_body_create(enum hs_body_rule rule, const char *content_type, const struct hs_body_spec *spec,
                   struct hs_budget *budget, struct hs_body **ret_body, struct hs_error *err);
void hs_body_destroy(struct hs_body *body);

/* Sets the content coding of a compressed body. Call before the first hs_body_feed. HS_EBUSY: over
 * the budget; HS_ENOMEM. */
int hs_body_set_coding(struct hs_body *body, enum hs_coding coding, struct hs_error *err);

/* Return true if the body is compressed, and the number of bytes unpacked so far. */
bool hs_body_is_compressed(const struct hs_body *body);
size_t hs_body_inflated_bytes(const struct hs_body *body);

/* Returns the value of a name, or NULL if there is none. Both strings must outlive the body. */
typedef const char *(*hs_body_lookup)(void *ctx, const char *name);

/* Sets the source of text fields for a body that is a single picture: the request's query. */
void hs_body_set_query(struct hs_body *body, hs_body_lookup lookup, void *ctx);

/* Parses the next bytes, in pieces of any size. Do not feed more after an error. HS_EINVAL:
 * malformed; HS_ETOOLARGE: over bytes_max or another limit; HS_EBUSY: over the budget; HS_ENOMEM. */
int hs_body_feed(struct hs_body *body, const void *data, size_t len, struct hs_error *err);

/* Ends the body. Fails with HS_EINVAL if the body is incomplete or invalid ("Invalid JSON: …", a
 * truncated form). */
int hs_body_end(struct hs_body *body, struct hs_error *err);

/* ---- After hs_body_end ---- */

/* Returns a text part, a top-level JSON string, or a text of the query; NULL if it is absent or has
 * another type. Borrowed from the body. For this function and the next two, `name` must outlive the
 * body. */
const char *hs_body_text(const struct hs_body *body, const char *name);

/* Returns a value of the top-level object; NULL if it is absent or the body is not JSON. Borrowed
 * from the body. */
const json_t *hs_body_value(const struct hs_body *body, const char *name);

/* Returns true if the field is present and not null. */
bool hs_body_has(const struct hs_body *body, const char *name);

/* Returns the whole JSON value, with short placeholders for pictures; NULL if the body is not JSON.
 * Borrowed from the body. */
const json_t *hs_body_json(const struct hs_body *body);

/* Returns "a number", "an object" and so on, for messages. */
const char *hs_body_type_name(const json_t *value);

/* Lists the fields of a form or JSON object that the three functions above have not read and that
 * are not pictures: the first HS_BODY_UNUSED_MAX names, truncated, as UTF-8. Returns the number of
 * names. */
size_t hs_body_unused(const struct hs_body *body, char ret_names[HS_BODY_UNUSED_MAX][HS_BODY_NAME_SIZE]);

/* Adds a name to such a list of `count` names, unless the name is empty or already listed, or the
 * list is full. Returns the new count. */
size_t hs_body_add_unused(char names[HS_BODY_UNUSED_MAX][HS_BODY_NAME_SIZE], size_t count, const char *name);

/* Returns the bytes received for a picture, without taking them. `place` counts spec->files first,
 * then the list members. *ret_len is 0 if no bytes arrived or they were taken. Returns false if
 * `place` is past the last picture. Borrowed from the body. */
bool hs_body_peek(const struct hs_body *body, size_t place, const uint8_t **ret_data, size_t *ret_len);

/* Moves the bytes of a field of spec->files to the caller, who frees with free(). HS_EMISSING
 * "Missing 'image' field": absent, null, empty or already taken; HS_EINVAL: "Invalid base64: …", or
 * "image: must be a base64 string, not a number". */
int hs_body_take_file(struct hs_body *body, const char *name, uint8_t **ret_data, size_t *ret_len,
                      struct hs_error *err);

/* Counts the list members. HS_EMISSING "Missing 'images' field" (the list's first name): absent or
 * empty; HS_EINVAL: "images: must be an array of pictures, not a number". */
int hs_body_list_count(const struct hs_body *body, size_t *ret_count, struct hs_error *err);

/* Returns a list member as it appears in the JSON; NULL for a form. Borrowed from the body. */
const json_t *hs_body_list_value(const struct hs_body *body, size_t member);

/* Moves the bytes of a list member to the caller, like hs_body_take_file. */
int hs_body_list_take(struct hs_body *body, size_t member, uint8_t **ret_data, size_t *ret_len, struct hs_error *err);

#endif
