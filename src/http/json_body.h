/* A JSON body whose top-level object may hold large base64 strings: values of known names, and members of a list, which
 * are strings or objects with such a string. The scanner walks the bytes as they arrive, gives the content of those
 * strings away and keeps everything else, small, for an ordinary parser. */
#ifndef HS_HTTP_JSON_BODY_H
#define HS_HTTP_JSON_BODY_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/buf.h"
#include "hs/status.h"

/* What a string belongs to: `index` counts the names, and after them those of the list; `member` the list's members.
 * A list is begun anew where its name, or another one for it, occurs once more. */
struct hs_json_place {
    size_t index, member;
};

/* Text comes unescaped and ASCII; `foreign` says that a character that is not ASCII stood there. A negative return ends
 * the parse. */
struct hs_json_body_events {
    int (*begin)(void *ctx, const struct hs_json_place *place, struct hs_error *err);
    int (*text)(void *ctx, const struct hs_json_place *place, const char *text, size_t len, struct hs_error *err);
    void (*foreign)(void *ctx, const struct hs_json_place *place);
    int (*list)(void *ctx, size_t index, struct hs_error *err);   /* it begins */
    int (*member)(void *ctx, size_t member, struct hs_error *err); /* there is, or may be, one more */
};

struct hs_json_body {
    const char *const *names; /* of the strings that are given away; ends with NULL; borrowed */
    const char *const *lists; /* of the list; NULL: there is none */
    const char *member_name;  /* of the string in members that are objects */
    const struct hs_json_body_events *events;
    void *ctx;
    struct hs_buf rest;
    size_t depth, depth_max;
    int state;         /* what is being read */
    int in_string;     /* the kind of string that an escape belongs to */
    bool top_is_object, expect_key;
    struct hs_json_place capture; /* whose value comes or is being read; index SIZE_MAX: none */
    bool in_list;         /* two levels down or more, and the array there is the list */
    bool in_member;       /* three levels down or more, and the object there is a member of it */
    bool member_expected; /* the value of member_name comes */
    char key[64];         /* unescaped and cut; key_len may be larger */
    size_t key_len;
    unsigned unicode, unicode_digits;
    size_t line, column;  /* 1-based, of the next byte */
    size_t cut_line, cut_at, cut_len; /* line and place in rest where strings were taken out, and how many bytes */
};

/* The other fields are set afterwards: lists, member_name. */
void hs_json_body_init(struct hs_json_body *body, const char *const *names, size_t rest_max, size_t depth_max,
                       const struct hs_json_body_events *events, void *ctx);
void hs_json_body_finish(struct hs_json_body *body);

/* HS_EINVAL "Invalid JSON: …", HS_ETOOLARGE past rest_max. */
int hs_json_body_feed(struct hs_json_body *body, const char *data, size_t len, struct hs_error *err);

/* Parses the rest. A string that was given away is an ordinary string in the result. Caller frees with json_decref. */
int hs_json_body_end(struct hs_json_body *body, json_t **ret_value, struct hs_error *err);

#endif
