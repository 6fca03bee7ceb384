/* A JSON body whose top-level object may hold large base64 strings. The scanner walks the bytes as they arrive, gives
 * the content of those strings away and keeps everything else, small, for an ordinary parser. */
#ifndef HS_HTTP_JSON_BODY_H
#define HS_HTTP_JSON_BODY_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/buf.h"
#include "hs/status.h"

/* `index` counts in the list of names. Text comes unescaped and ASCII; `foreign` says that a character that is not
 * ASCII stood there. A negative return ends the parse. */
struct hs_json_body_events {
    int (*begin)(void *ctx, size_t index, struct hs_error *err);
    int (*text)(void *ctx, size_t index, const char *text, size_t len, struct hs_error *err);
    void (*foreign)(void *ctx, size_t index);
};

struct hs_json_body {
    const char *const *names; /* of the strings that are given away; ends with NULL; borrowed */
    const struct hs_json_body_events *events;
    void *ctx;
    struct hs_buf rest;
    size_t depth, depth_max;
    int state;         /* what is being read */
    int in_string;     /* the kind of string that an escape belongs to */
    bool top_is_object, expect_key;
    size_t capture;       /* index of the name whose value comes or is being read; SIZE_MAX: none */
    char key[64];         /* unescaped and cut; key_len may be larger */
    size_t key_len;
    unsigned unicode, unicode_digits;
    size_t line, column;  /* 1-based, of the next byte */
    size_t cut_line, cut_at, cut_len; /* line and place in rest where strings were taken out, and how many bytes */
};

void hs_json_body_init(struct hs_json_body *body, const char *const *names, size_t rest_max, size_t depth_max,
                       const struct hs_json_body_events *events, void *ctx);
void hs_json_body_finish(struct hs_json_body *body);

/* HS_EINVAL "Invalid JSON: …", HS_ETOOLARGE past rest_max. */
int hs_json_body_feed(struct hs_json_body *body, const char *data, size_t len, struct hs_error *err);

/* Parses the rest. A string that was given away is an ordinary string in the result. Caller frees with json_decref. */
int hs_json_body_end(struct hs_json_body *body, json_t **ret_value, struct hs_error *err);

#endif
