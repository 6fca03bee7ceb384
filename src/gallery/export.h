/* The gallery as one portable file, and back: docs/face.md has the format. */
#ifndef HS_GALLERY_EXPORT_H
#define HS_GALLERY_EXPORT_H

#include "gallery/gallery.h"

enum { HS_GALLERY_REFUSED_MAX = 100 };

/* Calls `write` with pieces of the file, in order; stops if it returns other than 0, and returns that. Each identity
 * is of one moment; those that change meanwhile may be in it as before or as after. Metadata and quality that could not
 * have been stored by this program are left out. */
int hs_gallery_export(struct hs_gallery *gallery, int (*write)(void *arg, const char *data, size_t len), void *arg,
                      struct hs_error *err);

/* Not taken: a whole identity (embedding -1) or one embedding of it, and why. */
struct hs_gallery_refused {
    size_t line;       /* of the file, from 1 */
    int64_t embedding; /* its place in the identity, from 0; -1: the identity */
    char reason[160];
};

struct hs_gallery_imported {
    size_t identities; /* lines of which something was added, or all was there */
    size_t added;      /* embeddings */
    size_t present;    /* embeddings that the identity had */
    size_t refused_count;
    struct hs_gallery_refused refused[HS_GALLERY_REFUSED_MAX]; /* the first of them */
};

/* Adds what a file has to the gallery, as hs_gallery_add does, all in one transaction. New identities and embeddings
 * have the times that the file gives. HS_EDECODE: not such a file, or
 * its sum is not right; nothing of it is taken then. */
int hs_gallery_import(struct hs_gallery *gallery, const char *data, size_t len,
                      struct hs_gallery_imported *ret_imported, struct hs_error *err);

#endif
