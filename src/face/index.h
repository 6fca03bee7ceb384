/* The search index over the gallery's embeddings of one space, by identity id, with the identities'
 * names.
 *
 * The gallery's file is authoritative. Before each query the index applies, in commit order, the
 * changes that this or another process has committed since its last refresh; if the file no longer
 * records all of them, the index is rebuilt. So a query sees the file as of some moment between
 * call and return. Any thread. */
#ifndef HS_FACE_INDEX_H
#define HS_FACE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gallery/audit.h"
#include "gallery/gallery.h"
#include "hs/status.h"

struct hs_face_index;

struct hs_face_match {
    char name[HS_GALLERY_NAME_MAX + 1];
    double score; /* cosine similarity of the identity's best embedding */
};

/* Creates an empty index; reads nothing yet. Borrows `gallery`, copies `space`. `threads` is the
 * maximum number of threads per query. Caller frees with hs_face_index_destroy. */
int hs_face_index_create(struct hs_gallery *gallery, const char *space, size_t dimension, int threads,
                         struct hs_face_index **ret_index, struct hs_error *err);
void hs_face_index_destroy(struct hs_face_index *index); /* NULL allowed */

/* Brings the index up to date. Cheap if nothing has changed. HS_ETIMEOUT: at the deadline another
 * thread is still refreshing the index. */
int hs_face_index_refresh(struct hs_face_index *index, int64_t deadline_ns, struct hs_error *err);

/* Returns how many faces can match, as of the last refresh. Never waits. */
struct hs_gallery_usability hs_face_index_usability(struct hs_face_index *index);

/* Returns true once the gallery was read. Never waits. */
bool hs_face_index_is_read(const struct hs_face_index *index);

/* Refreshes the index and finds the best `k` identities whose score is above `above`, best first.
 * ret_matches has room for k. */
int hs_face_index_find(struct hs_face_index *index, const float *vector, size_t k, double above, int64_t deadline_ns,
                       struct hs_face_match *ret_matches, size_t *ret_count, struct hs_error *err);

#endif
