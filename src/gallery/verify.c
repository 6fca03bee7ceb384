#include "gallery/verify.h"

#include <math.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "gallery/files.h"
#include "gallery/search.h"
#include "gallery/validate.h"

enum { SAMPLE = 100 };
#define SCORE_MIN 0.999 /* of a vector with itself */

/* An unpacked backup. */
struct drill {
    struct hs_gallery_keys *keys;
    sqlite3 *db;
    sqlite3_stmt *read_one; /* a vector by id */
    struct hs_gallery_verified *found;
    size_t dimension; /* of the searched vectors; 0: none yet */
    struct hs_search *search;
    int64_t sample[SAMPLE];
    size_t sampled;
};

static double seconds_since(int64_t start_ns)
{
    return (double) (hs_clock_now_ns() - start_ns) / (double) HS_NS_PER_S;
}

/* Reads the vector with that id, as hs_gallery_read_floats does; also its identity. */
static int read_one(struct drill *drill, int64_t id, float *ret_values, size_t *ret_dimension, int64_t *ret_identity,
                    struct hs_error *err)
{
    sqlite3_bind_int64(drill->read_one, 1, id);
    int r = hs_sql_step(drill->read_one, err);
    if (r > 0) {
        *ret_identity = sqlite3_column_int64(drill->read_one, 1);
        r = hs_gallery_read_floats(drill->keys, drill->read_one, 0, (struct hs_crypt_row) { id, *ret_identity },
                                   ret_values, HS_GALLERY_DIMENSION_MAX, ret_dimension, err);
    }
    hs_sql_release(drill->read_one);
    return r;
}

static int fetch(void *ctx, int64_t id, float *dst, struct hs_error *err)
{
    struct drill *drill = ctx;
    float values[HS_GALLERY_DIMENSION_MAX];
    size_t dimension = 0;
    int64_t identity;
    int r = read_one(drill, id, values, &dimension, &identity, err);
    if (r > 0 && dimension == drill->dimension)
        memcpy(dst, values, dimension * sizeof(float));
    sodium_memzero(values, dimension * sizeof(float));
    return r > 0 ? 0 : r < 0 ? r : HS_ENOTFOUND;
}

/* Adds a vector of the most frequent space to the search; every `step`th of them is a sample. */
static int add_to_search(struct drill *drill, struct hs_crypt_row row, const float *values, size_t dimension,
                         int64_t step, struct hs_error *err)
{
    int r = 0;
    if (drill->dimension == 0) {
        drill->dimension = dimension;
        r = hs_search_create(dimension, 1, fetch, drill, &drill->search, err);
    }
    if (r < 0 || dimension != drill->dimension)
        return r;
    int64_t count = (int64_t) hs_search_count(drill->search);
    if (count % step == 0 && drill->sampled < SAMPLE)
        drill->sample[drill->sampled++] = row.id;
    return hs_search_add(drill->search, row.id, row.identity_id, values, err);
}

static int read_row(struct drill *drill, sqlite3_stmt *stmt, int64_t step, struct hs_error *err)
{
    float values[HS_GALLERY_DIMENSION_MAX];
    const struct hs_crypt_row row = { sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1) };
    size_t dimension;
    bool sealed = hs_crypt_is_sealed(sqlite3_column_blob(stmt, 2), (size_t) sqlite3_column_bytes(stmt, 2), NULL);
    int r = hs_gallery_read_floats(drill->keys, stmt, 2, row, values, HS_GALLERY_DIMENSION_MAX, &dimension, err);
    if (r < 0)
        return r;
    bool valid = r > 0 && hs_gallery_is_unit_vector(values, dimension);
    drill->found->sealed += sealed;
    drill->found->unreadable += sealed && r == 0;
    drill->found->invalid += !valid && !(sealed && r == 0);
    r = valid && sqlite3_column_int(stmt, 3) ? add_to_search(drill, row, values, dimension, step, err) : 0;
    sodium_memzero(values, dimension * sizeof(float));
    return r;
}

/* Schema 1 has no spaces. */
static int read_vectors(struct drill *drill, struct hs_error *err)
{
    static const char with_space[] =
        "SELECT id, identity_id, embedding, space IS (SELECT space FROM embeddings GROUP BY space"
        " ORDER BY count(*) DESC LIMIT 1) FROM embeddings ORDER BY id";
    static const char without_space[] = "SELECT id, identity_id, embedding, 1 FROM embeddings ORDER BY id";
    int64_t step = drill->found->embeddings / SAMPLE + 1, start = hs_clock_now_ns();
    sqlite3_stmt *stmt;
    int r = hs_sql_prepare(drill->db, drill->found->schema_version < 2 ? without_space : with_space, &stmt, err);
    while (r >= 0 && (r = hs_sql_step(stmt, err)) > 0)
        r = read_row(drill, stmt, step, err);
    sqlite3_finalize(stmt);
    drill->found->read_s = seconds_since(start);
    return r;
}

/* Each sampled vector must find its identity, or any other one that has the same vector. */
static int search_sample(struct drill *drill, struct hs_error *err)
{
    float values[HS_GALLERY_DIMENSION_MAX];
    int64_t start = hs_clock_now_ns(), identity;
    int r = 0;
    for (size_t i = 0; r >= 0 && i < drill->sampled; i++) {
        struct hs_search_hit hit;
        size_t dimension = 0, count = 0;
        r = read_one(drill, drill->sample[i], values, &dimension, &identity, err);
        if (r > 0)
            r = hs_search_identities(drill->search, values, 1, -INFINITY, &hit, &count, err);
        bool own = count > 0 && (hit.identity == identity || hit.score >= hs_search_score(values, values, dimension));
        drill->found->found += own && hit.score >= SCORE_MIN;
        drill->found->searched++;
    }
    sodium_memzero(values, sizeof(values));
    drill->found->search_s = seconds_since(start);
    return r < 0 ? r : 0;
}

static int count_rows(struct drill *drill, struct hs_error *err)
{
    int r = hs_gallery_schema_of(drill->db, &drill->found->schema_version, err);
    if (r == 0)
        r = hs_sql_int(drill->db, "SELECT count(*) FROM identities", &drill->found->identities, err);
    return r < 0 ? r : hs_sql_int(drill->db, "SELECT count(*) FROM embeddings", &drill->found->embeddings, err);
}

/* The change number of another gallery's backup means nothing here. */
static int check_uid(struct drill *drill, const char *uid, struct hs_error *err)
{
    char sql[100];
    int64_t same = 0;
    hs_str_format(sql, sizeof(sql), "SELECT count(*) FROM gallery WHERE uid = '%s'", uid);
    int r = drill->found->same_change ? hs_sql_int(drill->db, sql, &same, err) : 0;
    drill->found->same_change = same > 0;
    return r;
}

static int judge(const struct hs_gallery_verified *found, struct hs_error *err)
{
    if (found->unreadable > 0)
        return hs_error_set(err, HS_EDECODE, "%lld of its %lld encrypted vectors cannot be decrypted",
                            (long long) found->unreadable, (long long) found->sealed);
    if (found->same_change &&
        (found->identities != found->live_identities || found->embeddings != found->live_embeddings))
        return hs_error_set(err, HS_EDECODE,
                            "it has the last change of the gallery, but %lld people and %lld faces, not %lld and %lld",
                            (long long) found->identities, (long long) found->embeddings,
                            (long long) found->live_identities, (long long) found->live_embeddings);
    if (found->found < found->searched)
        return hs_error_set(err, HS_EDECODE, "a search found only %lld of %lld sampled vectors again",
                            (long long) found->found, (long long) found->searched);
    return 0;
}

static int run(struct drill *drill, const char *uid, struct hs_error *err)
{
    int r = hs_gallery_keys_load(drill->keys, drill->db, err);
    if (r == 0)
        r = count_rows(drill, err);
    if (r == 0)
        r = check_uid(drill, uid, err);
    if (r == 0)
        r = hs_sql_prepare(drill->db, "SELECT embedding, identity_id FROM embeddings WHERE id = ?1", &drill->read_one,
                           err);
    if (r == 0)
        r = read_vectors(drill, err);
    if (r == 0)
        r = search_sample(drill, err);
    return r < 0 ? r : judge(drill->found, err);
}

/* Opens the unpacked file and deletes its name, so that nothing remains even if this process is killed. */
static int unpack(struct hs_gallery *gallery, const char *path, struct drill *drill, char ret_unpacked[PATH_MAX],
                  struct hs_error *err)
{
    struct stat st;
    int lock, code, r = hs_gallery_lock_folder(gallery->path, &lock, err);
    if (r < 0)
        return r;
    hs_gallery_clean_up(gallery);
    r = hs_gallery_unpack(gallery, path, ret_unpacked, err);
    if (r == 0) {
        drill->found->size_bytes = stat(ret_unpacked, &st) == 0 ? (int64_t) st.st_size : 0;
        r = hs_sql_open(ret_unpacked, SQLITE_OPEN_READONLY, gallery->vfs, 0, &drill->db, &code, err);
        hs_gallery_delete_database(ret_unpacked);
    }
    hs_gallery_unlock_folder(lock);
    return r;
}

/* Reads the counts and the last change of the gallery in one snapshot. */
static int compare(struct hs_gallery *gallery, const char *path, struct hs_gallery_verified *found,
                   struct hs_error *err)
{
    struct hs_gallery_conn *conn;
    int64_t change;
    int r = hs_gallery_begin_read(gallery, &conn, err);
    if (r < 0)
        return r;
    r = hs_sql_int(conn->db, "SELECT count(*) FROM identities", &found->live_identities, err);
    if (r == 0)
        r = hs_sql_int(conn->db, "SELECT count(*) FROM embeddings", &found->live_embeddings, err);
    if (r == 0)
        r = hs_sql_int(conn->db, "SELECT change FROM gallery", &change, err);
    hs_gallery_end_read(gallery, conn);
    found->same_change = r == 0 && hs_gallery_backup_change(path) == change;
    return r;
}

int hs_gallery_verify_backup(struct hs_gallery *gallery, const char *backup, struct hs_gallery_verified *ret,
                             struct hs_error *err)
{
    char path[PATH_MAX], unpacked[PATH_MAX];
    struct drill drill = { .keys = gallery->keys, .found = ret };
    *ret = (struct hs_gallery_verified) { .schema_version = -1 };
    int r = hs_gallery_path_of_backup(gallery, backup, path, err);
    if (r < 0)
        return r;
    r = compare(gallery, path, ret, err);
    if (r < 0)
        return r;
    int64_t start = hs_clock_now_ns();
    r = unpack(gallery, path, &drill, unpacked, err);
    ret->unpack_s = seconds_since(start);
    if (r < 0)
        return r;
    r = run(&drill, gallery->uid, err);
    sqlite3_finalize(drill.read_one);
    hs_search_destroy(drill.search);
    sqlite3_close(drill.db);
    hs_gallery_delete_database(unpacked); /* a log that SQLite may have made */
    return r;
}
