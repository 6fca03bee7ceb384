/* A JSON body whose top-level object may hold large base64 strings: values of known names, and members of a list, which
 * are strings or objects with such a string. The scanner walks the bytes as they arrive, passes the content of those
 * strings on and keeps everything else, small, for an ordinary parser. */
#ifndef HS_HTTP_JSON_BODY_H
#define HS_HTTP_JSON_BODY_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/buf.h"
#include "hs/status.h"

/* The place of a string: `index` counts the names, and after them those of the list; `member` the list's members. */
struct hs_json_place {
    size_t index, member;
};

/* A negative return ends the parse. */
struct hs_json_body_events {
    /* A string begins. It replaces an earlier one at this place. */
    int (*begin)(void *ctx, const struct hs_json_place *place, struct hs_error *err);
    /* Unescaped ASCII, or a single byte above 0x7f for a character that is not ASCII. */
    int (*text)(void *ctx, const struct hs_json_place *place, const char *text, size_t len, struct hs_error *err);
    /* The list has, or may have, one more member. Member 0 begins a list, which replaces an earlier one. */
    int (*member)(void *ctx, const struct hs_json_place *place, struct hs_error *err);
};

struct hs_json_body {
    const char *const *names; /* of the strings to pass on; ends with NULL; borrowed, as the next two */
    const char *const *lists; /* of the list; NULL: there is none */
    const char *member_name;  /* of the string in members that are objects */
    size_t name_count;
    const struct hs_json_body_events *events;
    void *ctx;
    struct hs_buf rest;
    size_t depth, depth_max;
    int state;     /* what is being read */
    int in_string; /* the kind of string that an escape belongs to */
    bool top_is_object, expect_key;
    struct hs_json_place capture; /* the place whose value comes or is being read; index SIZE_MAX: none */
    bool in_list;                 /* two levels down or more, and the array there is the list */
    bool in_member;               /* three levels down or more, and the object there is a member of it */
    bool member_expected;         /* the value of member_name comes */
    char key[64];                 /* unescaped and cut; key_len may be larger */
    size_t key_len;
    unsigned unicode, unicode_digits;
    size_t line, column;              /* 1-based, of the next byte */
    size_t cut_line, cut_at, cut_len; /* line and offset in rest of strings taken out, and their length */
};

void hs_json_body_init(struct hs_json_body *body, const char *const *names, const char *const *lists,
                       const char *member_name, size_t rest_max, size_t depth_max,
                       const struct hs_json_body_events *events, void *ctx);
void hs_json_body_finish(struct hs_json_body *body);

/* HS_EINVAL "Invalid JSON: …", HS_ETOOLARGE past rest_max. */
int hs_json_body_feed(struct hs_json_body *body, const char *data, size_t len, struct hs_error *err);

/* Parses the rest. A string that was passed on is an empty string in the result, or what it held beyond ASCII. Caller
 * frees with json_decref. */
int hs_json_body_end(struct hs_json_body *body, json_t **ret_value, struct hs_error *err);

#endif
