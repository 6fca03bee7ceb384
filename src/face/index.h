/* The search index over the gallery's vectors of one embedding space, by identity id, with the names of the identities.
 *
 * The gallery's file is the only truth: before each query the index follows the changes that were committed since, here
 * or in another process, in the order of their commits; if they are not all known any more it is built again. So a
 * query sees the file as it was at some moment between the call and its return. Any thread. */
#ifndef HS_FACE_INDEX_H
#define HS_FACE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gallery/gallery.h"
#include "gallery/survey.h"
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

/* Brings the index up to date. Cheap if nothing has changed. HS_ETIMEOUT: another thread is still doing that at the
 * deadline. */
int hs_face_index_refresh(struct hs_face_index *index, int64_t deadline_ns, struct hs_error *err);

/* How much of the gallery can match, as of when the index was last brought up to date. Never waits. */
struct hs_gallery_usability hs_face_index_usability(struct hs_face_index *index);

/* True once the gallery was read. Never waits. */
bool hs_face_index_is_read(const struct hs_face_index *index);

/* The best `k` names whose score is above `above`, best first; refreshes before. ret_matches has room for k. */
int hs_face_index_find(struct hs_face_index *index, const float *vector, size_t k, double above, int64_t deadline_ns,
                       struct hs_face_match *ret_matches, size_t *ret_count, struct hs_error *err);

#endif
