#include "fixture.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    /* Use a file system in memory if possible, because these tests sync often. */
    bool memory = access("/dev/shm", W_OK) == 0;
    hs_str_copy(f->dir, sizeof(f->dir), memory ? "/dev/shm/hs-gallery-XXXXXX" : "/tmp/hs-gallery-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    hs_path_join(f->path, sizeof(f->path), f->dir, "faces.db");
    hs_path_join(f->backups, sizeof(f->backups), f->dir, "backups");
    f->options = (struct hs_gallery_options) {
        .path = f->path,
        .backup_dir = f->backups,
        .keep_backups = 3,
        .busy_timeout_ms = 20000,
    };
    *state = f;
    return 0;
}

static void delete_files(const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return;
    struct dirent *entry;
    while ((entry = readdir(dir)))
        unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    rmdir(folder);
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    delete_files(f->backups);
    delete_files(f->dir);
    free(f);
    return 0;
}

struct hs_gallery *fixture_open(struct fixture *f)
{
    struct hs_error err = { 0 };
    int r = hs_gallery_open(&f->options, &f->gallery, &f->opened, &err);
    if (r < 0)
        print_error("open: %s\n", err.message);
    assert_int_equal(r, 0);
    return f->gallery;
}

void fixture_close(struct fixture *f)
{
    hs_gallery_close(f->gallery);
    f->gallery = NULL;
}

void fixture_copy_file(struct fixture *f, unsigned seed)
{
    float values[DIMENSION];
    uint8_t *data;
    size_t len;
    fixture_close(f);
    int64_t root = query_sql(f->path, "SELECT rootpage FROM sqlite_schema WHERE name = 'idx_requests_created'");
    assert_int_equal(query_sql(f->path, "PRAGMA page_size"), 4096);
    assert_int_equal(hs_file_read(f->path, 1 << 20, &data, &len, NULL), 0);
    unit_vector(seed, values);
    memcpy(data + (root - 1) * 4096 + 2048, values, sizeof(values));
    assert_int_equal(hs_file_write_atomic(f->path, data, len, 0600, NULL), 0);
    free(data);
    fixture_open(f);
    assert_string_equal(f->opened.set_aside, "");
}

const float *unit_vector(unsigned seed, float values[DIMENSION])
{
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    double sum = 0;
    for (int i = 0; i < DIMENSION; i++) {
        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        values[i] = (float) ((double) (x >> 33) / (double) (UINT64_C(1) << 30) - 1);
        sum += (double) values[i] * (double) values[i];
    }
    for (int i = 0; i < DIMENSION; i++)
        values[i] = (float) (values[i] / sqrt(sum));
    return values;
}

int try_add(struct hs_gallery *gallery, const char *name, unsigned seed, struct hs_gallery_added *ret_added)
{
    float values[DIMENSION];
    struct hs_gallery_new_embedding e = { .values = unit_vector(seed, values),
                                          .dimension = DIMENSION,
                                          .space = "test" };
    return hs_gallery_add(gallery, NULL, name, NULL, &e, ret_added, NULL);
}

struct hs_gallery_added add(struct hs_gallery *gallery, const char *name, unsigned seed)
{
    struct hs_gallery_added added = { 0 };
    assert_int_equal(try_add(gallery, name, seed, &added), 0);
    return added;
}

int64_t count_of(struct hs_gallery *gallery, const char *name)
{
    struct hs_gallery_person *person;
    int r = hs_gallery_get(gallery, name, false, &person, NULL);
    if (r == HS_ENOTFOUND)
        return -1;
    assert_int_equal(r, 0);
    int64_t count = (int64_t) person->count;
    assert_int_equal(count, person->identity.embedding_count);
    hs_gallery_person_destroy(person);
    return count;
}

struct hs_gallery_audit stats_of(struct hs_gallery *gallery)
{
    struct hs_gallery_audit audit = { 0 };
    assert_int_equal(hs_gallery_audit(gallery, "test", DIMENSION, &audit, NULL), 0);
    return audit;
}

static bool file_has(const char *path, const void *needle, size_t len)
{
    uint8_t *data;
    size_t size;
    if (hs_file_read(path, SIZE_MAX / 2, &data, &size, NULL) < 0)
        return false;
    bool found = memmem(data, size, needle, len) != NULL;
    free(data);
    return found;
}

bool folder_has(const struct fixture *f, unsigned seed)
{
    float values[DIMENSION];
    unit_vector(seed, values);
    DIR *dir = opendir(f->dir);
    assert_non_null(dir);
    bool found = false;
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        char path[PATH_MAX];
        hs_path_join(path, sizeof(path), f->dir, entry->d_name);
        for (int i = 0; i + 3 <= DIMENSION && !strstr(path, ".corrupt-"); i += 3)
            found |= file_has(path, &values[i], 12);
    }
    closedir(dir);
    return found;
}

static sqlite3 *open_sql(const char *path)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    return db;
}

void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = open_sql(path);
    int code = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (code != SQLITE_OK)
        print_error("%s: %s\n", sql, sqlite3_errmsg(db));
    assert_int_equal(code, SQLITE_OK);
    sqlite3_close(db);
}

int64_t query_sql(const char *path, const char *sql)
{
    sqlite3 *db = open_sql(path);
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return value;
}

void write_first_schema(const char *path)
{
    run_sql(path, "CREATE TABLE identities (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE NOT NULL,"
                  " created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);"
                  "CREATE TABLE embeddings (id INTEGER PRIMARY KEY AUTOINCREMENT, identity_id INTEGER NOT NULL,"
                  " embedding BLOB NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,"
                  " FOREIGN KEY (identity_id) REFERENCES identities(id) ON DELETE CASCADE);"
                  "CREATE INDEX idx_embeddings_identity ON embeddings(identity_id);"
                  "INSERT INTO identities (name, created_at) VALUES ('Bob', '2024-01-02 03:04:05'), ('Ada', "
                  "'2024-01-02 03:04:06')");
    sqlite3 *db = open_sql(path);
    sqlite3_stmt *stmt = NULL;
    sqlite3_prepare_v2(db, "INSERT INTO embeddings (identity_id, embedding) VALUES (?1, ?2)", -1, &stmt, NULL);
    for (int i = 1; i <= 3; i++) {
        float values[DIMENSION];
        sqlite3_bind_int(stmt, 1, i < 3 ? i : 99);
        sqlite3_bind_blob(stmt, 2, unit_vector((unsigned) i, values), sizeof(values), SQLITE_TRANSIENT);
        assert_int_equal(sqlite3_step(stmt), SQLITE_DONE);
        sqlite3_reset(stmt);
    }
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}
