/* The description of a route for people and programs: what service/openapi.h writes beside the route's own row. All
 * structs are constant; texts are Markdown without a final full stop. */
#ifndef HS_HTTP_ROUTE_DOC_H
#define HS_HTTP_ROUTE_DOC_H

#include <stddef.h>

#include "http/field.h"

enum hs_member_type {
    HS_MEMBER_TEXT,
    HS_MEMBER_INTEGER,
    HS_MEMBER_NUMBER,
    HS_MEMBER_BOOLEAN,
    HS_MEMBER_TIME,   /* "YYYY-MM-DD HH:MM:SS", UTC */
    HS_MEMBER_OBJECT, /* `object`, or any object if that is NULL */
    HS_MEMBER_POINT,  /* [x, y] */
    HS_MEMBER_BOX,    /* [x, y, width, height] */
    HS_MEMBER_ID,     /* a text or a whole number */
};

enum {
    HS_MEMBER_OPTIONAL = 1,
    HS_MEMBER_NULL = 2,  /* may be null */
    HS_MEMBER_ARRAY = 4, /* an array of the type */
};

struct hs_object_doc;

/* A member of a JSON object in a response. */
struct hs_member {
    const char *name;
    enum hs_member_type type;
    unsigned flags;
    const char *const *values;          /* HS_MEMBER_TEXT: all possible texts, ends with NULL; NULL: any */
    const struct hs_object_doc *object; /* HS_MEMBER_OBJECT */
    const struct hs_object_doc *other;  /* HS_MEMBER_OBJECT: the alternative, as in the results of a batch; or NULL */
    const char *help;
};

/* A JSON object in responses. Clients must accept further members. */
struct hs_object_doc {
    const char *name; /* "PoseAnswer": a name in components/schemas */
    const char *help;
    const struct hs_object_doc *base; /* its members come first; NULL: none */
    const struct hs_member *members;
    size_t member_count;
};

/* A body that a route sends. A status may have several, of different types. */
struct hs_response_doc {
    int status;
    const char *type;                   /* "image/jpeg"; NULL: JSON */
    const struct hs_object_doc *object; /* of JSON; of other types NULL or the object of a line or an event */
    const char *help;
};

/* A route that continues with a member of the response: a parameter of its path. */
struct hs_link_doc {
    const char *id;                   /* of the other route */
    const char *parameter;            /* "name" */
    const char *member;               /* a JSON pointer into the response: "/name" */
    const char *parameter2, *member2; /* NULL: only one */
};

struct hs_route_doc {
    const char *id;      /* unique: "detect_people" */
    const char *tag;     /* group of routes: "detection" */
    const char *summary; /* "Detect people in a picture" */
    const char *help;    /* NULL: the summary is enough */
    /* Lists of rows that end with NULL; NULL: none. The fields of the body are in the route's spec. */
    const struct hs_field *const *path, *const *query, *const *headers;
    const struct hs_response_doc *responses;
    size_t response_count;
    const struct hs_link_doc *links; /* of the status 200 */
    size_t link_count;
    const int *errors;                   /* HS_E… that this route adds to those of all routes; ends with 0; or NULL */
    const struct hs_object_doc *refusal; /* JSON of the status 422 if it is not just an error; or NULL */
};

/* Initialisers. */
#define HS_MEMBERS(table) .members = (table), .member_count = HS_ARRAY_LEN(table)
#define HS_RESPONSES(table) .responses = (table), .response_count = HS_ARRAY_LEN(table)
#define HS_LINKS(table) .links = (table), .link_count = HS_ARRAY_LEN(table)

#endif
