/* Who is it: the search index over the gallery's vectors of one embedding space, with the names that belong to them. It
 * is updated in place by changes made here, and rebuilt when another process changed the gallery. Any thread. */
#ifndef HS_FACE_INDEX_H
#define HS_FACE_INDEX_H

#include <stdbool.h>
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

/* Reads the gallery where it was not read yet, or was changed by others. Cheap where nothing is to be done. HS_ETIMEOUT
 * where another thread is still reading it at the deadline. */
int hs_face_index_refresh(struct hs_face_index *index, int64_t deadline_ns, struct hs_error *err);

/* Whether the gallery was read once. Never waits. */
bool hs_face_index_is_read(const struct hs_face_index *index);

/* To be called after hs_gallery_add, with its answer and the vector; after hs_gallery_remove, hs_gallery_rename and
 * hs_gallery_remove_embedding. What cannot be done in place makes the next refresh read everything. */
void hs_face_index_added(struct hs_face_index *index, const char *name, const struct hs_gallery_added *added,
                         const float *vector);
void hs_face_index_removed(struct hs_face_index *index, const char *name);
void hs_face_index_renamed(struct hs_face_index *index, const char *name, const char *new_name);
void hs_face_index_removed_embedding(struct hs_face_index *index, int64_t embedding_id);

/* The best `k` names whose score is above `above`, best first; refreshes before. ret_matches has room for k. */
int hs_face_index_find(struct hs_face_index *index, const float *vector, size_t k, double above, int64_t deadline_ns,
                       struct hs_face_match *ret_matches, size_t *ret_count, struct hs_error *err);

#endif
