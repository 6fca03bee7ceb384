/* A JSON body whose top-level object may hold large base64 strings: values of known names, and list
 * members, which are strings or objects that hold such a string. The scanner walks the bytes as
 * they arrive. It passes the content of those strings to the caller, and keeps everything else,
 * which is small, for an ordinary parser. */
#ifndef HS_HTTP_JSON_BODY_H
#define HS_HTTP_JSON_BODY_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/buf.h"
#include "hs/status.h"

/* Identifies a string: `index` counts `names`, then `lists`; `member` is the index in the list. */
struct hs_json_place {
    size_t index, member;
};

/* A negative return value stops the parse. */
struct hs_json_body_events {
    /* A string starts. It replaces an earlier string at the same place. */
    int (*begin)(void *ctx, const struct hs_json_place *place, struct hs_error *err);
    /* Unescaped ASCII text. Each non-ASCII character is a single byte above 0x7f. */
    int (*text)(void *ctx, const struct hs_json_place *place, const char *text, size_t len, struct hs_error *err);
    /* The list has, or may have, one more member. Member 0 starts a list, which replaces an earlier
     * list. */
    int (*member)(void *ctx, const struct hs_json_place *place, struct hs_error *err);
};

struct hs_json_body {
    const char *const *names; /* names of the strings to pass on; ends with NULL; this and the next two are borrowed */
    const char *const *lists; /* names of the list; NULL: no list */
    const char *member_name;  /* name of the string in members that are objects */
    size_t name_count;
    const struct hs_json_body_events *events;
    void *ctx;
    struct hs_buf rest;
    size_t depth, depth_max;
    int state;     /* current scanner state */
    int in_string; /* kind of string that contains the current escape */
    bool top_is_object, expect_key;
    struct hs_json_place capture; /* place of the value being read or expected; index SIZE_MAX: none */
    bool in_list;                 /* depth is 2 or more, inside the list array */
    bool in_member;               /* depth is 3 or more, inside an object that is a list member */
    bool member_expected;         /* the value of member_name follows */
    char key[64];                 /* unescaped and truncated; key_len may be larger */
    size_t key_len;
    unsigned unicode, unicode_digits;
    size_t line, column;              /* position of the next byte, 1-based */
    size_t cut_line, cut_at, cut_len; /* line and offset in `rest` of the removed strings, and their length */
};

void hs_json_body_init(struct hs_json_body *body, const char *const *names, const char *const *lists,
                       const char *member_name, size_t rest_max, size_t depth_max,
                       const struct hs_json_body_events *events, void *ctx);
void hs_json_body_finish(struct hs_json_body *body);

/* Scans the next bytes. HS_EINVAL "Invalid JSON: …"; HS_ETOOLARGE: over rest_max. */
int hs_json_body_feed(struct hs_json_body *body, const char *data, size_t len, struct hs_error *err);

/* Parses the rest. In the result, a string that was passed on holds only its non-ASCII characters,
 * and is usually empty. Caller frees with json_decref. */
int hs_json_body_end(struct hs_json_body *body, json_t **ret_value, struct hs_error *err);

#endif
