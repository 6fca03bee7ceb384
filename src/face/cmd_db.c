/* `db`: manages the gallery from the command line. The service may run meanwhile; it detects the changes. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_build.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/terminal.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "face/commands.h"
#include "face/db_encryption.h"
#include "face/db_privacy.h"
#include "face/enrol.h"
#include "face/gallery_report.h"
#include "face/routes_database.h"
#include "gallery/audit_log.h"
#include "gallery/export.h"
#include "service/picture_files.h"

enum { IMPORT_MAX = 1 << 30, PROGRESS_FROM = 5 /* pictures */ };

struct db {
    struct hs_invocation *call;
    const struct hs_text_list *words; /* arguments of the action */
    bool purge_backups;               /* also delete the files that still contain erased or plain data */
    const char *new_key;              /* of rotate-key: the source of the new key */
    bool reencrypt;                   /* of rotate-key: also encrypt all vectors again */
    struct hs_gallery *gallery;
    struct hs_settings *settings;
    const char *gate; /* of add and import: a word of hs_enrol_gates; NULL: as configured, but at least standard */
    bool force;       /* of add and import: accept faces that the gate would reject, like "off" */
    bool json;        /* of add and import: print the report as JSON */
    const char *name; /* of export: only this person */
    struct hs_face_db_privacy privacy;
    struct hs_error err; /* set if an action returns a negative status */
};

/* Converts the result of an action into an exit code: a negative status, or already an exit code. */
static int finish(const struct db *db, int r)
{
    return r < 0 ? hs_invocation_fail(db->call, HS_EXIT_FAILURE, "%s", db->err.message) : r;
}

static const char *word(const struct db *db, size_t i)
{
    return db->words->items[i];
}

/* Prints a document for scripts. Takes the reference. */
static int print_json(struct db *db, json_t *report)
{
    return hs_print_json(report, HS_JSON_SPACED, &db->err);
}

/* For the user, not for scripts. */
static void note(const struct db *db, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(const struct db *db, const char *format, ...)
{
    va_list args;
    if (db->call->quiet)
        return;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
}

/* Prints text that another person chose: a name, metadata, the path of a picture. */
static void print_foreign(const char *text)
{
    char *safe = hs_terminal_copy(text);
    fputs(safe ? safe : "?", stdout);
    free(safe);
}

static void add_cells(struct hs_table *table, const char *const *cells, size_t count)
{
    for (size_t i = 0; i < count; i++)
        hs_table_add(table, "%s", cells[i]);
}

/* Prints the rows below the headings, if there are any. */
static int print_table(struct db *db, struct hs_table *table)
{
    int r = table->count > table->columns || table->no_memory ? hs_table_print(table, &db->err) : 0;
    hs_table_finish(table);
    return r;
}

static int list_identity_json(void *arg, const struct hs_gallery_identity *identity)
{
    return json_array_append_new(arg, hs_face_identity_json(identity)) < 0 ? HS_ENOMEM : 0;
}

static int list_identity(void *arg, const struct hs_gallery_identity *identity)
{
    hs_table_add(arg, "%s", identity->name);
    hs_table_add(arg, "%lld", (long long) identity->embedding_count);
    hs_table_add(arg, "%s", identity->created_at);
    return 0;
}

static int list_json(struct db *db)
{
    json_t *identities = json_array();
    hs_error_set(&db->err, HS_ENOMEM, "no memory for the list");
    int r = hs_gallery_for_each_identity(db->gallery, NULL, SIZE_MAX, list_identity_json, identities, NULL, &db->err);
    if (r == 0)
        r = print_json(
            db, json_pack("{s:O, s:I}", "identities", identities, "count", (json_int_t) json_array_size(identities)));
    json_decref(identities);
    return r;
}

static int do_list(void *arg)
{
    static const char *const headings[] = { "NAME", "FACES", "ADDED" };
    struct db *db = arg;
    struct hs_table table;
    if (db->json)
        return list_json(db);
    hs_table_init(&table, HS_ARRAY_LEN(headings), 1u << 1);
    add_cells(&table, headings, HS_ARRAY_LEN(headings));
    int r = hs_gallery_for_each_identity(db->gallery, NULL, SIZE_MAX, list_identity, &table, NULL, &db->err);
    if (r < 0) {
        hs_table_finish(&table);
        return r;
    }
    if (table.count == table.columns && !db->call->quiet)
        fputs("The gallery has no people yet. Add one with `hailo-face db add NAME PICTURE`\n", stderr);
    return print_table(db, &table);
}

/* Adds the size in pixels and the overall quality of a face, if they are stored. */
static void add_quality(struct hs_table *table, const char *text)
{
    json_t *quality = text ? json_loads(text, 0, NULL) : NULL;
    const json_t *size = json_object_get(quality, "size"), *score = json_object_get(quality, "score");
    char shown[2][32] = { "", "" };
    if (json_is_number(size))
        hs_str_format(shown[0], sizeof(shown[0]), "%.0f px", json_number_value(size));
    if (json_is_number(score))
        hs_str_format(shown[1], sizeof(shown[1]), "%.2f", json_number_value(score));
    hs_table_add(table, "%s", shown[0]);
    hs_table_add(table, "%s", shown[1]);
    json_decref(quality);
}

static int print_person(struct db *db, const struct hs_gallery_person *person)
{
    static const char *const headings[] = { "ID", "ADDED", "SPACE", "SIZE", "QUALITY" };
    struct hs_table table;
    char faces[40];
    print_foreign(person->identity.name);
    printf(": %s, added ", hs_face_count_faces((int64_t) person->count, faces));
    print_foreign(person->identity.created_at);
    if (person->identity.metadata) {
        fputs("\nmetadata: ", stdout);
        print_foreign(person->identity.metadata);
    }
    putchar('\n');
    if (person->count)
        putchar('\n');
    hs_table_init(&table, HS_ARRAY_LEN(headings), 1u << 0 | 1u << 3 | 1u << 4);
    add_cells(&table, headings, HS_ARRAY_LEN(headings));
    for (size_t i = 0; i < person->count; i++) {
        const struct hs_gallery_embedding *e = &person->embeddings[i];
        hs_table_add(&table, "%lld", (long long) e->id);
        hs_table_add(&table, "%s", e->created_at);
        hs_table_add(&table, "%s", e->space);
        add_quality(&table, e->quality);
    }
    return print_table(db, &table);
}

static int do_show(void *arg)
{
    struct db *db = arg;
    struct hs_gallery_person *person;
    int r = hs_gallery_get(db->gallery, word(db, 0), false, &person, &db->err);
    if (r < 0)
        return r;
    r = db->json ? print_json(db, hs_face_person_json(person)) : print_person(db, person);
    hs_gallery_person_destroy(person);
    return r;
}

static int do_rename(void *arg)
{
    struct db *db = arg;
    int r = hs_gallery_rename(db->gallery, word(db, 0), word(db, 1), &db->err);
    if (r == 0)
        note(db, "%s is now called %s\n", word(db, 0), word(db, 1));
    return r;
}

static int do_merge(void *arg)
{
    struct db *db = arg;
    int r = hs_gallery_merge(db->gallery, word(db, 0), word(db, 1), &db->err);
    if (r == 0)
        note(db, "All faces of %s are now those of %s\n", word(db, 0), word(db, 1));
    return r;
}

static int purge(struct db *db)
{
    struct hs_gallery_backups *purged;
    char backup[PATH_MAX];
    int r = hs_gallery_purge_all(db->gallery, backup, &purged, &db->err);
    if (r < 0)
        return r;
    if (backup[0])
        note(db, "Backed up to %s\n", backup);
    for (size_t i = 0; i < purged->count; i++)
        note(db, "Deleted %s\n", purged->items[i].path);
    hs_gallery_backups_destroy(purged);
    return HS_EXIT_OK;
}

static int do_remove(void *arg)
{
    struct db *db = arg;
    struct hs_gallery_erased erased;
    char faces[40];
    int r = hs_gallery_remove(db->gallery, word(db, 0), &erased, &db->err);
    if (r < 0)
        return r;
    note(db, "Erased %s of %s\n", hs_face_count_faces(erased.embeddings, faces), word(db, 0));
    for (size_t i = 0; !db->purge_backups && i < erased.file_count; i++)
        printf("Still in the older file %s\n", erased.files[i]);
    bool pending = erased.pending;
    hs_gallery_erased_finish(&erased);
    if (db->purge_backups)
        return purge(db);
    if (pending)
        return hs_invocation_fail(
            db->call, HS_EXIT_FAILURE,
            "the erased data is still in the log of the gallery, because another process reads it or "
            "the disk failed. The service erases it later");
    return HS_EXIT_OK;
}

static struct hs_face_db_encryption encryption_of(const struct db *db)
{
    return (struct hs_face_db_encryption) {
        .call = db->call,
        .gallery = db->gallery,
        .settings = &((const struct hs_face_settings *) hs_settings_values(db->settings))->database,
        .new_key = db->new_key,
        .reencrypt = db->reencrypt,
        .json = db->json,
    };
}

static int do_backup(void *arg)
{
    struct db *db = arg;
    const struct hs_face_db_encryption encryption = encryption_of(db);
    char path[PATH_MAX];
    if (db->words->count > 0 && strcmp(word(db, 0), "verify") != 0)
        return hs_invocation_fail(db->call, HS_EXIT_USAGE, "unexpected argument '%s'", word(db, 0));
    if (db->words->count > 0)
        return hs_face_db_verify(&encryption, db->words->items + 1, db->words->count - 1, &db->err);
    int r = hs_gallery_backup(db->gallery, path, &db->err);
    if (r < 0)
        return r;
    if (db->json)
        return print_json(db, json_pack("{s:o}", "path", hs_system_text_json(path)));
    puts(path);
    return HS_EXIT_OK;
}

/* ---- encryption ---- */

/* Makes a backup with the present vectors and keys, and deletes or lists the older ones. `text` describes these. */
static int renew_backups(struct db *db, const char *text)
{
    struct hs_gallery_backups *backups;
    char path[PATH_MAX];
    if (db->purge_backups)
        return purge(db);
    int r = hs_gallery_backup(db->gallery, path, &db->err);
    if (r == 0)
        r = hs_gallery_list_backups(db->gallery, &backups, &db->err);
    if (r < 0)
        return r;
    note(db, "Backed up to %s\n", path);
    for (size_t i = 0; i < backups->count; i++)
        if (strcmp(backups->items[i].path, path) != 0)
            printf("%s %s\n", text, backups->items[i].path);
    hs_gallery_backups_destroy(backups);
    return HS_EXIT_OK;
}

static int change_encryption(struct db *db,
                             int (*change)(const struct hs_face_db_encryption *db, bool *ret_changed,
                                           struct hs_error *err),
                             const char *text)
{
    const struct hs_face_db_encryption encryption = encryption_of(db);
    bool changed = false;
    int code = change(&encryption, &changed, &db->err);
    int r = code >= 0 && changed ? renew_backups(db, text) : 0;
    return r < 0 ? r : code;
}

static int do_encrypt(void *arg)
{
    return change_encryption(arg, hs_face_db_encrypt, "Faces may not be encrypted in the older file");
}

static int do_decrypt(void *arg)
{
    return change_encryption(arg, hs_face_db_decrypt, "The former key may be needed for the older file");
}

static int do_rotate_key(void *arg)
{
    return change_encryption(arg, hs_face_db_rotate, "The former key is needed for the older file");
}

static int do_key(void *arg)
{
    struct db *db = arg;
    if (strcmp(word(db, 0), "generate") != 0)
        return hs_invocation_fail(db->call, HS_EXIT_USAGE, "unexpected argument '%s'", word(db, 0));
    return hs_face_db_generate_key(db->call, word(db, 1));
}

static json_t *backups_json(const struct hs_gallery_backups *backups)
{
    json_t *list = json_array();
    for (size_t i = 0; i < backups->count; i++) {
        const struct hs_gallery_backup *backup = &backups->items[i];
        list = hs_json_with_item(list, json_pack("{s:o, s:s, s:I, s:b}", "path", hs_system_text_json(backup->path),
                                                 "created_at", backup->created_at, "size_bytes",
                                                 (json_int_t) backup->size_bytes, "damaged", (int) backup->set_aside));
    }
    return json_pack("{s:o}", "backups", list);
}

static int do_backups(void *arg)
{
    static const char *const headings[] = { "CREATED", "SIZE", "PATH" };
    struct db *db = arg;
    struct hs_gallery_backups *backups;
    struct hs_table table;
    char size[32];
    int r = hs_gallery_list_backups(db->gallery, &backups, &db->err);
    if (r < 0)
        return r;
    hs_table_init(&table, HS_ARRAY_LEN(headings), 1u << 1);
    add_cells(&table, headings, HS_ARRAY_LEN(headings));
    for (size_t i = 0; !db->json && i < backups->count; i++) {
        const struct hs_gallery_backup *backup = &backups->items[i];
        hs_progress_size((uint64_t) backup->size_bytes, size);
        hs_table_add(&table, "%s", backup->created_at);
        hs_table_add(&table, "%s", size);
        hs_table_add(&table, "%s%s", backup->path, backup->set_aside ? " (damaged gallery)" : "");
    }
    r = db->json ? print_json(db, backups_json(backups)) : 0;
    hs_gallery_backups_destroy(backups);
    if (db->json)
        hs_table_finish(&table);
    return db->json ? r : print_table(db, &table);
}

/* Surveys the gallery's faces, names and metadata. The caller frees *ret_audit with free(). */
static int audit(struct db *db, struct hs_face_gallery_model *ret_model, struct hs_gallery_audit **ret_audit)
{
    int r = hs_face_gallery_model(hs_settings_values(db->settings), ret_model, &db->err);
    struct hs_gallery_audit *found = r == 0 ? malloc(sizeof(*found)) : NULL;
    if (r == 0)
        r = found ? hs_gallery_audit(db->gallery, ret_model->space, ret_model->dimension, found, &db->err)
                  : hs_error_set(&db->err, HS_ENOMEM, "no memory");
    if (r < 0) {
        free(found);
        return r;
    }
    *ret_audit = found;
    return 0;
}

static void print_listed(const char *what, const struct hs_gallery_listed *listed)
{
    if (listed->count > 0)
        printf("%s: %lld\n", what, (long long) listed->count);
    for (int64_t i = 0; i < listed->count && i < HS_GALLERY_LISTED_MAX; i++) {
        fputs("  ", stdout);
        print_foreign(listed->items[i].name);
        fputs(listed->items[i].reason[0] ? ": " : "", stdout);
        print_foreign(listed->items[i].reason);
        putchar('\n');
    }
    if (listed->count > HS_GALLERY_LISTED_MAX)
        puts("  …");
}

static void print_unusable(const struct hs_face_gallery_model *model, const struct hs_gallery_audit *found)
{
    char lines[HS_FACE_REPORT_LINES][HS_FACE_REPORT_LINE_SIZE];
    size_t count = hs_face_report_unusable(&found->usability, model->name, model->dimension, lines);
    for (size_t i = 0; i < count; i++)
        puts(lines[i]);
}

static void print_records(const struct hs_gallery_audit *found)
{
    char lines[HS_FACE_REPORT_LINES][HS_FACE_REPORT_LINE_SIZE];
    size_t count = hs_face_report_records(found, lines);
    for (size_t i = 0; i < count; i++)
        puts(lines[i]);
}

/* Prints the names, and the command that fixes them. */
static void print_problems(const struct hs_face_gallery_model *model, const struct hs_gallery_audit *found)
{
    print_unusable(model, found);
    print_listed("People without a face that can match", &found->without);
    print_listed("Names that need another form (`hailo-face db rename OLD NEW`, or `db merge OLD INTO`)",
                 &found->names);
    print_listed("Metadata that cannot be shown", &found->metadata);
}

static int do_restore(void *arg)
{
    struct db *db = arg;
    struct hs_face_gallery_model model;
    struct hs_gallery_audit *found;
    char people[40], faces[40];
    int r = hs_gallery_restore(db->gallery, word(db, 0), &db->err);
    if (r == 0)
        r = audit(db, &model, &found);
    if (r < 0)
        return r;
    note(db, "Restored %s and %s\n", hs_face_count_people(found->identities, people),
         hs_face_count_faces(found->embeddings, faces));
    print_problems(&model, found);
    free(found);
    return HS_EXIT_OK;
}

static json_t *listed_json(const struct hs_gallery_listed *listed)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < listed->count && i < HS_GALLERY_LISTED_MAX; i++)
        list = hs_json_with_item(list, json_pack("{s:o, s:o}", "name", hs_face_text_json(listed->items[i].name),
                                                 "reason", hs_face_text_json(listed->items[i].reason)));
    return json_pack("{s:I, s:o}", "count", (json_int_t) listed->count, "first", list);
}

/* Reports of `check` and `stats` for scripts. */
static json_t *audit_json(struct db *db, const struct hs_face_gallery_model *model,
                          const struct hs_gallery_audit *found)
{
    const struct hs_gallery_usability *use = &found->usability;
    json_t *encryption;
    if (hs_face_encryption_json(db->gallery, found->sealed, found->plain, &encryption, &db->err) < 0)
        return NULL;
    json_t *report =
        json_pack("{s:I, s:I, s:s, s:I, s:{s:I, s:I, s:I, s:I}, s:o, s:o, s:o, s:I, s:i}", "people",
                  (json_int_t) found->identities, "faces", (json_int_t) found->embeddings, "model", model->name,
                  "usable", (json_int_t) use->embeddings[HS_GALLERY_USABLE], "unusable", "other_space",
                  (json_int_t) use->embeddings[HS_GALLERY_OTHER_SPACE], "other_size",
                  (json_int_t) use->embeddings[HS_GALLERY_OTHER_SIZE], "damaged",
                  (json_int_t) use->embeddings[HS_GALLERY_DAMAGED], "unknown_space",
                  (json_int_t) use->embeddings[HS_GALLERY_UNKNOWN_SPACE], "people_without_usable_faces",
                  listed_json(&found->without), "names_to_change", listed_json(&found->names), "unreadable_metadata",
                  listed_json(&found->metadata), "size_bytes",
                  (json_int_t) hs_gallery_get_counts(db->gallery).size_bytes, "schema_version", found->schema_version);
    return hs_json_with_member(report, "encryption", encryption);
}

static int do_check(void *arg)
{
    struct db *db = arg;
    struct hs_face_gallery_model model;
    struct hs_gallery_audit *found;
    int r = hs_gallery_check(db->gallery, &db->err);
    if (r == 0)
        r = audit(db, &model, &found);
    if (r < 0)
        return r;
    if (db->json) {
        r = print_json(db, audit_json(db, &model, found));
    } else {
        note(db, "The gallery is intact\n");
        print_problems(&model, found);
        r = hs_face_print_encryption(db->gallery, found->plain, &db->err);
    }
    free(found);
    return r;
}

static int do_stats(void *arg)
{
    struct db *db = arg;
    struct hs_face_gallery_model model;
    struct hs_gallery_audit *found;
    char people[40], faces[40], size[32];
    int r = audit(db, &model, &found);
    if (r < 0)
        return r;
    if (db->json) {
        r = print_json(db, audit_json(db, &model, found));
        free(found);
        return r;
    }
    bool all = found->embeddings > 0 && hs_gallery_unusable(&found->usability) == 0;
    printf("%s, %s%s%s\n", hs_face_count_people(found->identities, people),
           hs_face_count_faces(found->embeddings, faces), all ? ", all usable with " : "", all ? model.name : "");
    print_unusable(&model, found);
    print_records(found);
    hs_progress_size((uint64_t) hs_gallery_get_counts(db->gallery).size_bytes, size);
    printf("%s, schema version %d\n", size, found->schema_version);
    r = hs_face_print_encryption(db->gallery, found->plain, &db->err);
    free(found);
    return r;
}

/* Back up the gallery first, because a wrong space cannot be undone. */
static int do_set_space(void *arg)
{
    struct db *db = arg;
    struct hs_face_gallery_model model;
    struct hs_gallery_assigned done;
    char backup[PATH_MAX], people[40], faces[40];
    int r = hs_face_model_of_space(hs_settings_values(db->settings), word(db, 0), &model, &db->err);
    if (r == 0)
        r = hs_gallery_backup(db->gallery, backup, &db->err);
    if (r == 0)
        r = hs_gallery_set_space(db->gallery, model.space, model.name, model.dimension, &done, &db->err);
    if (r < 0)
        return r;
    note(db, "Backed up to %s\n", backup);
    printf("%s of %s now in the space %s\n", hs_face_count_faces(done.embeddings, faces),
           hs_face_count_people(done.identities, people), model.space);
    if (done.scaled)
        printf("%s scaled to length 1\n", hs_face_count_faces(done.scaled, faces));
    if (done.other_size)
        printf("%s unchanged: not the %zu numbers of %s\n", hs_face_count_faces(done.other_size, faces),
               model.dimension, model.name);
    if (done.damaged)
        printf("%s unchanged: not finite, or of length 0\n", hs_face_count_faces(done.damaged, faces));
    return done.embeddings ? HS_EXIT_OK : HS_EXIT_FAILURE;
}

/* The destination of an export. */
struct export_target {
    int fd;
    int reason; /* errno of the failed write */
};

static int write_piece(void *arg, const char *data, size_t len)
{
    struct export_target *target = arg;
    if (hs_file_write_all(target->fd, data, len) == 0)
        return 0;
    target->reason = errno;
    return HS_EIO;
}

static int export_to(struct db *db, const char *path, int fd)
{
    struct export_target target = { .fd = fd };
    int r = hs_gallery_export(db->gallery, db->name, write_piece, &target, &db->err);
    return target.reason ? hs_error_set(&db->err, HS_EIO, "%s: %s", path, strerror(target.reason)) : r;
}

/* Metadata that cannot be shown cannot be exported, either; the rest of the identity is. */
static int print_omitted(struct db *db)
{
    struct hs_gallery_audit *found = malloc(sizeof(*found));
    int r = found ? hs_gallery_audit(db->gallery, NULL, 0, found, &db->err)
                  : hs_error_set(&db->err, HS_ENOMEM, "no memory");
    char people[40];
    if (r == 0 && found->metadata.count > 0)
        fprintf(stderr, "%s: the metadata of %s cannot be read and is not exported. `hailo-face db check` lists them\n",
                db->call->prefix, hs_face_count_people(found->metadata.count, people));
    free(found);
    return r;
}

/* An export is for other programs, which do not have the key. */
static int warn_about_export(struct db *db)
{
    struct hs_gallery_encryption state;
    int r = hs_gallery_get_encryption(db->gallery, &state, &db->err);
    if (r == 0 && state.on)
        fprintf(stderr, "%s: the gallery is encrypted, but the exported file is not. Keep it in a safe place\n",
                db->call->prefix);
    return r;
}

/* An export leaves the gallery as it is, but is in the audit log, because the vectors leave the gallery. The entry
 * comes first, so that there is none without it. */
static int log_export(struct db *db)
{
    return hs_audit_record(db->gallery, db->name ? "export_person" : "export", NULL, 0, &db->err);
}

/* Writes to a temporary file beside the target, so that an existing file stays intact until the
 * export is complete. Mode 0600, because embeddings are biometric data. */
static int do_export(void *arg)
{
    struct db *db = arg;
    const char *path = word(db, 0);
    int r = warn_about_export(db);
    if (r == 0)
        r = log_export(db);
    if (r < 0)
        return r;
    if (strcmp(path, "-") == 0) {
        r = export_to(db, "standard output", STDOUT_FILENO);
        return r < 0 ? r : print_omitted(db);
    }
    struct hs_atomic_file file;
    r = hs_atomic_file_begin(&file, path, &db->err);
    if (r < 0)
        return r;
    r = export_to(db, path, file.fd);
    if (r < 0) {
        hs_atomic_file_abort(&file);
        return r;
    }
    r = hs_atomic_file_commit(&file, 0600, &db->err);
    return r < 0 ? r : print_omitted(db);
}

static int do_import(void *arg)
{
    struct db *db = arg;
    struct hs_gallery_imported imported;
    uint8_t *data;
    size_t len;
    int r = hs_file_read(word(db, 0), IMPORT_MAX, &data, &len, &db->err);
    if (r < 0)
        return r;
    r = hs_gallery_import(db->gallery, (const char *) data, len, &imported, &db->err);
    free(data);
    if (r < 0)
        return r;
    char people[40], faces[40];
    printf("%s, %s added, %zu already there, %zu refused\n",
           hs_face_count_people((int64_t) imported.identities, people),
           hs_face_count_faces((int64_t) imported.added, faces), imported.present, imported.refused_count);
    for (size_t i = 0; i < imported.refused_count && i < HS_GALLERY_REFUSED_MAX; i++)
        printf("line %zu: %s\n", imported.refused[i].line, imported.refused[i].reason);
    return imported.refused_count ? HS_EXIT_FAILURE : HS_EXIT_OK;
}

/* ---- pictures: these actions open the gallery and the networks themselves ---- */

enum state {
    ADDED,
    PRESENT, /* this file was already added to this identity */
    REFUSED,
};

struct result {
    enum state state;
    char code[HS_ENROL_CODE_SIZE]; /* first reason of a refusal: "no_face", "multiple_faces", "not_a_picture"… */
    char reason[300];
    json_t *addition; /* {name, file, face, warnings}; the last two as in the API's response */
};

static int refuse(struct result *result, const char *code, const char *reason)
{
    result->state = REFUSED;
    hs_str_copy(result->code, sizeof(result->code), code);
    hs_str_copy(result->reason, sizeof(result->reason), reason);
    return 0;
}

static int is_present(const struct hs_face_app *app, const char *name, const char *sha256, bool *ret,
                      struct hs_error *err)
{
    struct hs_gallery_person *person;
    int r = hs_gallery_get(app->gallery, name, false, &person, err);
    *ret = false;
    if (r == HS_ENOTFOUND)
        return 0;
    if (r < 0)
        return r;
    for (size_t i = 0; i < person->count && !*ret; i++)
        *ret = person->embeddings[i].source_sha256 && strcmp(person->embeddings[i].source_sha256, sha256) == 0;
    hs_gallery_person_destroy(person);
    return 0;
}

static int enrol(const struct hs_face_app *app, const struct hs_picture_file *file, const char *sha256,
                 enum hs_enrol_gate gate, const struct hs_face_result *found, struct result *result,
                 struct hs_error *err)
{
    const struct hs_enrol_candidate candidate = {
        .name = file->name,
        .source_sha256 = sha256,
        .result = found,
        .deadline_ns = HS_NO_DEADLINE,
    };
    struct hs_enrol_verdict verdict, warnings;
    struct hs_gallery_added added;
    int r = hs_enrol_check(app, gate, &candidate, &verdict, &warnings, err);
    if (r < 0)
        return r;
    if (verdict.count > 0) {
        char text[sizeof(result->reason)];
        hs_enrol_reasons_text(&verdict, text, sizeof(text));
        return refuse(result, verdict.reasons[0].code, text);
    }
    if (!verdict.face)
        return refuse(result, "no_face", found->count ? "the face cannot be aligned" : "there is no face in it");
    const struct hs_enrol_entry entry = { .name = file->name, .source_sha256 = sha256 };
    r = hs_enrol_store(app, &entry, verdict.face, found, &added, err);
    if (r == 0)
        result->addition =
            hs_enrol_add_face(json_pack("{s:s, s:o}", "name", file->name, "file", hs_system_text_json(file->path)),
                              verdict.face, found, &warnings);
    return r;
}

static int find_and_store(const struct hs_face_app *app, const struct hs_picture_file *file, const char *sha256,
                          enum hs_enrol_gate gate, struct result *result, struct hs_error *err)
{
    const struct hs_face_section *s = &app->settings->face_recognition;
    const struct hs_face_request request = {
        .score_threshold = (float) s->detection_threshold,
        .tiny = s->tiny_faces,
        .large = true,
        .embed = true,
        .subject = true,
    };
    struct hs_face_result found = { 0 };
    uint8_t *data;
    size_t len;
    int r = hs_file_read(file->path, app->pipeline.limits.max_bytes, &data, &len, err);
    if (r < 0)
        return r;
    r = hs_face_find(&app->pipeline, data, len, &request, HS_NO_DEADLINE, NULL, &found, err);
    free(data);
    if (r == 0)
        r = enrol(app, file, sha256, gate, &found, result, err);
    hs_face_result_finish(&found);
    return r;
}

/* Processes one file and adds its face. Fails, with err set, only if the gallery or a network
 * fails, so that continuing is pointless. The file's SHA-256 is stored with the embedding. */
static int add_file(const struct hs_face_app *app, const struct hs_picture_file *file, enum hs_enrol_gate gate,
                    struct result *ret_result, struct hs_error *err)
{
    char sha256[65], name[HS_GALLERY_NAME_MAX + 1];
    bool present = false;
    struct hs_error why;
    *ret_result = (struct result) { .state = ADDED };
    if (hs_file_sha256(file->path, sha256, &why) < 0)
        return refuse(ret_result, "not_readable", why.message);
    int r = hs_gallery_resolve_name(app->gallery, file->name, name, &why);
    const struct hs_picture_file named = { .path = file->path, .name = name };
    if (r == 0)
        r = is_present(app, name, sha256, &present, &why);
    if (r == 0 && present) {
        ret_result->state = PRESENT;
        return 0;
    }
    if (r == 0)
        r = find_and_store(app, &named, sha256, gate, ret_result, &why);
    switch (r) {
    case 0:
        return 0;
    case HS_EDECODE:
    case HS_EUNSUPPORTED:
        return refuse(ret_result, "not_a_picture", why.message);
    case HS_ETOOLARGE:
        return refuse(ret_result, "too_large", why.message);
    case HS_EINVAL:
        return refuse(ret_result, "bad_name", why.message);
    default:
        return hs_error_set(err, r, "%s: %s", file->path, why.message);
    }
}

struct add_job {
    enum hs_enrol_gate gate;
    bool json, each; /* each: print a line for each added picture, not only for those with warnings */
    struct hs_progress progress;
    size_t added, present, refused;
    json_t *refusals;  /* array of {name, file, code, reason} */
    json_t *additions; /* array of {name, file, face, warnings} */
};

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
    (void) number;
    interrupted = 1;
}

/* The first SIGINT or SIGTERM stops the run after the current picture, a second one at once. */
static void watch_signals(void)
{
    const struct sigaction action = { .sa_handler = interrupt, .sa_flags = (int) SA_RESETHAND | SA_RESTART };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* Prints "added bus.jpg for Ann: ". */
static void print_subject(const char *verb, const struct hs_picture_file *file)
{
    printf("%s ", verb);
    print_foreign(file->path);
    fputs(" for ", stdout);
    print_foreign(file->name);
    fputs(": ", stdout);
}

static void print_refusal(struct add_job *add_job, const struct hs_picture_file *file, const struct result *result)
{
    add_job->refused++;
    json_array_append_new(add_job->refusals, json_pack("{s:o, s:o, s:s, s:o}", "name", hs_system_text_json(file->name),
                                                       "file", hs_system_text_json(file->path), "code", result->code,
                                                       "reason", hs_system_text_json(result->reason)));
    if (add_job->json)
        return;
    hs_progress_clear(&add_job->progress);
    /* The gate's reasons already begin with their codes. */
    bool named = hs_str_starts(result->reason, result->code);
    print_subject("refused", file);
    printf("%s%s", named ? "" : result->code, named ? "" : ": ");
    print_foreign(result->reason);
    putchar('\n');
    fflush(stdout);
}

/* Takes the members of `result`. */
static void print_addition(struct add_job *add_job, const struct hs_picture_file *file, const struct result *result)
{
    add_job->added++;
    json_t *face = json_object_get(result->addition, "face"), *box = json_object_get(face, "bbox"), *warning;
    json_t *warnings = json_object_get(result->addition, "warnings");
    size_t i;
    json_array_append_new(add_job->additions, result->addition);
    if (add_job->json || (!add_job->each && json_array_size(warnings) == 0))
        return;
    hs_progress_clear(&add_job->progress);
    print_subject("added", file);
    printf("face of %dx%d at %d,%d, score %.2f\n", (int) json_integer_value(json_array_get(box, 2)),
           (int) json_integer_value(json_array_get(box, 3)), (int) json_integer_value(json_array_get(box, 0)),
           (int) json_integer_value(json_array_get(box, 1)), json_number_value(json_object_get(face, "confidence")));
    json_array_foreach(warnings, i, warning)
    {
        fputs("  warning: ", stdout);
        print_foreign(json_string_value(json_object_get(warning, "message")));
        putchar('\n');
    }
    fflush(stdout);
}

static int add_all(struct add_job *add_job, const struct hs_face_app *app, const struct hs_picture_files *files,
                   struct hs_error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < files->count && !interrupted; i++) {
        struct result result;
        r = add_file(app, &files->items[i], add_job->gate, &result, err);
        if (r < 0)
            break;
        if (result.state == ADDED)
            print_addition(add_job, &files->items[i], &result);
        add_job->present += result.state == PRESENT;
        if (result.state == REFUSED)
            print_refusal(add_job, &files->items[i], &result);
        hs_progress_show(&add_job->progress, "pictures", i + 1, files->count);
    }
    hs_progress_clear(&add_job->progress);
    return r;
}

static int report(const struct add_job *add_job, size_t total, struct hs_error *err)
{
    size_t left = total - add_job->added - add_job->present - add_job->refused;
    if (add_job->json)
        return hs_print_json(json_pack("{s:I, s:I, s:O, s:O, s:I, s:b}", "added", (json_int_t) add_job->added,
                                       "present", (json_int_t) add_job->present, "refused", add_job->refusals,
                                       "additions", add_job->additions, "left", (json_int_t) left, "interrupted",
                                       (int) (interrupted != 0)),
                             HS_JSON_SPACED, err);
    printf("%zu added, %zu already there, %zu refused", add_job->added, add_job->present, add_job->refused);
    if (left)
        printf(", %zu not processed: run the command again to continue", left);
    putchar('\n');
    return 0;
}

static int add_files(struct db *db, struct add_job *add_job, const struct hs_picture_files *files)
{
    struct hs_face_app *app;
    int code = hs_face_start(db->call, true, &app);
    if (code != HS_EXIT_OK)
        return code;
    watch_signals();
    if (!db->gate && !db->force && (int) add_job->gate < app->settings->database.enrolment)
        add_job->gate = (enum hs_enrol_gate) app->settings->database.enrolment;
    int r = add_all(add_job, app, files, &db->err);
    /* Erases the embeddings that were dropped for new ones. */
    if (r == 0)
        r = hs_gallery_finish_erasing(app->gallery, &db->err);
    code = finish(db, r);
    r = report(add_job, files->count, &db->err);
    if (r < 0)
        code = finish(db, r);
    hs_app_destroy(app);
    return add_job->refused || interrupted ? HS_EXIT_FAILURE : code;
}

static bool read_gate(const char *word, enum hs_enrol_gate *ret_gate)
{
    for (int i = 0; word && hs_enrol_gates[i]; i++) {
        if (strcmp(word, hs_enrol_gates[i]) == 0) {
            *ret_gate = (enum hs_enrol_gate) i;
            return true;
        }
    }
    return !word;
}

/* Adds the pictures in the arguments or, with `tree`, in the folders below the first argument.
 * Exits with HS_EXIT_FAILURE if a picture was refused or the run was interrupted. Added faces stay,
 * and a second run continues from there. */
static int add_pictures(struct db *db, bool tree)
{
    struct hs_picture_files files = { 0 };
    struct add_job add_job = { .gate = db->force ? HS_ENROL_OFF : HS_ENROL_STANDARD, .json = db->json, .each = !tree };
    int r = tree ? hs_picture_files_add_tree(&files, word(db, 0), &db->err) : 0, code;
    for (size_t i = 1; !tree && r == 0 && i < db->words->count; i++)
        r = hs_picture_files_add(&files, word(db, 0), word(db, i), &db->err);
    if (r < 0)
        code = finish(db, r);
    else if (!read_gate(db->gate, &add_job.gate))
        code =
            hs_invocation_fail(db->call, HS_EXIT_USAGE, "--gate: must be off, standard or strict, not '%s'", db->gate);
    else if (db->gate && db->force)
        code = hs_invocation_fail(db->call, HS_EXIT_USAGE, "--gate and --force exclude each other");
    else if (files.count == 0)
        code = hs_invocation_fail(db->call, HS_EXIT_FAILURE, "%s: no JPEG, PNG, WebP or BMP in it",
                                  word(db, tree ? 0 : 1));
    else {
        add_job.refusals = json_array();
        add_job.additions = json_array();
        hs_progress_init(&add_job.progress, true);
        add_job.progress.quiet = db->call->quiet || files.count < PROGRESS_FROM;
        code = add_files(db, &add_job, &files);
        json_decref(add_job.refusals);
        json_decref(add_job.additions);
    }
    hs_picture_files_finish(&files);
    return code;
}

/* ---- all actions ---- */

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The gallery is created only by actions that add people. */
static int run_on_gallery(struct db *db)
{
    struct hs_gallery_opened opened;
    int (*action)(void *arg) = db->call->action->run;
    bool must_exist = action != do_restore && action != do_import;
    unsigned flags = (must_exist ? HS_FACE_MUST_EXIST : 0) | (action == do_import ? HS_FACE_ENCRYPT : 0);
    int code = hs_app_load_settings(db->call, NULL, 0, &db->settings);
    if (code != HS_EXIT_OK)
        return code;
    const struct hs_face_settings *s = hs_settings_values(db->settings);
    int r = hs_face_open_gallery(&s->database, flags, &db->gallery, &opened, &db->err);
    if (r == HS_ENOTFOUND && must_exist)
        hs_error_set(&db->err, r, "there is no gallery %s yet. `hailo-face db add` or `hailo-face serve` creates it",
                     s->database.db_file);
    code = finish(db, r < 0 ? r : action(db));
    hs_gallery_close(db->gallery);
    hs_settings_destroy(db->settings);
    return code;
}

static const struct hs_face_db_privacy *privacy_of(struct db *db)
{
    db->privacy.call = db->call;
    db->privacy.gallery = db->gallery;
    db->privacy.json = db->json;
    return &db->privacy;
}

static int do_audit(void *arg)
{
    struct db *db = arg;
    return hs_face_db_audit(privacy_of(db), word(db, 0), db->words->count > 1 ? word(db, 1) : NULL, &db->err);
}

static int do_retain(void *arg)
{
    struct db *db = arg;
    return hs_face_db_retain(privacy_of(db), word(db, 0), &db->err);
}

static int do_forget(void *arg)
{
    struct db *db = arg;
    return hs_face_db_forget(privacy_of(db), word(db, 0), &db->err);
}

static int do_add(void *arg)
{
    return add_pictures(arg, false);
}

static int run(struct hs_invocation *call)
{
    struct db db = { .call = call, .words = &call->operands };
    const struct hs_option options[] = {
        HS_FLAG_OF("remove encrypt decrypt rotate-key", "purge-backups", &db.purge_backups,
                   "also make a new backup and delete the older ones, which still contain the former data"),
        HS_TEXT_OF("rotate-key", "new-key", &db.new_key, "FILE",
                   "the new key, as in database.encryption_key: absolute path or credential:NAME"),
        HS_FLAG_OF("rotate-key", "reencrypt", &db.reencrypt,
                   "also encrypt all faces again with a new key of the gallery, if the former key may be known"),
        HS_TEXT_OF("add import", "gate", &db.gate, "off|standard|strict",
                   "how good a face must be (default: database.enrolment, at least standard)"),
        HS_FLAG_OF("add import", "force", &db.force, "accept any picture with a face, as --gate off"),
        HS_TEXT_OF("export", "name", &db.name, "NAME", "only this person"),
        HS_INT_OF("retain", "days", &db.privacy.days, "N", 1, 36500, "erase the person in N days"),
        HS_TEXT_OF("retain audit", "until", &db.privacy.until, "DATE",
                   "erase the person at this date or time; of the audit log: no later entries"),
        HS_FLAG_OF("retain", "forever", &db.privacy.forever, "keep the person, whatever database.retention is"),
        HS_FLAG_OF("retain", "default", &db.privacy.by_default, "keep the person as long as database.retention allows"),
        HS_TEXT_OF("audit", "since", &db.privacy.since, "DATE", "no earlier entries"),
        HS_TEXT_OF("audit", "action", &db.privacy.action, "ACTION", "only entries with this action, such as remove"),
        HS_TEXT_OF("forget", "proof", &db.privacy.proof, "FILE",
                   "the proof (default: erasure-DATE-identity-ID.json in the current folder)"),
        HS_FLAG_OF("list show add backup backups check stats import audit", "json", &db.json, "print JSON"),
    };
    int code;
    if (!hs_invocation_read(call, options, HS_ARRAY_LEN(options), &code))
        return code;
    if (call->action->run == do_add)
        return do_add(&db);
    if (call->action->run == do_key)
        return do_key(&db);
    if (call->action->run == do_import && is_folder(word(&db, 0)))
        return add_pictures(&db, true);
    return run_on_gallery(&db);
}

static const struct hs_action actions[] = {
    { "list", "", "List the people", do_list },
    { "show", "NAME", "Show a person and their faces", do_show },
    { "add", "NAME PICTURE|FOLDER…", "Add pictures of a person", do_add },
    { "rename", "OLD NEW", "Rename a person", do_rename },
    { "merge", "NAME INTO", "Move all faces of a person to another one", do_merge },
    { "remove", "NAME", "Erase a person and their faces", do_remove },
    { "forget", "NAME", "Erase a person also from the backups, and write a proof", do_forget },
    { "retain", "NAME", "Set when the service erases a person", do_retain },
    { "audit", "verify|show|export [FILE|-]", "Verify, show or export the log of all changes", do_audit },
    { "stats", "", "Count people and faces, and those that cannot match", do_stats },
    { "check", "", "Check the gallery's file, names and faces", do_check },
    { "backup", "", "Make a backup", do_backup },
    { "backup", "verify [FILE…]", "Test the newest backup, or others: restore, decrypt, count and search", do_backup },
    { "backups", "", "List the backups", do_backups },
    { "restore", "BACKUP", "Replace the gallery with a backup", do_restore },
    { "encrypt", "", "Encrypt all faces with database.encryption_key", do_encrypt },
    { "decrypt", "", "Decrypt all faces", do_decrypt },
    { "rotate-key", "", "Change the key of an encrypted gallery", do_rotate_key },
    { "key", "generate FILE", "Make a key for database.encryption_key", do_key },
    { "export", "FILE|-", "Write all people and embeddings to a file, or to standard output", do_export },
    { "import", "FILE", "Add the people of an exported file", do_import },
    { "import", "FOLDER", "Add pictures of many people, from one folder per name", do_import },
    { "set-space", "MODEL|SPACE", "Set the model that made faces of an unknown model", do_set_space },
};
/* The gallery of `make run SERVICE=face`. */
#define CLONE_GALLERY " --set database.db_file=.deps/gallery/faces.db"

static const struct hs_example examples[] = {
    { "db add Obama .deps/samples/obama.jpg --models .deps/models" CLONE_GALLERY, "Add a picture of a person" },
    { "db list" CLONE_GALLERY, "List the people" },
    { "db show Obama" CLONE_GALLERY, "Show a person and their faces" },
};

const struct hs_command hs_face_command_db = {
    .name = "db",
    .summary = "Manage the people and faces in the gallery",
    .run = run,
    HS_ACTIONS(actions),
    HS_EXAMPLES(examples),
};
