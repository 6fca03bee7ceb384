/* Audits the whole gallery: which faces can match, and which records of another program violate our rules. */
#ifndef HS_GALLERY_AUDIT_H
#define HS_GALLERY_AUDIT_H

#include "gallery/gallery.h"

/* Reports if a model with a given space and dimension can match an embedding. The first reason that
 * applies is used. */
enum hs_gallery_use {
    HS_GALLERY_OTHER_SPACE,   /* made by another model */
    HS_GALLERY_OTHER_SIZE,    /* has another dimension */
    HS_GALLERY_DAMAGED,       /* not finite, or not of length 1 */
    HS_GALLERY_UNKNOWN_SPACE, /* model not known: see hs_gallery_set_space */
    HS_GALLERY_USABLE,
    HS_GALLERY_USES,
};

enum hs_gallery_use hs_gallery_use_of(const struct hs_gallery_entry *entry, const char *space, size_t dimension);

struct hs_gallery_usability {
    int64_t embeddings[HS_GALLERY_USES]; /* number of embeddings of each kind */
    int64_t identities_without;          /* identities whose embeddings are all unusable */
};

static inline int64_t hs_gallery_unusable(const struct hs_gallery_usability *usability)
{
    int64_t count = 0;
    for (int use = 0; use < HS_GALLERY_USABLE; use++)
        count += usability->embeddings[use];
    return count;
}

/* The first names of one kind, each with a reason, and the total number. */
enum { HS_GALLERY_LISTED_MAX = 20 };
struct hs_gallery_listed {
    int64_t count;
    struct {
        char name[HS_GALLERY_NAME_MAX + 1]; /* invalid bytes are replaced by '?' */
        char reason[160];
    } items[HS_GALLERY_LISTED_MAX];
};

struct hs_gallery_audit {
    int schema_version;
    int64_t identities, embeddings;
    int64_t sealed, plain; /* embeddings that are encrypted, and that are not */
    struct hs_gallery_usability usability;
    struct hs_gallery_listed without;  /* identities whose embeddings are all unusable */
    struct hs_gallery_listed names;    /* names that hs_gallery_add would reject or normalize */
    struct hs_gallery_listed metadata; /* metadata that cannot be shown or exported */
};

/* Audits the gallery, as of one moment, for a model with that space and dimension. Reads the whole
 * gallery, so it is slow. If space is NULL, checks only names and metadata. */
int hs_gallery_audit(struct hs_gallery *gallery, const char *space, size_t dimension,
                     struct hs_gallery_audit *ret_audit, struct hs_error *err);

/* Audits a file without opening it as a gallery: does not migrate, repair or create it. First runs
 * SQLite's full integrity check. `key` as in struct hs_gallery_options. HS_EIO: the file is damaged
 * or unreadable; HS_EVERSION: it is from a newer version; HS_EKEY: it needs another key. */
int hs_gallery_audit_file(const char *path, const char *key, int busy_timeout_ms, const char *space, size_t dimension,
                          struct hs_gallery_audit *ret_audit, struct hs_error *err);

/* ---- embeddings of an unknown space ---- */

struct hs_gallery_assigned {
    int64_t identities, embeddings; /* that were assigned to the space */
    int64_t scaled;                 /* of these, number that were scaled to length 1 */
    int64_t other_size, damaged;    /* left unchanged: another dimension; not finite, or of length 0 */
};

/* Assigns a space and a model to the embeddings of unknown space that have exactly `dimension`
 * finite values. Runs as one change, which indexes follow. Drops no embedding, although an identity
 * may then exceed the limit for the space; the next addition to it drops some. HS_EINVAL: space,
 * model. */
int hs_gallery_set_space(struct hs_gallery *gallery, const char *space, const char *model, size_t dimension,
                         struct hs_gallery_assigned *ret_assigned, struct hs_error *err);

#endif
