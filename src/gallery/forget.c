#include "gallery/forget.h"

#include <dirent.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_build.h"
#include "base/mem.h"
#include "base/str.h"
#include "gallery/byte_search.h"
#include "gallery/files.h"
#include "gallery/retention.h"

enum { SHM_REGION = 32768 };

struct forget {
    struct hs_gallery *gallery;
    struct hs_gallery_person *person;
    struct hs_byte_search search;
    bool name_searched, metadata_searched;
    json_t *vectors;  /* SHA-256 of each stored vector */
    json_t *searched; /* one object per file; NULL: no memory */
    struct hs_byte_hits total;
    bool unread; /* a file could not be searched to its end */
};

/* ---- patterns ---- */

/* Adds the vectors as they are in the file, which may be encrypted. */
static int add_stored(struct forget *forget, struct hs_error *err)
{
    struct hs_gallery_conn *conn;
    sqlite3_stmt *stmt = NULL;
    char sum[65];
    int r = hs_gallery_begin_read(forget->gallery, &conn, err);
    if (r < 0)
        return r;
    r = hs_sql_prepare(conn->db, "SELECT embedding FROM embeddings WHERE identity_id = ?1 ORDER BY id", &stmt, err);
    if (r == 0)
        sqlite3_bind_int64(stmt, 1, forget->person->identity.id);
    while (r >= 0 && (r = hs_sql_step(stmt, err)) > 0) {
        const void *blob = sqlite3_column_blob(stmt, 0);
        size_t size = blob ? (size_t) sqlite3_column_bytes(stmt, 0) : 0;
        hs_sha256(blob ? blob : "", size, sum);
        forget->vectors = hs_json_with_item(forget->vectors, json_string(sum));
        if (!forget->vectors || hs_byte_search_add_vector(&forget->search, blob, size) < 0)
            r = hs_gallery_no_memory(err);
    }
    sqlite3_finalize(stmt);
    hs_gallery_end_read(forget->gallery, conn);
    return r;
}

static int add_patterns(struct forget *forget, struct hs_error *err)
{
    const struct hs_gallery_person *person = forget->person;
    int r = hs_byte_search_init(&forget->search), name, metadata = 0;
    for (size_t i = 0; r == 0 && i < person->count; i++)
        r = hs_byte_search_add_vector(&forget->search, person->embeddings[i].values,
                                      person->embeddings[i].dimension * sizeof(float));
    if (r < 0)
        return hs_gallery_no_memory(err);
    name = hs_byte_search_add_text(&forget->search, HS_BYTE_SEARCH_NAME, person->identity.name);
    if (person->identity.metadata)
        metadata = hs_byte_search_add_text(&forget->search, HS_BYTE_SEARCH_METADATA, person->identity.metadata);
    if (name < 0 || metadata < 0)
        return hs_gallery_no_memory(err);
    forget->name_searched = name;
    forget->metadata_searched = metadata;
    return add_stored(forget, err);
}

/* ---- searching ---- */

static void record(struct forget *forget, const char *file, const struct hs_byte_hits *hits, const char *problem)
{
    char name[NAME_MAX + 1];
    hs_str_copy(name, sizeof(name), file);
    hs_str_make_line(name);
    json_t *object =
        json_pack("{s:s, s:I, s:I, s:I, s:I}", "file", name, "bytes", (json_int_t) hits->bytes, "vector_parts",
                  (json_int_t) hits->hits[HS_BYTE_SEARCH_VECTOR], "names", (json_int_t) hits->hits[HS_BYTE_SEARCH_NAME],
                  "metadata", (json_int_t) hits->hits[HS_BYTE_SEARCH_METADATA]);
    if (problem)
        object = hs_json_with_member(object, "problem", json_string(problem));
    forget->unread |= problem != NULL;
    forget->searched = hs_json_with_item(forget->searched, object);
    forget->total.bytes += hits->bytes;
    for (int kind = 0; kind < HS_BYTE_SEARCH_KINDS; kind++)
        forget->total.hits[kind] += hits->hits[kind];
}

static int64_t read_database(void *arg, int64_t at, void *data, size_t size)
{
    sqlite3_file *file = arg;
    sqlite3_int64 length;
    if (file->pMethods->xFileSize(file, &length) != SQLITE_OK)
        return HS_EIO;
    if (at >= length)
        return 0;
    int len = (int) ((int64_t) size < length - at ? (int64_t) size : length - at);
    return file->pMethods->xRead(file, data, len, at) == SQLITE_OK ? len : HS_EIO;
}

/* The database and the index of its log are read through SQLite: see hs_byte_search_file. */
static void search_database(struct forget *forget)
{
    sqlite3 *db = forget->gallery->writer->db;
    struct hs_byte_hits hits = { 0 }, index = { 0 };
    struct hs_error err = { .message = "cannot be read" };
    const char *base = hs_path_base(forget->gallery->path);
    char name[NAME_MAX + 8];
    sqlite3_file *file = NULL;
    void volatile *region = NULL;
    sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    bool open = file && file->pMethods;
    int r = open ? hs_byte_search_source(&forget->search, read_database, file, &hits, &err) : HS_EIO;
    record(forget, base, &hits, r < 0 ? err.message : NULL);
    for (int i = 0; open && file->pMethods->iVersion >= 2; i++) {
        region = NULL;
        if (file->pMethods->xShmMap(file, i, SHM_REGION, 0, &region) != SQLITE_OK || !region)
            break;
        uint8_t copy[SHM_REGION];
        for (size_t k = 0; k < sizeof(copy); k++)
            copy[k] = ((const volatile uint8_t *) region)[k];
        hs_byte_search_data(&forget->search, copy, sizeof(copy), &index);
    }
    hs_str_format(name, sizeof(name), "%s-shm", base);
    record(forget, name, &index, NULL);
}

/* Searches the files of a folder whose names begin with `prefix`, except those that SQLite has open. */
static void search_folder(struct forget *forget, const char *folder, const char *prefix)
{
    char path[PATH_MAX], shm[NAME_MAX + 8];
    const char *base = hs_path_base(forget->gallery->path);
    struct dirent *entry;
    struct stat st, own;
    DIR *dir = opendir(folder);
    if (!dir)
        return;
    hs_str_format(shm, sizeof(shm), "%s-shm", base);
    bool known = stat(forget->gallery->path, &own) == 0;
    while ((entry = readdir(dir))) {
        struct hs_byte_hits hits = { 0 };
        struct hs_error err;
        bool match = hs_str_starts(entry->d_name, prefix) && strcmp(entry->d_name, shm) != 0 &&
                     hs_path_join(path, sizeof(path), folder, entry->d_name) && lstat(path, &st) == 0 &&
                     S_ISREG(st.st_mode) && !(known && st.st_ino == own.st_ino && st.st_dev == own.st_dev);
        if (!match)
            continue;
        int r = hs_byte_search_file(&forget->search, path, &hits, &err);
        if (r != HS_ENOTFOUND)
            record(forget, entry->d_name, &hits, r < 0 ? err.message : NULL);
    }
    closedir(dir);
}

static void search_all(struct forget *forget)
{
    char folder[PATH_MAX];
    forget->searched = json_array();
    search_database(forget);
    if (hs_path_parent(folder, sizeof(folder), forget->gallery->path))
        search_folder(forget, folder, hs_path_base(forget->gallery->path));
    if (forget->gallery->backup_dir)
        search_folder(forget, forget->gallery->backup_dir, "");
}

/* Other records that contain the name or the metadata, so that a match does not mean that the person is still there.
 * -1: not known. */
struct others {
    int64_t names, metadata;
};

static struct others count_others(struct forget *forget)
{
    static const char query[] =
        "SELECT (SELECT count(*) FROM identities WHERE instr(name, ?1) OR instr(metadata, ?1))"
        " + (SELECT count(*) FROM sqlite_schema WHERE instr(sql, ?1))"
        " + (SELECT count(*) FROM embeddings WHERE instr(space, ?1) OR instr(model, ?1) OR instr(quality, ?1)),"
        " (SELECT count(*) FROM identities WHERE instr(metadata, ?2))";
    struct others others = { -1, -1 };
    struct hs_gallery_conn *conn;
    sqlite3_stmt *stmt = NULL;
    const char *metadata = forget->person->identity.metadata;
    if (hs_gallery_begin_read(forget->gallery, &conn, NULL) < 0)
        return others;
    if (hs_sql_prepare(conn->db, query, &stmt, NULL) == 0) {
        sqlite3_bind_text(stmt, 1, forget->person->identity.name, -1, SQLITE_STATIC);
        if (metadata)
            sqlite3_bind_text(stmt, 2, metadata, (int) strnlen(metadata, HS_BYTE_SEARCH_PART), SQLITE_STATIC);
        if (hs_sql_step(stmt, NULL) > 0)
            others = (struct others) { sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1) };
    }
    sqlite3_finalize(stmt);
    hs_gallery_end_read(forget->gallery, conn);
    return others;
}

/* ---- the proof ---- */

static json_t *person_json(const struct forget *forget)
{
    const char *name = forget->person->identity.name;
    unsigned char salt[16], digest[crypto_hash_sha256_BYTES];
    char salt_hex[33], digest_hex[65];
    crypto_hash_sha256_state state;
    randombytes_buf(salt, sizeof(salt));
    sodium_bin2hex(salt_hex, sizeof(salt_hex), salt, sizeof(salt));
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, (const unsigned char *) salt_hex, sizeof(salt_hex) - 1);
    crypto_hash_sha256_update(&state, (const unsigned char *) name, strlen(name));
    crypto_hash_sha256_final(&state, digest);
    sodium_bin2hex(digest_hex, sizeof(digest_hex), digest, sizeof(digest));
    return json_pack("{s:I, s:s, s:s}", "identity", (json_int_t) forget->person->identity.id, "salt", salt_hex,
                     "salted_name_sha256", digest_hex);
}

static json_t *audit_json(const struct hs_audit_head *head)
{
    char hex[HS_AUDIT_HEX_SIZE];
    if (head->seq == 0)
        return json_null();
    hs_audit_to_hex(head->hash, hex);
    return json_pack("{s:I, s:s}", "seq", (json_int_t) head->seq, "hash", hex);
}

/* Deletes the backups. Returns their names and the new one; *ret_done is false on failure. */
static json_t *purge(struct hs_gallery *gallery, bool *ret_done)
{
    struct hs_gallery_backups *purged;
    struct hs_error err;
    char backup[PATH_MAX], text[HS_ERROR_MESSAGE_SIZE];
    json_t *list = json_array();
    *ret_done = hs_gallery_purge_all(gallery, backup, &purged, &err) == 0;
    if (!*ret_done) {
        hs_error_public(err.message, text);
        return json_pack("{s:o, s:s}", "deleted", list, "problem", text);
    }
    for (size_t i = 0; i < purged->count; i++)
        list = hs_json_with_item(list, json_string(hs_path_base(purged->items[i].path)));
    hs_gallery_backups_destroy(purged);
    return backup[0] ? json_pack("{s:o, s:s}", "deleted", list, "new", hs_path_base(backup))
                     : json_pack("{s:o}", "deleted", list);
}

static json_t *out_of_reach_json(void)
{
    return json_pack("[s, s, s, s]", "copies of the gallery or its backups in other folders or on other machines",
                     "exports, and pictures of the person",
                     "copies that the file system or the storage device keeps (snapshots, journals, worn flash blocks)",
                     "the memory of a running service, until its next request or maintenance");
}

static json_t *search_json(struct forget *forget, struct others others, bool clean)
{
    return json_pack(
        "{s:b, s:I, s:I, s:I, s:I, s:b, s:b, s:I, s:I, s:o}", "clean", (int) clean, "bytes",
        (json_int_t) forget->total.bytes, "vector_parts", (json_int_t) forget->total.hits[HS_BYTE_SEARCH_VECTOR],
        "names", (json_int_t) forget->total.hits[HS_BYTE_SEARCH_NAME], "metadata",
        (json_int_t) forget->total.hits[HS_BYTE_SEARCH_METADATA], "name_searched", (int) forget->name_searched,
        "metadata_searched", (int) forget->metadata_searched, "other_records_with_the_name", (json_int_t) others.names,
        "other_records_with_the_metadata", (json_int_t) others.metadata, "files", forget->searched);
}

/* The person is erased: writes down what is left. */
static int prove(struct forget *forget, const struct hs_gallery_erased *erased, json_t **ret_proof, bool *ret_clean,
                 struct hs_error *err)
{
    struct hs_audit_head head;
    char time[HS_GALLERY_TIME_SIZE];
    bool purged;
    hs_audit_last(&head);
    json_t *audit = audit_json(&head), *backups = purge(forget->gallery, &purged);
    bool pending = hs_gallery_get_counts(forget->gallery).erase_pending;
    search_all(forget);
    struct others others = count_others(forget);
    const int64_t *hits = forget->total.hits;
    bool found = hits[HS_BYTE_SEARCH_VECTOR] > 0 || (hits[HS_BYTE_SEARCH_METADATA] > 0 && others.metadata <= 0) ||
                 (hits[HS_BYTE_SEARCH_NAME] > 0 && others.names <= 0);
    *ret_clean = purged && !pending && !found && !forget->unread;
    hs_retention_time(hs_clock_wall_s(), time);
    json_t *proof =
        json_pack("{s:s, s:i, s:s, s:s, s:o, s:{s:I, s:O}, s:b, s:o, s:o, s:o, s:o}", "format",
                  "hailo-services-erasure", "version", 1, "time", time, "gallery", forget->gallery->uid, "person",
                  person_json(forget), "erased", "embeddings", (json_int_t) erased->embeddings, "vector_sha256",
                  forget->vectors, "pending", (int) pending, "audit", audit, "backups", backups, "search",
                  search_json(forget, others, *ret_clean), "out_of_reach", out_of_reach_json());
    forget->searched = NULL;
    if (!proof)
        return hs_error_set(err, HS_ENOMEM, "the person is erased, but there is no memory for the proof");
    *ret_proof = proof;
    return 0;
}

int hs_gallery_forget(struct hs_gallery *gallery, const char *name, json_t **ret_proof, bool *ret_clean,
                      struct hs_error *err)
{
    struct forget forget = { .gallery = gallery, .vectors = json_array() };
    struct hs_gallery_erased erased;
    bool due = hs_retention_is_purge_due(gallery);
    int r = hs_gallery_get(gallery, name, true, &forget.person, err);
    if (r == 0)
        r = add_patterns(&forget, err);
    /* If this process is killed after the removal, the service purges the backups. */
    if (r == 0 && (r = hs_gallery_request_purge(gallery, err)) == 0) {
        r = hs_gallery_remove_as(gallery, "forget", name, &erased, err);
        if (r < 0 && !due)
            hs_gallery_cancel_purge(gallery);
    }
    if (r == 0) {
        r = prove(&forget, &erased, ret_proof, ret_clean, err);
        hs_gallery_erased_finish(&erased);
    }
    hs_byte_search_finish(&forget.search);
    hs_gallery_person_destroy(forget.person);
    json_decref(forget.vectors);
    return r;
}
