/* Scopes of API keys: the groups of routes that a key may call. */
#ifndef HS_AUTH_SCOPE_H
#define HS_AUTH_SCOPE_H

#include <stddef.h>

#include "hs/status.h"

/* Scopes are independent: none contains another. */
enum hs_scope {
    HS_SCOPE_NONE,          /* of a route: any valid key may call it */
    HS_SCOPE_DETECT,        /* find people or faces in pictures */
    HS_SCOPE_RECOGNIZE,     /* compute and compare embeddings, and name faces */
    HS_SCOPE_GALLERY_READ,  /* list identities and read their embeddings */
    HS_SCOPE_GALLERY_WRITE, /* add, rename and remove identities */
    HS_SCOPE_ADMIN,         /* the administrator's routes and options (http/access.h) */
    HS_SCOPE_COUNT,
};

enum { HS_SCOPES_TEXT_SIZE = 64 };

/* A set of scopes; the bit of HS_SCOPE_NONE is unused. */
static inline unsigned hs_scope_bit(enum hs_scope scope)
{
    return scope == HS_SCOPE_NONE ? 0 : 1U << scope;
}

/* Returns "gallery:read" for HS_SCOPE_GALLERY_READ; "" for HS_SCOPE_NONE. */
const char *hs_scope_name(enum hs_scope scope);

/* Finds a scope by its name. HS_EINVAL: the message lists the names. */
int hs_scope_find(const char *name, enum hs_scope *ret_scope, struct hs_error *err);

/* Reads a list such as "detect,gallery:read", with commas or blanks between the items. "all" stands
 * for all scopes, and "none" for the empty set; both only alone. HS_EINVAL. */
int hs_scopes_read(const char *text, unsigned *ret_scopes, struct hs_error *err);

/* Writes the names of a set, joined by blanks; "" for the empty set. Returns ret_text. */
const char *hs_scopes_write(unsigned scopes, char ret_text[HS_SCOPES_TEXT_SIZE]);

#endif
