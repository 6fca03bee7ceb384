#include "face/index.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/stage.h"
#include "base/str.h"
#include "gallery/search.h"

enum { MAX_TRIES = 1000 }; /* attempts of a query whose vectors are removed meanwhile */

/* An identity with embeddings, usable or not. */
struct name {
    int64_t identity_id;
    char *text;
    uint32_t embeddings[HS_GALLERY_USES];
};

/* `names` is sorted by identity_id. */
struct content {
    struct hs_search *search;
    struct name *names;
    size_t count, capacity;
    struct hs_gallery_usability usability; /* sum over all names */
};

struct hs_face_index {
    struct hs_gallery *gallery;
    char *space;
    size_t dimension;
    int threads;
    pthread_mutex_t refresh_lock; /* guards the fields up to `refreshing` */
    pthread_cond_t refresh_ended;
    uint64_t refreshes, last_good_refresh; /* number of refreshes started; the last one that succeeded */
    bool refreshing;                       /* a thread is refreshing the index; acquired before `lock` */
    pthread_rwlock_t lock;                 /* guards the fields up to `version`; held for reading during a query */
    struct content content;
    bool built; /* content matches `version` */
    uint64_t builds;
    struct hs_gallery_version version;
    atomic_bool read; /* content was built at least once */

    pthread_mutex_t usability_lock; /* guards the field below */
    struct hs_gallery_usability usability;
};

static void content_finish(struct content *content)
{
    for (size_t i = 0; i < content->count; i++)
        free(content->names[i].text);
    free(content->names);
    hs_search_destroy(content->search);
    *content = (struct content) { 0 };
}

/* Returns the identity's position, or the position at which to insert it. */
static size_t lower_bound(const struct content *content, int64_t identity_id)
{
    size_t low = 0, high = content->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (content->names[middle].identity_id < identity_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const char *name_of(const struct content *content, int64_t identity_id)
{
    size_t at = lower_bound(content, identity_id);
    return at < content->count && content->names[at].identity_id == identity_id ? content->names[at].text : NULL;
}

static int put_name(struct content *content, int64_t identity_id, const char *name, struct name **ret_name)
{
    if (name_of(content, identity_id)) {
        *ret_name = &content->names[lower_bound(content, identity_id)];
        return 0;
    }
    char *text = HS_ARRAY_RESERVE(content->names, content->capacity, content->count + 1) ? strdup(name) : NULL;
    if (!text)
        return HS_ENOMEM;
    size_t at = lower_bound(content, identity_id);
    memmove(content->names + at + 1, content->names + at, (content->count - at) * sizeof(content->names[0]));
    content->names[at] = (struct name) { .identity_id = identity_id, .text = text };
    content->count++;
    content->usability.identities_without++;
    *ret_name = &content->names[at];
    return 0;
}

/* If the index has a vector that the file no longer has, it was removed meanwhile. The query starts
 * again, because other changes may have preceded the removal. */
static int fetch(void *ctx, int64_t id, float *dst, struct hs_error *err)
{
    struct hs_face_index *index = ctx;
    int r = hs_gallery_read_vector(index->gallery, id, dst, index->dimension, err);
    return r == HS_ENOTFOUND ? HS_ECONFLICT : r;
}

int hs_face_index_create(struct hs_gallery *gallery, const char *space, size_t dimension, int threads,
                         struct hs_face_index **ret_index, struct hs_error *err)
{
    struct hs_face_index *index = calloc(1, sizeof(*index));
    char *copy = strdup(space);
    if (!index || !copy) {
        free(index);
        free(copy);
        return hs_error_set(err, HS_ENOMEM, "no memory for the index");
    }
    index->gallery = gallery;
    index->space = copy;
    index->dimension = dimension;
    index->threads = threads;
    pthread_mutex_init(&index->refresh_lock, NULL);
    hs_cond_init(&index->refresh_ended);
    pthread_rwlock_init(&index->lock, NULL);
    pthread_mutex_init(&index->usability_lock, NULL);
    *ret_index = index;
    return 0;
}

void hs_face_index_destroy(struct hs_face_index *index)
{
    if (!index)
        return;
    content_finish(&index->content);
    pthread_mutex_destroy(&index->usability_lock);
    pthread_rwlock_destroy(&index->lock);
    pthread_cond_destroy(&index->refresh_ended);
    pthread_mutex_destroy(&index->refresh_lock);
    free(index->space);
    free(index);
}

/* ---- applying changes of the gallery ---- */

struct index_update {
    const struct hs_face_index *index;
    struct content *content;
    struct hs_error *err;
};

static void drop_identity(void *arg, int64_t identity_id)
{
    struct content *content = ((struct index_update *) arg)->content;
    size_t at = lower_bound(content, identity_id);
    hs_search_remove_identity(content->search, identity_id);
    if (at == content->count || content->names[at].identity_id != identity_id)
        return;
    for (int use = 0; use < HS_GALLERY_USES; use++)
        content->usability.embeddings[use] -= content->names[at].embeddings[use];
    content->usability.identities_without -= content->names[at].embeddings[HS_GALLERY_USABLE] == 0;
    free(content->names[at].text);
    content->count--;
    memmove(content->names + at, content->names + at + 1, (content->count - at) * sizeof(content->names[0]));
}

static int add_entry(void *arg, const struct hs_gallery_entry *entry)
{
    struct index_update *index_update = arg;
    struct content *content = index_update->content;
    struct name *name;
    if (put_name(content, entry->identity_id, entry->name, &name) < 0)
        return hs_error_set(index_update->err, HS_ENOMEM, "no memory for the index");
    enum hs_gallery_use use = hs_gallery_use_of(entry, index_update->index->space, index_update->index->dimension);
    content->usability.embeddings[use]++;
    name->embeddings[use]++;
    if (use != HS_GALLERY_USABLE)
        return 0;
    content->usability.identities_without -= name->embeddings[use] == 1;
    return hs_search_add(index_update->content->search, entry->id, entry->identity_id, entry->values,
                         index_update->err);
}

static int rebuild(struct hs_face_index *index, struct hs_error *err)
{
    struct content content = { 0 };
    struct index_update index_update = { index, &content, err };
    struct hs_gallery_version version;
    int r = hs_search_create(index->dimension, index->threads, fetch, index, &content.search, err);
    if (r == 0)
        r = hs_search_reserve(content.search, (size_t) hs_gallery_get_counts(index->gallery).embeddings, err);
    if (r == 0)
        r = hs_gallery_for_each(index->gallery, add_entry, &index_update, &version, err);
    if (r != 0) {
        content_finish(&content);
        return r;
    }
    pthread_rwlock_wrlock(&index->lock);
    struct content old = index->content;
    index->content = content;
    index->version = version;
    index->built = true;
    index->builds++;
    index->read = true;
    pthread_rwlock_unlock(&index->lock);
    content_finish(&old);
    return 0;
}

/* Applies the changes since the last refresh. HS_ENOTFOUND: the index must be rebuilt. Any other
 * failure also leaves the index in need of a rebuild. */
static int apply_changes(struct hs_face_index *index, struct hs_error *err)
{
    struct index_update index_update = { index, &index->content, err };
    pthread_rwlock_wrlock(&index->lock);
    int r = HS_ENOTFOUND;
    if (index->built)
        r = hs_gallery_for_each_since(index->gallery, &index->version, drop_identity, add_entry, &index_update,
                                      &index->version, err);
    index->built = r == 0;
    pthread_rwlock_unlock(&index->lock);
    return r;
}

/* Returns true if the index is at least as new as `version`, which was read earlier. Call with the
 * lock held. */
static bool is_fresh(const struct hs_face_index *index, const struct hs_gallery_version *version)
{
    return index->built && !hs_gallery_is_reset(&index->version, version) && index->version.change >= version->change;
}

bool hs_face_index_is_read(const struct hs_face_index *index)
{
    return index->read;
}

/* Lets one thread at a time refresh the index. Other threads wait until their deadline. If a
 * refresh that began after this call has succeeded, the caller needs none: *ret_done. */
static int begin_refresh(struct hs_face_index *index, int64_t deadline_ns, bool *ret_done, struct hs_error *err)
{
    int r = 0;
    pthread_mutex_lock(&index->refresh_lock);
    uint64_t needed = index->refreshes + 1;
    while (index->refreshing && index->last_good_refresh < needed && r == 0)
        r = hs_cond_wait_until(&index->refresh_ended, &index->refresh_lock, deadline_ns);
    *ret_done = index->last_good_refresh >= needed;
    bool mine = !*ret_done && !index->refreshing;
    index->refreshing |= mine;
    index->refreshes += mine;
    pthread_mutex_unlock(&index->refresh_lock);
    return mine || *ret_done ? 0 : hs_error_set(err, HS_ETIMEOUT, "the gallery is still loading; try again");
}

/* Called by the refreshing thread, so no other thread changes the content. */
static void publish_usability(struct hs_face_index *index)
{
    pthread_mutex_lock(&index->usability_lock);
    index->usability = index->content.usability;
    pthread_mutex_unlock(&index->usability_lock);
}

struct hs_gallery_usability hs_face_index_usability(struct hs_face_index *index)
{
    pthread_mutex_lock(&index->usability_lock);
    struct hs_gallery_usability usability = index->usability;
    pthread_mutex_unlock(&index->usability_lock);
    return usability;
}

static void end_refresh(struct hs_face_index *index, bool succeeded)
{
    pthread_mutex_lock(&index->refresh_lock);
    index->refreshing = false;
    if (succeeded)
        index->last_good_refresh = index->refreshes;
    pthread_cond_broadcast(&index->refresh_ended);
    pthread_mutex_unlock(&index->refresh_lock);
}

int hs_face_index_refresh(struct hs_face_index *index, int64_t deadline_ns, struct hs_error *err)
{
    struct hs_gallery_version version;
    bool done;
    int r = begin_refresh(index, deadline_ns, &done, err);
    if (r < 0 || done)
        return r;
    r = hs_gallery_get_version(index->gallery, &version, err);
    if (r == 0) {
        pthread_rwlock_rdlock(&index->lock);
        bool fresh = is_fresh(index, &version);
        pthread_rwlock_unlock(&index->lock);
        if (!fresh)
            r = apply_changes(index, err);
        if (r == HS_ENOTFOUND)
            r = rebuild(index, err);
    }
    if (r == 0)
        publish_usability(index);
    end_refresh(index, r == 0);
    return r;
}

/* ---- queries ---- */

/* Called if a vector of the index is not in the file. If the index seems to be up to date, its
 * content is wrong, and it is rebuilt. */
static void mark_stale(struct hs_face_index *index, uint64_t builds)
{
    struct hs_gallery_version version;
    if (hs_gallery_get_version(index->gallery, &version, NULL) < 0)
        return;
    pthread_rwlock_wrlock(&index->lock);
    if (index->builds == builds && is_fresh(index, &version))
        index->built = false;
    pthread_rwlock_unlock(&index->lock);
}

/* Searches if the index is up to date. HS_ECONFLICT: the index is outdated, or became so during the search. */
static int try_find(struct hs_face_index *index, const float *vector, size_t k, double above,
                    struct hs_search_hit *hits, struct hs_face_match *ret_matches, size_t *ret_count,
                    struct hs_error *err)
{
    struct hs_gallery_version version;
    size_t count = 0, kept = 0;
    int r = hs_gallery_get_version(index->gallery, &version, err);
    if (r < 0)
        return r;
    pthread_rwlock_rdlock(&index->lock);
    uint64_t builds = index->builds;
    bool fresh = is_fresh(index, &version);
    r = HS_ECONFLICT;
    if (fresh)
        r = hs_search_identities(index->content.search, vector, k, above, hits, &count, err);
    for (size_t i = 0; r == 0 && i < count; i++) {
        const char *name = name_of(&index->content, hits[i].identity);
        if (!name || !hs_str_copy(ret_matches[kept].name, sizeof(ret_matches[kept].name), name))
            continue;
        /* Rounding can make the dot product of two vectors of length 1 exceed 1. */
        ret_matches[kept++].score = hits[i].score < 1 ? hits[i].score : 1;
    }
    pthread_rwlock_unlock(&index->lock);
    *ret_count = kept;
    if (fresh && r == HS_ECONFLICT)
        mark_stale(index, builds);
    return r;
}

int hs_face_index_find(struct hs_face_index *index, const float *vector, size_t k, double above, int64_t deadline_ns,
                       struct hs_face_match *ret_matches, size_t *ret_count, struct hs_error *err)
{
    struct hs_search_hit *hits = calloc(k, sizeof(*hits));
    if (!hits)
        return hs_error_set(err, HS_ENOMEM, "no memory for %zu matches", k);
    int64_t at = hs_clock_now_ns();
    int r = HS_ECONFLICT;
    for (int tries = 0; r == HS_ECONFLICT && tries < MAX_TRIES; tries++) {
        r = try_find(index, vector, k, above, hits, ret_matches, ret_count, err);
        int refreshed = r == HS_ECONFLICT ? hs_face_index_refresh(index, deadline_ns, err) : 0;
        if (refreshed < 0)
            r = refreshed;
    }
    free(hits);
    hs_stage_lap_ms(HS_STAGE_SEARCH, &at);
    return r == HS_ECONFLICT
               ? hs_error_set(err, HS_EBUSY, "the gallery changed during every attempt to search it; try again")
               : r;
}
