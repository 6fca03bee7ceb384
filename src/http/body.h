/* Request bodies, parsed as they arrive: multipart/form-data, a JSON object with base64 pictures, or one picture as it
 * is. What is kept is the pictures (decoded), short texts and the JSON beside the pictures; all of it within bounds
 * known beforehand. */
#ifndef HS_HTTP_BODY_H
#define HS_HTTP_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/budget.h"
#include "hs/status.h"
#include "http/content_coding.h"

/* How the Content-Type chooses the parser. On routes that take one picture, with the rules that allow forms, image/…
 * and application/octet-stream are that picture; but where other types are JSON, and in octets, a body that begins as
 * JSON does is JSON. */
enum hs_body_rule {
    HS_BODY_NONE,           /* no body wanted; a small one is read and dropped */
    HS_BODY_FORM_ELSE_JSON, /* "multipart/form-data" anywhere in it: multipart; another multipart/…: HS_EUNSUPPORTED;
                               anything else, also none: JSON */
    HS_BODY_FORM_OR_JSON,   /* multipart/form-data, application/json, application/…+json; else HS_EUNSUPPORTED */
    HS_BODY_JSON,           /* application/json, application/…+json; else HS_EUNSUPPORTED */
};

/* The fields that a route expects. Lists end with NULL and are borrowed for the body's life. */
struct hs_body_spec {
    const char *const *files; /* fields that hold bytes: file parts, or base64 strings of the top-level object */
    const char *const *texts; /* text parts to keep, others are read and dropped; NULL keeps all */
    size_t bytes_max;         /* the whole body, as sent and unpacked */
    bool any_json;            /* also accept a top-level value that is not an object */
    /* The list of pictures: names for it, NULL if the route has none. In a form its members are the file parts of
     * these names, in their order; in JSON an array of base64 strings, or of objects with such a string `list_member`.
     * None of the names is in files or texts. */
    const char *const *list;
    const char *list_member;
    size_t list_max; /* of its members */
};

enum {
    HS_BODY_PARTS_MAX = 100, /* parts of a form, without those of the list */
    HS_BODY_PART_HEADER_MAX = 8192,
    HS_BODY_TEXT_MAX = 4096,     /* a text part */
    HS_BODY_JSON_MAX = 65536,    /* the JSON without its pictures */
    HS_BODY_JSON_DEPTH_MAX = 33, /* an object of 32 levels in the top-level one */
    HS_BODY_UNUSED_MAX = 8,
    HS_BODY_NAME_SIZE = 64, /* of a field that nobody reads, cut */
};

struct hs_body;

/* content_type may be NULL. budget may be NULL; it outlives the body. HS_EUNSUPPORTED; HS_EINVAL: a form without a
 * boundary, or one picture where the route takes more, which the message names. Caller frees with hs_body_destroy. Not
 * thread-safe. */
int hs_body_create(enum hs_body_rule rule, const char *content_type, const struct hs_body_spec *spec,
                   struct hs_budget *budget, struct hs_body **ret_body, struct hs_error *err);
void hs_body_destroy(struct hs_body *body);

/* Before the first bytes: they are packed. HS_EBUSY: past the budget; HS_ENOMEM. */
int hs_body_set_coding(struct hs_body *body, enum hs_coding coding, struct hs_error *err);

/* Whether hs_body_set_coding made it packed, and how many bytes it has unpacked. */
bool hs_body_is_packed(const struct hs_body *body);
size_t hs_body_unpacked(const struct hs_body *body);

/* Gives the value of a name, NULL if there is none; both strings outlive the body. */
typedef const char *(*hs_body_lookup)(void *ctx, const char *name);

/* The texts that come with a body which is one picture: those of the query. */
void hs_body_set_query(struct hs_body *body, hs_body_lookup lookup, void *ctx);

/* The next bytes, in pieces of any size. After an error nothing more may be fed. HS_EINVAL:
 * malformed; HS_ETOOLARGE: past bytes_max or another bound; HS_EBUSY: past the budget; HS_ENOMEM. */
int hs_body_feed(struct hs_body *body, const void *data, size_t len, struct hs_error *err);

/* The body is complete. HS_EINVAL if it cannot be ("Invalid JSON: …", a form that was cut off). */
int hs_body_end(struct hs_body *body, struct hs_error *err);

/* ---- After hs_body_end ---- */

/* A text part, a JSON string of the top level, or a text of the query; NULL if absent or of another type. Borrowed. As
 * with the next two functions, `name` outlives the body. */
const char *hs_body_text(const struct hs_body *body, const char *name);

/* A value of the top-level object; NULL if absent or not JSON. Borrowed. */
const json_t *hs_body_value(const struct hs_body *body, const char *name);

/* Present, and not null. */
bool hs_body_has(const struct hs_body *body, const char *name);

/* The whole JSON value (pictures in it are short stand-ins), NULL for another body. Borrowed. */
const json_t *hs_body_json(const struct hs_body *body);

/* "a number", "an object" and so on, for messages. */
const char *hs_body_type_name(const json_t *value);

/* The fields of a form or of a JSON object that none of the three functions above asked for and that are no pictures:
 * the first HS_BODY_UNUSED_MAX of them, cut, as UTF-8. Returns their number. */
size_t hs_body_unused(const struct hs_body *body, char ret_names[HS_BODY_UNUSED_MAX][HS_BODY_NAME_SIZE]);

/* Adds a name to such a list of `count` unless it is there, empty, or the list is full. Returns the new count. */
size_t hs_body_note_unused(char names[HS_BODY_UNUSED_MAX][HS_BODY_NAME_SIZE], size_t count, const char *name);

/* The bytes that came for a picture, without taking them, by its place among spec->files and then the members of the
 * list. *ret_len is 0 if none came or they were taken. False: there are no further places. Borrowed. */
bool hs_body_peek(const struct hs_body *body, size_t place, const uint8_t **ret_data, size_t *ret_len);

/* Hands over the bytes of a field of spec->files: caller frees with free(). HS_EMISSING "Missing 'image' field" if
 * it is absent, null, empty or already taken; HS_EINVAL "Invalid base64: …", or "image: must be a base64 string, not
 * a number". */
int hs_body_take_file(struct hs_body *body, const char *name, uint8_t **ret_data, size_t *ret_len,
                      struct hs_error *err);

/* How many members the list has. HS_EMISSING "Missing 'images' field" (the list's first name) if it is absent or
 * empty; HS_EINVAL "images: must be an array of pictures, not a number". */
int hs_body_list_count(const struct hs_body *body, size_t *ret_count, struct hs_error *err);

/* A member as it stands in the JSON, NULL for a form. Borrowed. */
const json_t *hs_body_list_value(const struct hs_body *body, size_t member);

/* Hands over the bytes of a member, as hs_body_take_file does. */
int hs_body_list_take(struct hs_body *body, size_t member, uint8_t **ret_data, size_t *ret_len, struct hs_error *err);

#endif
