#include "face/db_encryption.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json_build.h"
#include "base/str.h"
#include "cli/progress.h"
#include "face/gallery_report.h"
#include "gallery/crypt.h"
#include "gallery/verify.h"
#include "service/picture_files.h"

enum { PROGRESS_FROM = 1000 /* vectors */ };

/* ---- changing the encryption ---- */

static void show_progress(void *arg, int64_t done, int64_t total)
{
    struct hs_progress *progress = arg;
    if (total >= PROGRESS_FROM)
        hs_progress_show(progress, "faces", (uint64_t) done, (uint64_t) (total > done ? total : done));
}

static void begin_progress(const struct hs_face_db_encryption *db, struct hs_progress *progress)
{
    hs_progress_init(progress, true);
    progress->quiet = db->call->quiet;
}

/* Faces that cannot be decrypted were changed by another program. They keep their old keys in the gallery. */
static int report_unreadable(const struct hs_face_db_encryption *db, int64_t count)
{
    char faces[40];
    if (count == 0)
        return HS_EXIT_OK;
    return hs_invocation_fail(db->call, HS_EXIT_FAILURE,
                              "%s cannot be decrypted, because another program changed them, and %s left as they are. "
                              "`hailo-face db check` counts them; erase or restore these people, and run this again",
                              hs_face_count_faces(count, faces), count == 1 ? "is" : "are");
}

int hs_face_db_encrypt(const struct hs_face_db_encryption *db, bool *ret_changed, struct hs_error *err)
{
    struct hs_gallery_converted done;
    struct hs_gallery_encryption state;
    struct hs_progress progress;
    char faces[40];
    begin_progress(db, &progress);
    int r = hs_gallery_encrypt(db->gallery, show_progress, &progress, &done, err);
    hs_progress_clear(&progress);
    if (r == 0)
        r = hs_gallery_get_encryption(db->gallery, &state, err);
    if (r < 0)
        return r;
    *ret_changed = done.vectors > 0 || !done.continued;
    if (!db->call->quiet)
        printf("Encrypted %s with the key %s\n", hs_face_count_faces(done.vectors, faces), state.key_id);
    return report_unreadable(db, done.unreadable);
}

int hs_face_db_decrypt(const struct hs_face_db_encryption *db, bool *ret_changed, struct hs_error *err)
{
    struct hs_gallery_converted done;
    struct hs_gallery_encryption state;
    struct hs_progress progress;
    char faces[40];
    int r = hs_gallery_get_encryption(db->gallery, &state, err);
    if (r == 0 && state.data_keys == 0)
        r = hs_error_set(err, HS_EINVAL, "the gallery is not encrypted");
    if (r < 0)
        return r;
    begin_progress(db, &progress);
    r = hs_gallery_decrypt(db->gallery, show_progress, &progress, &done, err);
    hs_progress_clear(&progress);
    if (r < 0)
        return r;
    *ret_changed = done.vectors > 0 || !done.continued;
    if (!db->call->quiet)
        printf("Decrypted %s. Now remove database.encryption_key from the configuration; with it, the service "
               "encrypts new faces\n",
               hs_face_count_faces(done.vectors, faces));
    return report_unreadable(db, done.unreadable);
}

static void print_rotated(const struct hs_face_db_encryption *db, const struct hs_gallery_converted *done,
                          const char *id)
{
    char faces[40];
    if (db->reencrypt)
        printf("Encrypted %s again\n", hs_face_count_faces(done->vectors, faces));
    if (db->new_key)
        printf(
            "The key %s now opens the gallery, too. Set database.encryption_key to it, and reload or restart the "
            "service: that removes the former key from the gallery. Keep the former key as long as backups need it\n",
            id);
}

int hs_face_db_rotate(const struct hs_face_db_encryption *db, bool *ret_changed, struct hs_error *err)
{
    struct hs_gallery_converted done;
    struct hs_progress progress;
    char id[HS_CRYPT_ID_SIZE], path[PATH_MAX];
    const char *source = db->new_key;
    if (!source && !db->reencrypt)
        return hs_invocation_fail(db->call, HS_EXIT_USAGE, "--new-key or --reencrypt is missing");
    if (source && !hs_str_starts(source, "credential:") && hs_path_absolute(path, sizeof(path), source))
        source = path;
    begin_progress(db, &progress);
    int r = hs_gallery_rotate_key(db->gallery, source, db->reencrypt, show_progress, &progress, id, &done, err);
    hs_progress_clear(&progress);
    if (r < 0)
        return r;
    *ret_changed = true;
    if (!db->call->quiet)
        print_rotated(db, &done, id);
    return report_unreadable(db, done.unreadable);
}

int hs_face_db_generate_key(const struct hs_invocation *call, const char *path)
{
    struct hs_error err;
    char id[HS_CRYPT_ID_SIZE];
    if (hs_crypt_key_generate(path, id, &err) < 0)
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
    printf("%s\n", id);
    if (!call->quiet)
        fprintf(stderr,
                "%s: wrote the key %s to %s. Keep a copy in a safe place: without it, an encrypted gallery and its "
                "backups are lost\n",
                call->prefix, id, path);
    return HS_EXIT_OK;
}

/* ---- reports ---- */

int hs_face_encryption_json(struct hs_gallery *gallery, int64_t sealed, int64_t plain, json_t **ret_json,
                            struct hs_error *err)
{
    struct hs_gallery_encryption state;
    int r = hs_gallery_get_encryption(gallery, &state, err);
    if (r < 0)
        return r;
    *ret_json = json_pack("{s:b, s:s*, s:s*, s:I, s:I, s:b}", "on", (int) state.on, "key_id",
                          state.key_id[0] ? state.key_id : NULL, "key_pending",
                          state.key_pending[0] ? state.key_pending : NULL, "encrypted_faces", (json_int_t) sealed,
                          "plain_faces", (json_int_t) plain, "unfinished", (int) (state.data_keys > 1));
    return *ret_json ? 0 : hs_error_set(err, HS_ENOMEM, "no memory for the report");
}

int hs_face_print_encryption(struct hs_gallery *gallery, int64_t plain, struct hs_error *err)
{
    struct hs_gallery_encryption state;
    char faces[40];
    int r = hs_gallery_get_encryption(gallery, &state, err);
    if (r < 0 || state.data_keys == 0)
        return r;
    if (state.on)
        printf("encrypted with the key %s\n", state.key_id);
    if (state.on && plain > 0)
        printf("%s not encrypted: see `hailo-face db encrypt`\n", hs_face_count_faces(plain, faces));
    if (!state.on)
        puts("decryption has begun; `hailo-face db decrypt` continues it");
    if (state.key_pending[0])
        printf("the next start needs the key %s\n", state.key_pending);
    if (state.data_keys > 1)
        puts("encryption with another data key has begun; `hailo-face db encrypt` continues it");
    return 0;
}

/* ---- backups ---- */

static json_t *verified_json(const char *path, const struct hs_gallery_verified *v, const char *error)
{
    return json_pack("{s:o, s:b, s:s*, s:i, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f}",
                     "path", hs_system_text_json(path), "good", (int) !error, "error", error, "schema_version",
                     v->schema_version, "size_bytes", (json_int_t) v->size_bytes, "people", (json_int_t) v->identities,
                     "faces", (json_int_t) v->embeddings, "gallery_people", (json_int_t) v->live_identities,
                     "gallery_faces", (json_int_t) v->live_embeddings, "up_to_date", (int) v->same_change, "encrypted",
                     (json_int_t) v->sealed, "undecryptable", (json_int_t) v->unreadable, "unusable",
                     (json_int_t) v->invalid, "searched", (json_int_t) v->searched, "found", (json_int_t) v->found,
                     "unpack_s", v->unpack_s, "read_s", v->read_s, "search_s", v->search_s);
}

static void print_verified(const char *path, const struct hs_gallery_verified *v, const char *error)
{
    char people[40], faces[40], size[32];
    printf("%s: %s\n", path, error ? "NOT GOOD" : "good");
    if (error)
        printf("  %s\n", error);
    if (v->schema_version < 0)
        return;
    hs_progress_size((uint64_t) v->size_bytes, size);
    printf("  %s, %s", hs_face_count_people(v->identities, people), hs_face_count_faces(v->embeddings, faces));
    printf("; the gallery has %s, %s%s\n", hs_face_count_people(v->live_identities, people),
           hs_face_count_faces(v->live_embeddings, faces), v->same_change ? ", unchanged since" : ", changed since");
    printf("  encrypted: %lld of %lld; cannot match: %lld\n", (long long) v->sealed, (long long) v->embeddings,
           (long long) v->invalid);
    printf("  found again by a search: %lld of %lld\n", (long long) v->found, (long long) v->searched);
    printf("  %s unpacked and checked in %.2f s, read in %.2f s, searched in %.3f s\n", size, v->unpack_s, v->read_s,
           v->search_s);
}

/* Out of memory or a lack of disk space ends the command; any other failure is the result for this backup. */
static int verify_one(const struct hs_face_db_encryption *db, const char *path, json_t **report, bool *ret_good,
                      struct hs_error *err)
{
    struct hs_gallery_verified found;
    struct hs_error why = { .message = "" };
    int r = hs_gallery_verify_backup(db->gallery, path, &found, &why);
    if (r == HS_ENOMEM)
        return hs_error_set(err, r, "%s", why.message);
    *ret_good &= r == 0;
    if (db->json)
        *report = hs_json_with_item(*report, verified_json(path, &found, r < 0 ? why.message : NULL));
    else
        print_verified(path, &found, r < 0 ? why.message : NULL);
    return 0;
}

static int verify_newest(const struct hs_face_db_encryption *db, json_t **report, bool *ret_good, struct hs_error *err)
{
    struct hs_gallery_backups *backups;
    int r = hs_gallery_list_backups(db->gallery, &backups, err);
    if (r < 0)
        return r;
    if (backups->count == 0 || backups->items[0].set_aside)
        r = hs_error_set(err, HS_ENOTFOUND, "there is no backup yet. `hailo-face db backup` makes one");
    else
        r = verify_one(db, backups->items[0].path, report, ret_good, err);
    hs_gallery_backups_destroy(backups);
    return r;
}

int hs_face_db_verify(const struct hs_face_db_encryption *db, const char *const *backups, size_t count,
                      struct hs_error *err)
{
    json_t *report = json_array();
    bool good = true;
    int r = count == 0 ? verify_newest(db, &report, &good, err) : 0;
    for (size_t i = 0; r == 0 && i < count; i++)
        r = verify_one(db, backups[i], &report, &good, err);
    if (r == 0 && db->json)
        r = hs_print_json(json_pack("{s:O, s:b}", "backups", report, "good", (int) good), HS_JSON_SPACED, err);
    json_decref(report);
    return r < 0 ? r : good ? HS_EXIT_OK : HS_EXIT_FAILURE;
}
