/* Who is it: the search index over the gallery's vectors of one embedding space, with the names that belong to them. It
 * is updated in place by changes made here, and rebuilt when another process changed the gallery. Any thread. */
#ifndef HS_FACE_INDEX_H
#define HS_FACE_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "gallery/gallery.h"
#include "hs/status.h"

struct hs_face_index;

struct hs_face_match {
    char name[HS_GALLERY_NAME_MAX + 1];
    double score; /* cosine of the name's best vector */
};

/* `gallery` is borrowed; `space` is copied. Nothing is read yet. `threads` may scan for one query. Caller frees with
 * hs_face_index_destroy. */
int hs_face_index_create(struct hs_gallery *gallery, const char *space, size_t dimension, int threads,
                         struct hs_face_index **ret_index, struct hs_error *err);
void hs_face_index_destroy(struct hs_face_index *index); /* NULL allowed */

/* Reads the gallery where it was not read yet, or was changed by others. Cheap where nothing is to be done. */
int hs_face_index_refresh(struct hs_face_index *index, struct hs_error *err);

/* To be called after hs_gallery_add, with its answer and the vector, and after hs_gallery_remove.
 * What cannot be done in place makes the next refresh read everything. */
void hs_face_index_added(struct hs_face_index *index, const char *name, const struct hs_gallery_added *added,
                         const float *vector);
void hs_face_index_removed(struct hs_face_index *index, const char *name);

/* The best `k` names whose score is above `above`, best first; refreshes before. ret_matches has room for k. */
int hs_face_index_find(struct hs_face_index *index, const float *vector, size_t k, double above,
                       struct hs_face_match *ret_matches, size_t *ret_count, struct hs_error *err);

#endif
