#include "gallery/gallery.h"

#include <string.h>
#include <sys/stat.h>

#include "gallery/input.h"
#include "gallery/migrate.h"
#include "gallery/sql.h"
#include "gallery/store.h"

/* Blobs are little-endian float32, as the first programs wrote them. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "embeddings are stored as they lie in memory");

sqlite3_stmt *hs_gallery_stmt(struct hs_gallery *gallery, enum hs_gallery_statement which)
{
    return gallery->statements[which];
}

int hs_gallery_notice_changes(struct hs_gallery *gallery, struct hs_error *err)
{
    sqlite3_stmt *stmt = hs_gallery_stmt(gallery, HS_STMT_DATA_VERSION);
    int r = hs_sql_step(stmt, err);
    if (r < 0)
        return r;
    int64_t data_version = r > 0 ? sqlite3_column_int64(stmt, 0) : 0;
    hs_sql_release(stmt);
    if (data_version != gallery->data_version)
        gallery->version.foreign++;
    gallery->data_version = data_version;
    return 0;
}

void hs_gallery_empty_log(struct hs_gallery *gallery)
{
    gallery->erase_pending = true;
    if (gallery->vacuum_pending && !gallery->rewrite_later) {
        if (hs_sql_exec(gallery->db, "VACUUM", NULL) < 0)
            return;
        gallery->vacuum_pending = false;
    }
    if (sqlite3_wal_checkpoint_v2(gallery->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK)
        gallery->erase_pending = gallery->vacuum_pending;
}

void hs_gallery_lock_change(struct hs_gallery *gallery)
{
    pthread_mutex_lock(&gallery->changing);
    pthread_mutex_lock(&gallery->lock);
}

void hs_gallery_unlock_change(struct hs_gallery *gallery)
{
    pthread_mutex_unlock(&gallery->lock);
    pthread_mutex_unlock(&gallery->changing);
}

/* Prepared, so that it does not fail for want of memory. */
static void roll_back(struct hs_gallery *gallery)
{
    if (!sqlite3_get_autocommit(gallery->db))
        hs_sql_run(hs_gallery_stmt(gallery, HS_STMT_ROLLBACK), NULL);
}

int hs_gallery_begin(struct hs_gallery *gallery, struct hs_error *err)
{
    roll_back(gallery); /* what may not have gone when it should */
    return hs_sql_run(hs_gallery_stmt(gallery, HS_STMT_BEGIN), err);
}

int hs_gallery_begin_read(struct hs_gallery *gallery, struct hs_error *err)
{
    roll_back(gallery);
    return hs_sql_run(hs_gallery_stmt(gallery, HS_STMT_BEGIN_READ), err);
}

void hs_gallery_end_read(struct hs_gallery *gallery)
{
    roll_back(gallery);
}

int hs_gallery_end(struct hs_gallery *gallery, int r, bool erases, struct hs_error *err)
{
    if (r == 0)
        r = hs_sql_run(hs_gallery_stmt(gallery, HS_STMT_COMMIT), err);
    if (r < 0) {
        roll_back(gallery);
        return r;
    }
    gallery->version.own++;
    if (erases || gallery->erase_pending)
        hs_gallery_empty_log(gallery);
    return 0;
}

int hs_gallery_find(struct hs_gallery *gallery, const char *name, int64_t *ret_id, struct hs_error *err)
{
    sqlite3_stmt *stmt = hs_gallery_stmt(gallery, HS_STMT_FIND_IDENTITY);
    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    int r = hs_sql_step(stmt, err);
    if (r > 0)
        *ret_id = sqlite3_column_int64(stmt, 0);
    hs_sql_release(stmt);
    if (r < 0)
        return r;
    return r > 0 ? 0 : hs_error_set(err, HS_ENOTFOUND, "Identity '%s' not found", name);
}

bool hs_gallery_column_text(sqlite3_stmt *stmt, int column, char **ret_text)
{
    if (sqlite3_column_type(stmt, column) == SQLITE_NULL) {
        *ret_text = NULL;
        return true;
    }
    const char *text = (const char *) sqlite3_column_text(stmt, column);
    *ret_text = text ? strdup(text) : NULL;
    return *ret_text != NULL;
}

size_t hs_gallery_column_floats(sqlite3_stmt *stmt, int column, float *ret_values, size_t max)
{
    const void *blob = sqlite3_column_blob(stmt, column);
    size_t size = (size_t) sqlite3_column_bytes(stmt, column);
    if (!blob || size % sizeof(float) != 0 || size / sizeof(float) > max)
        return 0;
    memcpy(ret_values, blob, size);
    return size / sizeof(float);
}

/* Calls `each` (NULL: none) for the embeddings that can be compared, and counts the others. */
static int walk(struct hs_gallery *gallery, int (*each)(void *arg, const struct hs_gallery_entry *entry), void *arg,
                int64_t *ret_usable, int64_t *ret_unusable, struct hs_error *err)
{
    float values[HS_GALLERY_DIMENSION_MAX];
    int64_t usable = 0, unusable = 0;
    sqlite3_stmt *stmt = hs_gallery_stmt(gallery, HS_STMT_ALL_EMBEDDINGS);
    sqlite3_bind_text(stmt, 9, gallery->legacy_space, -1, SQLITE_STATIC);
    int r, stopped = 0;
    while (!stopped && (r = hs_sql_step(stmt, err)) > 0) {
        struct hs_gallery_entry entry = {
            .id = sqlite3_column_int64(stmt, 0),
            .identity_id = sqlite3_column_int64(stmt, 1),
            .name = (const char *) sqlite3_column_text(stmt, 2),
            .space = (const char *) sqlite3_column_text(stmt, 3),
            .values = values,
            .dimension = hs_gallery_column_floats(stmt, 4, values, HS_GALLERY_DIMENSION_MAX),
        };
        if (!entry.name || !entry.space || sqlite3_errcode(gallery->db) == SQLITE_NOMEM)
            stopped = hs_error_set(err, HS_ENOMEM, "gallery: no memory");
        else if (!hs_gallery_is_unit_vector(values, entry.dimension))
            unusable++;
        else {
            usable++;
            stopped = each ? each(arg, &entry) : 0;
        }
    }
    hs_sql_release(stmt);
    if (stopped || r < 0)
        return stopped ? stopped : r;
    *ret_usable = usable;
    *ret_unusable = unusable;
    return 0;
}

int hs_gallery_for_each(struct hs_gallery *gallery, int (*each)(void *arg, const struct hs_gallery_entry *entry),
                        void *arg, struct hs_gallery_version *ret_version, struct hs_error *err)
{
    int64_t usable, unusable;
    pthread_mutex_lock(&gallery->lock);
    /* One transaction: what data_version says then is what the rows show. It counts from the first read on. */
    int r = hs_gallery_begin_read(gallery, err);
    if (r == 0) {
        r = hs_sql_int(gallery->db, "SELECT count(*) FROM sqlite_schema", &usable, err);
        if (r == 0)
            r = hs_gallery_notice_changes(gallery, err);
        struct hs_gallery_version version = gallery->version;
        if (r == 0)
            r = walk(gallery, each, arg, &usable, &unusable, err);
        hs_gallery_end_read(gallery);
        if (r == 0 && ret_version)
            *ret_version = version;
    }
    pthread_mutex_unlock(&gallery->lock);
    return r;
}

int hs_gallery_read_vector(struct hs_gallery *gallery, int64_t embedding_id, float *ret_values, size_t dimension,
                           struct hs_error *err)
{
    float values[HS_GALLERY_DIMENSION_MAX];
    pthread_mutex_lock(&gallery->lock);
    sqlite3_stmt *stmt = hs_gallery_stmt(gallery, HS_STMT_VALUES_OF);
    sqlite3_bind_int64(stmt, 1, embedding_id);
    int r = hs_sql_step(stmt, err);
    size_t count = r > 0 ? hs_gallery_column_floats(stmt, 0, values, HS_GALLERY_DIMENSION_MAX) : 0;
    hs_sql_release(stmt);
    pthread_mutex_unlock(&gallery->lock);
    if (r < 0)
        return r;
    if (count != dimension)
        return hs_error_set(err, HS_ENOTFOUND, "embedding %lld is not in the gallery", (long long) embedding_id);
    memcpy(ret_values, values, dimension * sizeof(float));
    return 0;
}

int hs_gallery_get_version(struct hs_gallery *gallery, struct hs_gallery_version *ret_version, struct hs_error *err)
{
    pthread_mutex_lock(&gallery->lock);
    int r = hs_gallery_notice_changes(gallery, err);
    if (r == 0)
        *ret_version = gallery->version;
    pthread_mutex_unlock(&gallery->lock);
    return r;
}

int hs_gallery_get_stats(struct hs_gallery *gallery, struct hs_gallery_stats *ret_stats, struct hs_error *err)
{
    struct hs_gallery_stats stats = { .schema_version = HS_GALLERY_SCHEMA };
    int64_t usable = 0;
    pthread_mutex_lock(&gallery->lock);
    int r = hs_gallery_begin_read(gallery, err);
    if (r == 0) {
        r = hs_sql_int(gallery->db, "SELECT count(*) FROM identities", &stats.identities, err);
        if (r == 0)
            r = walk(gallery, NULL, NULL, &usable, &stats.unusable, err);
        hs_gallery_end_read(gallery);
    }
    pthread_mutex_unlock(&gallery->lock);
    if (r < 0)
        return r;
    stats.embeddings = usable + stats.unusable;
    struct stat st;
    stats.size_bytes = stat(gallery->path, &st) == 0 ? (int64_t) st.st_size : 0;
    *ret_stats = stats;
    return 0;
}

static int count_rows(struct hs_gallery *gallery, enum hs_gallery_statement which, int64_t *ret_count)
{
    sqlite3_stmt *stmt = hs_gallery_stmt(gallery, which);
    int r = hs_sql_step(stmt, NULL);
    if (r > 0)
        *ret_count = sqlite3_column_int64(stmt, 0);
    hs_sql_release(stmt);
    return r < 0 ? r : 0;
}

/* With the lock held. What cannot be counted now stays as it was. */
static void count_again(struct hs_gallery *gallery)
{
    struct hs_gallery_counts counts;
    if (hs_gallery_notice_changes(gallery, NULL) < 0)
        return;
    uint64_t now = gallery->version.own + gallery->version.foreign + 1;
    pthread_mutex_lock(&gallery->counts_lock);
    counts = gallery->counts;
    bool fresh = gallery->counted == now;
    pthread_mutex_unlock(&gallery->counts_lock);
    counts.erase_pending = gallery->erase_pending;
    if (!fresh && (count_rows(gallery, HS_STMT_COUNT_IDENTITIES, &counts.identities) < 0 ||
                   count_rows(gallery, HS_STMT_COUNT_EMBEDDINGS, &counts.embeddings) < 0))
        return;
    pthread_mutex_lock(&gallery->counts_lock);
    gallery->counts = counts;
    gallery->counted = now;
    pthread_mutex_unlock(&gallery->counts_lock);
}

struct hs_gallery_counts hs_gallery_get_counts(struct hs_gallery *gallery)
{
    if (pthread_mutex_trylock(&gallery->lock) == 0) {
        count_again(gallery);
        pthread_mutex_unlock(&gallery->lock);
    }
    pthread_mutex_lock(&gallery->counts_lock);
    struct hs_gallery_counts counts = gallery->counts;
    pthread_mutex_unlock(&gallery->counts_lock);
    return counts;
}

int hs_gallery_check(struct hs_gallery *gallery, struct hs_error *err)
{
    int64_t orphans = 0;
    pthread_mutex_lock(&gallery->lock);
    int r = hs_sql_check(gallery->db, "PRAGMA integrity_check(1)", NULL, err);
    if (r == 0)
        r = hs_sql_int(gallery->db, "SELECT count(*) FROM pragma_foreign_key_check", &orphans, err);
    pthread_mutex_unlock(&gallery->lock);
    if (r == 0 && orphans > 0)
        r = hs_error_set(err, HS_EIO, "gallery: %lld embeddings belong to no identity", (long long) orphans);
    return r;
}
