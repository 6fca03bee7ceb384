/* A field of requests: one row from which http/param.h reads it and service/openapi.h describes it, so that the
 * description and the behaviour are the same. A handler sees only the fields of a body that its route lists (struct
 * hs_body_spec). All rows are constant. */
#ifndef HS_HTTP_FIELD_H
#define HS_HTTP_FIELD_H

#include <stddef.h>

enum hs_field_type {
    HS_FIELD_NUMBER,  /* min..max */
    HS_FIELD_INTEGER, /* min..max; in a query, max 0: no maximum */
    HS_FIELD_BOOLEAN,
    HS_FIELD_SECONDS,  /* min..max; a number, or a text with a unit */
    HS_FIELD_TEXT,     /* min..max bytes; max 0: not stated */
    HS_FIELD_CHOICE,   /* one of `choices` */
    HS_FIELD_OBJECT,   /* a JSON object; in a form its text */
    HS_FIELD_BOX,      /* [x, y, width, height] of numbers; in a form its text */
    HS_FIELD_PICTURE,  /* a file part, or a base64 string in JSON */
    HS_FIELD_PICTURES, /* 1..server.max_batch file parts, or an array in JSON */
};

enum {
    HS_FIELD_REQUIRED = 1,
    HS_FIELD_UNLIMITED = 2, /* HS_FIELD_SECONDS: -1 is also allowed */
    HS_FIELD_AUTO = 4,      /* HS_FIELD_NUMBER: the word "auto" is also allowed */
    HS_FIELD_NULL = 16,     /* null is a value of its own; in other fields it selects the default */
    HS_FIELD_ONE_OF = 8,    /* a request needs at least one of the fields with this flag */
};

struct hs_field {
    const char *name;
    enum hs_field_type type;
    unsigned flags;
    double min, max;
    const char *const *choices; /* ends with NULL */
    const char *pattern;     /* HS_FIELD_TEXT: a regular expression of ECMA-262, which its reader checks; NULL: none */
    const char *setting;     /* the default is the value of this setting; NULL: see default_val */
    const char *default_val; /* the default as JSON; NULL: none */
    const char *help;        /* Markdown without a final full stop */
};

#endif
