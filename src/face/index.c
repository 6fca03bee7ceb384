#include "face/index.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "gallery/search.h"

struct name {
    int64_t identity_id;
    char *text;
};

/* What a rebuild makes anew. `names` is sorted by identity_id. */
struct content {
    struct hs_search *search;
    struct name *names;
    size_t count, capacity;
};

struct hs_face_index {
    struct hs_gallery *gallery;
    char *space;
    size_t dimension;
    int threads;
    pthread_mutex_t turn_lock; /* guards refreshing */
    pthread_cond_t turn_ends;
    bool refreshing;       /* somebody's turn to rebuild or change; comes before `lock` */
    pthread_rwlock_t lock; /* guards what follows; held for reading during a query */
    struct content content;
    bool built;
    uint64_t foreign; /* changes by others that the content knows of */
    atomic_bool read; /* content was built once */
};

static void content_finish(struct content *content)
{
    for (size_t i = 0; i < content->count; i++)
        free(content->names[i].text);
    free(content->names);
    hs_search_destroy(content->search);
    *content = (struct content) { 0 };
}

/* Where the identity stands, or would have to. */
static size_t place_of(const struct content *content, int64_t identity_id)
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
    size_t at = place_of(content, identity_id);
    return at < content->count && content->names[at].identity_id == identity_id ? content->names[at].text : NULL;
}

static int put_name(struct content *content, int64_t identity_id, const char *name)
{
    if (name_of(content, identity_id))
        return 0;
    if (content->count == content->capacity) {
        size_t capacity = content->capacity ? content->capacity * 2 : 64;
        struct name *names = realloc(content->names, capacity * sizeof(*names));
        if (!names)
            return HS_ENOMEM;
        content->names = names;
        content->capacity = capacity;
    }
    char *text = strdup(name);
    if (!text)
        return HS_ENOMEM;
    size_t at = place_of(content, identity_id);
    memmove(content->names + at + 1, content->names + at, (content->count - at) * sizeof(content->names[0]));
    content->names[at] = (struct name) { identity_id, text };
    content->count++;
    return 0;
}

static int fetch(void *ctx, int64_t id, float *dst, struct hs_error *err)
{
    struct hs_face_index *index = ctx;
    return hs_gallery_read_vector(index->gallery, id, dst, index->dimension, err);
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
    pthread_mutex_init(&index->turn_lock, NULL);
    hs_cond_init(&index->turn_ends);
    pthread_rwlock_init(&index->lock, NULL);
    *ret_index = index;
    return 0;
}

void hs_face_index_destroy(struct hs_face_index *index)
{
    if (!index)
        return;
    content_finish(&index->content);
    pthread_rwlock_destroy(&index->lock);
    pthread_cond_destroy(&index->turn_ends);
    pthread_mutex_destroy(&index->turn_lock);
    free(index->space);
    free(index);
}

struct rebuild {
    const struct hs_face_index *index;
    struct content content;
    struct hs_error *err;
};

static int take_entry(void *arg, const struct hs_gallery_entry *entry)
{
    struct rebuild *rebuild = arg;
    if (entry->dimension != rebuild->index->dimension || strcmp(entry->space, rebuild->index->space) != 0)
        return 0;
    if (put_name(&rebuild->content, entry->identity_id, entry->name) < 0)
        return hs_error_set(rebuild->err, HS_ENOMEM, "no memory for the index");
    return hs_search_add(rebuild->content.search, entry->id, entry->identity_id, entry->values, rebuild->err);
}

static int rebuild(struct hs_face_index *index, struct hs_error *err)
{
    struct rebuild rebuild = { .index = index, .err = err };
    struct hs_gallery_version version;
    struct hs_gallery_stats stats;
    int r = hs_search_create(index->dimension, index->threads, fetch, index, &rebuild.content.search, err);
    if (r == 0)
        r = hs_gallery_get_stats(index->gallery, &stats, err);
    if (r == 0)
        r = hs_search_reserve(rebuild.content.search, (size_t) stats.embeddings, err);
    if (r == 0)
        r = hs_gallery_for_each(index->gallery, take_entry, &rebuild, &version, err);
    if (r != 0) {
        content_finish(&rebuild.content);
        return r;
    }
    pthread_rwlock_wrlock(&index->lock);
    struct content old = index->content;
    index->content = rebuild.content;
    index->built = true;
    index->foreign = version.foreign;
    index->read = true;
    pthread_rwlock_unlock(&index->lock);
    content_finish(&old);
    return 0;
}

static bool is_fresh(struct hs_face_index *index, uint64_t foreign)
{
    pthread_rwlock_rdlock(&index->lock);
    bool fresh = index->built && index->foreign == foreign;
    pthread_rwlock_unlock(&index->lock);
    return fresh;
}

bool hs_face_index_is_read(const struct hs_face_index *index)
{
    return index->read;
}

/* A lock that can be waited for until a deadline. (pthread_mutex_clocklock is not known to ThreadSanitizer yet.) */
static int begin_turn(struct hs_face_index *index, int64_t deadline_ns, struct hs_error *err)
{
    int r = 0;
    pthread_mutex_lock(&index->turn_lock);
    while (r == 0 && index->refreshing)
        r = hs_cond_wait_until(&index->turn_ends, &index->turn_lock, deadline_ns);
    bool mine = !index->refreshing;
    index->refreshing = true;
    pthread_mutex_unlock(&index->turn_lock);
    return mine ? 0 : hs_error_set(err, HS_ETIMEOUT, "the gallery is still being read");
}

static void end_turn(struct hs_face_index *index)
{
    pthread_mutex_lock(&index->turn_lock);
    index->refreshing = false;
    pthread_cond_signal(&index->turn_ends);
    pthread_mutex_unlock(&index->turn_lock);
}

/* The gallery is asked inside the turn: while somebody reads all of it, the gallery itself would keep us waiting,
 * and knows no deadline. */
int hs_face_index_refresh(struct hs_face_index *index, int64_t deadline_ns, struct hs_error *err)
{
    struct hs_gallery_version version;
    int r = begin_turn(index, deadline_ns, err);
    if (r < 0)
        return r;
    r = hs_gallery_get_version(index->gallery, &version, err);
    if (r == 0 && !is_fresh(index, version.foreign))
        r = rebuild(index, err);
    end_turn(index);
    return r;
}

/* A rebuild either saw the change or comes after it. */
static void begin_change(struct hs_face_index *index)
{
    begin_turn(index, HS_NO_DEADLINE, NULL);
    pthread_rwlock_wrlock(&index->lock);
}

static void end_change(struct hs_face_index *index)
{
    pthread_rwlock_unlock(&index->lock);
    end_turn(index);
}

void hs_face_index_added(struct hs_face_index *index, const char *name, const struct hs_gallery_added *added,
                         const float *vector)
{
    begin_change(index);
    if (index->built) {
        struct content *content = &index->content;
        int r = put_name(content, added->identity_id, name);
        if (r == 0 && added->embedding_dropped != added->embedding_id)
            r = hs_search_add(content->search, added->embedding_id, added->identity_id, vector, NULL);
        if (r == 0 && added->embedding_dropped)
            hs_search_remove(content->search, added->embedding_dropped);
        index->built = r == 0 || r == HS_ECONFLICT;
    }
    end_change(index);
}

/* Where the identity of that name stands; content->count where there is none. */
static size_t find_name(const struct content *content, const char *name)
{
    size_t i = 0;
    while (i < content->count && strcmp(content->names[i].text, name) != 0)
        i++;
    return i;
}

void hs_face_index_removed(struct hs_face_index *index, const char *name)
{
    begin_change(index);
    struct content *content = &index->content;
    size_t i = find_name(content, name);
    if (i < content->count) {
        hs_search_remove_identity(content->search, content->names[i].identity_id);
        free(content->names[i].text);
        content->count--;
        memmove(content->names + i, content->names + i + 1, (content->count - i) * sizeof(content->names[0]));
    }
    end_change(index);
}

void hs_face_index_renamed(struct hs_face_index *index, const char *name, const char *new_name)
{
    begin_change(index);
    struct content *content = &index->content;
    size_t i = find_name(content, name);
    char *text = i < content->count ? strdup(new_name) : NULL;
    if (text) {
        free(content->names[i].text);
        content->names[i].text = text;
    } else if (i < content->count) {
        index->built = false;
    }
    end_change(index);
}

void hs_face_index_removed_embedding(struct hs_face_index *index, int64_t embedding_id)
{
    begin_change(index);
    if (index->content.search)
        hs_search_remove(index->content.search, embedding_id);
    end_change(index);
}

int hs_face_index_find(struct hs_face_index *index, const float *vector, size_t k, double above, int64_t deadline_ns,
                       struct hs_face_match *ret_matches, size_t *ret_count, struct hs_error *err)
{
    int r = hs_face_index_refresh(index, deadline_ns, err);
    if (r < 0)
        return r;
    struct hs_search_hit *hits = calloc(k, sizeof(*hits));
    if (!hits)
        return hs_error_set(err, HS_ENOMEM, "no memory for %zu matches", k);
    size_t count = 0, kept = 0;
    pthread_rwlock_rdlock(&index->lock);
    r = hs_search_identities(index->content.search, vector, k, above, hits, &count, err);
    for (size_t i = 0; r == 0 && i < count; i++) {
        const char *name = name_of(&index->content, hits[i].identity);
        if (!name || !hs_str_copy(ret_matches[kept].name, sizeof(ret_matches[kept].name), name))
            continue;
        /* By rounding, the product of two vectors of length 1 may pass 1. */
        ret_matches[kept++].score = hits[i].score < 1 ? hits[i].score : 1;
    }
    pthread_rwlock_unlock(&index->lock);
    free(hits);
    *ret_count = kept;
    return r;
}
