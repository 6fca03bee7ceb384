/* A look through the whole gallery: which faces can match, and which records another program left as ours would not. */
#ifndef HS_GALLERY_SURVEY_H
#define HS_GALLERY_SURVEY_H

#include "gallery/gallery.h"

/* Why an embedding can be searched by a model of a space and a dimension, or not: the first that is so. */
enum hs_gallery_use {
    HS_GALLERY_OTHER_SPACE,   /* another model made it */
    HS_GALLERY_OTHER_SIZE,    /* it has another number of values */
    HS_GALLERY_DAMAGED,       /* not finite, or not of length 1 */
    HS_GALLERY_UNKNOWN_SPACE, /* it is not known which model made it: hs_gallery_set_space */
    HS_GALLERY_USABLE,
    HS_GALLERY_USES,
};

enum hs_gallery_use hs_gallery_use_of(const struct hs_gallery_entry *entry, const char *space, size_t dimension);

struct hs_gallery_usability {
    int64_t embeddings[HS_GALLERY_USES]; /* how many of each kind */
    int64_t identities_without;          /* that have embeddings, but none that is usable */
};

static inline int64_t hs_gallery_unusable(const struct hs_gallery_usability *usability)
{
    int64_t count = 0;
    for (int use = 0; use < HS_GALLERY_USABLE; use++)
        count += usability->embeddings[use];
    return count;
}

/* The first names of some kind, each with what is to be said of it, and how many there are in all. */
enum { HS_GALLERY_LISTED_MAX = 20 };
struct hs_gallery_listed {
    int64_t count;
    struct {
        char name[HS_GALLERY_NAME_MAX + 1]; /* bytes that are not text are '?' */
        char reason[160];
    } items[HS_GALLERY_LISTED_MAX];
};

struct hs_gallery_survey {
    int schema_version;
    int64_t identities, embeddings;
    struct hs_gallery_usability usability;
    struct hs_gallery_listed without;  /* identities that have embeddings, but none that is usable */
    struct hs_gallery_listed names;    /* that hs_gallery_add would not take, or would store in another form */
    struct hs_gallery_listed metadata; /* that cannot be shown, nor exported */
};

/* Reads all of the gallery, at one moment, for a model of that space and dimension. Takes as long as that takes. With
 * space NULL only names and metadata are looked at. */
int hs_gallery_survey(struct hs_gallery *gallery, const char *space, size_t dimension,
                      struct hs_gallery_survey *ret_survey, struct hs_error *err);

/* The same of a file that is not opened as a gallery: it is not migrated, not repaired, not made. First runs SQLite's
 * full integrity check. HS_EIO: it is damaged, or cannot be read; HS_EVERSION: it is from a newer version. */
int hs_gallery_survey_file(const char *path, int busy_timeout_ms, const char *space, size_t dimension,
                           struct hs_gallery_survey *ret_survey, struct hs_error *err);

/* ---- embeddings of an unknown space ---- */

struct hs_gallery_assigned {
    int64_t identities, embeddings; /* that got the space */
    int64_t scaled;                 /* of these, how many had to be brought to length 1 */
    int64_t other_size, damaged;    /* that stay as they are: another number of values; not finite, or of length 0 */
};

/* Says which model made the embeddings of unknown space: those of exactly `dimension` finite values get its space and
 * its name. In one change, which indexes follow. No embedding is dropped, although an identity may have more of the
 * space then than may stay; the next addition to it drops some. HS_EINVAL: space, model. */
int hs_gallery_set_space(struct hs_gallery *gallery, const char *space, const char *model, size_t dimension,
                         struct hs_gallery_assigned *ret_assigned, struct hs_error *err);

#endif
