/* Exports the gallery to one portable file and imports it again. docs/face.md specifies the format. */
#ifndef HS_GALLERY_EXPORT_H
#define HS_GALLERY_EXPORT_H

#include "gallery/gallery.h"

enum { HS_GALLERY_REFUSED_MAX = 100 };

/* Calls `write` with successive pieces of the file; stops and returns its result if that is not 0.
 * Exports only the identity `name`, unless that is NULL; HS_ENOTFOUND.
 * Each identity is written as of one moment; an identity that changes during the export may appear
 * in its old or its new state. Omits metadata and quality that this program would not accept. */
int hs_gallery_export(struct hs_gallery *gallery, const char *name,
                      int (*write)(void *arg, const char *data, size_t len), void *arg, struct hs_error *err);

/* A rejected identity (embedding -1) or one rejected embedding, with the reason. */
struct hs_gallery_refused {
    size_t line;       /* line of the file, from 1 */
    int64_t embedding; /* index in the identity, from 0; -1: the whole identity */
    char reason[160];
};

struct hs_gallery_imported {
    size_t identities; /* lines of which an embedding was added, or all were present */
    size_t added;      /* embeddings */
    size_t present;    /* embeddings that the identity already had */
    size_t refused_count;
    struct hs_gallery_refused refused[HS_GALLERY_REFUSED_MAX]; /* the first ones */
};

/* Adds the content of a file to the gallery, as hs_gallery_add does, in one transaction. New
 * identities and embeddings get the times in the file. HS_EDECODE: the file is not an export, or
 * its checksum is wrong; then nothing is imported. */
int hs_gallery_import(struct hs_gallery *gallery, const char *data, size_t len,
                      struct hs_gallery_imported *ret_imported, struct hs_error *err);

#endif
