/* The gallery from the command line; the service may run meanwhile and notices what was changed. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "face/cmd_db_add.h"
#include "face/gallery_setup.h"
#include "gallery/export.h"

enum { IMPORT_MAX = 1 << 30 };

struct db {
    struct hs_invocation *call;
    struct hs_text_list words; /* what follows the action */
    bool purge_backups;        /* of remove: delete the files that still hold what was erased */
    struct hs_gallery *gallery;
    struct hs_settings *settings;
    struct hs_db_add_options adding; /* of add and import */
};

static int fail(const struct db *db, const struct hs_error *err)
{
    return hs_invocation_fail(db->call, HS_EXIT_FAILURE, "%s", err->message);
}

/* HS_EXIT_OK for 0, else the complaint. */
static int done(const struct db *db, int r, const struct hs_error *err)
{
    return r < 0 ? fail(db, err) : HS_EXIT_OK;
}

static const char *word(const struct db *db, size_t i)
{
    return db->words.items[i + 1];
}

static int print_identity(void *arg, const struct hs_gallery_identity *identity)
{
    (void) arg;
    printf("%-40s %6lld  %s\n", identity->name, (long long) identity->embedding_count, identity->created_at);
    return 0;
}

static int do_list(struct db *db)
{
    struct hs_error err;
    return done(db, hs_gallery_for_each_identity(db->gallery, NULL, SIZE_MAX, print_identity, NULL, NULL, &err), &err);
}

static int do_show(struct db *db)
{
    struct hs_gallery_person *person;
    struct hs_error err;
    if (hs_gallery_get(db->gallery, word(db, 0), false, &person, &err) < 0)
        return fail(db, &err);
    printf("%s, since %s%s%s\n", person->identity.name, person->identity.created_at,
           person->identity.metadata ? ", " : "", person->identity.metadata ? person->identity.metadata : "");
    for (size_t i = 0; i < person->count; i++) {
        const struct hs_gallery_embedding *e = &person->embeddings[i];
        printf("%8lld  %s  %s  %s\n", (long long) e->id, e->created_at, e->space, e->quality ? e->quality : "");
    }
    hs_gallery_person_destroy(person);
    return HS_EXIT_OK;
}

static int do_rename(struct db *db)
{
    struct hs_error err;
    return done(db, hs_gallery_rename(db->gallery, word(db, 0), word(db, 1), &err), &err);
}

static int do_merge(struct db *db)
{
    struct hs_error err;
    return done(db, hs_gallery_merge(db->gallery, word(db, 0), word(db, 1), &err), &err);
}

static int purge(const struct db *db)
{
    struct hs_gallery_backups *purged;
    struct hs_error err;
    char backup[PATH_MAX];
    if (hs_gallery_purge_all(db->gallery, backup, &purged, &err) < 0)
        return fail(db, &err);
    if (backup[0])
        printf("backed up to %s\n", backup);
    for (size_t i = 0; i < purged->count; i++)
        printf("deleted %s\n", purged->items[i].path);
    hs_gallery_backups_destroy(purged);
    return HS_EXIT_OK;
}

static int do_remove(struct db *db)
{
    struct hs_gallery_erased erased;
    struct hs_error err;
    if (hs_gallery_remove(db->gallery, word(db, 0), &erased, &err) < 0)
        return fail(db, &err);
    printf("%lld vectors erased\n", (long long) erased.embeddings);
    for (size_t i = 0; !db->purge_backups && i < erased.file_count; i++)
        printf("still in the older file %s\n", erased.files[i]);
    bool pending = erased.pending;
    hs_gallery_erased_finish(&erased);
    if (db->purge_backups)
        return purge(db);
    if (pending)
        return hs_invocation_fail(db->call, HS_EXIT_FAILURE, "what was erased is still in the log of the gallery, "
                                                             "because another process is reading or the disk failed");
    return HS_EXIT_OK;
}

static int do_backup(struct db *db)
{
    char path[PATH_MAX];
    struct hs_error err;
    if (hs_gallery_backup(db->gallery, path, &err) < 0)
        return fail(db, &err);
    puts(path);
    return HS_EXIT_OK;
}

static int do_backups(struct db *db)
{
    struct hs_gallery_backups *backups;
    struct hs_error err;
    if (hs_gallery_list_backups(db->gallery, &backups, &err) < 0)
        return fail(db, &err);
    for (size_t i = 0; i < backups->count; i++)
        printf("%s %10lld  %s%s\n", backups->items[i].created_at, (long long) backups->items[i].size_bytes,
               backups->items[i].path, backups->items[i].set_aside ? "  (damaged, set aside)" : "");
    hs_gallery_backups_destroy(backups);
    return HS_EXIT_OK;
}

static int do_restore(struct db *db)
{
    struct hs_error err;
    return done(db, hs_gallery_restore(db->gallery, word(db, 0), &err), &err);
}

static int do_check(struct db *db)
{
    struct hs_error err;
    if (hs_gallery_check(db->gallery, &err) < 0)
        return fail(db, &err);
    puts("the gallery is whole");
    return HS_EXIT_OK;
}

static int do_stats(struct db *db)
{
    struct hs_gallery_stats stats;
    struct hs_error err;
    if (hs_gallery_get_stats(db->gallery, &stats, &err) < 0)
        return fail(db, &err);
    printf("%lld identities, %lld vectors (%lld of them not usable), %.1f MB, schema version %d\n",
           (long long) stats.identities, (long long) stats.embeddings, (long long) stats.unusable,
           (double) stats.size_bytes / 1e6, stats.schema_version);
    return HS_EXIT_OK;
}

static int write_piece(void *arg, const char *data, size_t len)
{
    return fwrite(data, 1, len, arg) == len ? 0 : HS_EIO;
}

/* Beside the file first, so that what is there under its name is whole. The vectors are biometric data: nobody else may
 * read them, and what is not a file is not replaced. */
static int do_export(struct db *db)
{
    const char *path = word(db, 0);
    char part[PATH_MAX];
    struct stat st;
    struct hs_error err;
    if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return hs_invocation_fail(db->call, HS_EXIT_FAILURE, "%s is not a regular file", path);
    bool fits = hs_str_format(part, sizeof(part), "%s.XXXXXX", path);
    int fd = fits ? mkostemp(part, O_CLOEXEC) : -1;
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!file)
        return hs_invocation_fail(db->call, HS_EXIT_FAILURE, "%s: %s", path, fits ? strerror(errno) : "too long");
    hs_error_set(&err, HS_EIO, "%s cannot be written", path);
    int r = hs_gallery_export(db->gallery, write_piece, file, &err);
    bool whole = fflush(file) == 0 && fsync(fd) == 0;
    if (fclose(file) != 0 || !whole || r < 0 || rename(part, path) != 0) {
        unlink(part);
        return fail(db, &err);
    }
    return HS_EXIT_OK;
}

static int do_import(struct db *db)
{
    struct hs_gallery_imported imported;
    struct hs_error err;
    uint8_t *data;
    size_t len;
    int r = hs_file_read(word(db, 0), IMPORT_MAX, &data, &len, &err);
    if (r < 0)
        return fail(db, &err);
    r = hs_gallery_import(db->gallery, (const char *) data, len, &imported, &err);
    free(data);
    if (r < 0)
        return fail(db, &err);
    printf("%zu identities, %zu vectors added, %zu were there, %zu refused\n", imported.identities, imported.added,
           imported.present, imported.refused_count);
    for (size_t i = 0; i < imported.refused_count && i < HS_GALLERY_REFUSED_MAX; i++)
        printf("line %zu: %s\n", imported.refused[i].line, imported.refused[i].reason);
    return imported.refused_count ? HS_EXIT_FAILURE : HS_EXIT_OK;
}

/* ---- pictures: these open the gallery themselves, and the networks with it ---- */

static int do_add(struct db *db)
{
    struct hs_picture_files files = { 0 };
    struct hs_error err;
    int r = 0;
    for (size_t i = 1; r == 0 && i + 1 < db->words.count; i++)
        r = hs_picture_files_add(&files, word(db, 0), word(db, i), &err);
    int code = r < 0 ? fail(db, &err) : hs_face_db_add(db->call, &files, &db->adding);
    hs_picture_files_finish(&files);
    return code;
}

static int do_import_folder(struct db *db)
{
    struct hs_picture_files files = { 0 };
    struct hs_error err;
    int r = hs_picture_files_add_tree(&files, word(db, 0), &err);
    int code = r < 0 ? fail(db, &err) : hs_face_db_add(db->call, &files, &db->adding);
    hs_picture_files_finish(&files);
    return code;
}

struct action {
    const char *name;
    size_t words;
    int (*run)(struct db *db);
};

static const struct action actions[] = {
    { "list", 0, do_list },     { "show", 1, do_show },     { "rename", 2, do_rename },   { "merge", 2, do_merge },
    { "remove", 1, do_remove }, { "backup", 0, do_backup }, { "backups", 0, do_backups }, { "restore", 1, do_restore },
    { "check", 0, do_check },   { "stats", 0, do_stats },   { "export", 1, do_export },   { "import", 1, do_import },
};

static int run_action(struct db *db, const struct action *action)
{
    struct hs_gallery_opened opened;
    struct hs_error err;
    int code = hs_app_load_settings(db->call, NULL, 0, &db->settings);
    if (code != HS_EXIT_OK)
        return code;
    const struct hs_face_settings *s = hs_settings_values(db->settings);
    if (hs_face_open_gallery(&s->database, false, &db->gallery, &opened, &err) < 0)
        code = fail(db, &err);
    else
        code = action->run(db);
    hs_gallery_close(db->gallery);
    hs_settings_destroy(db->settings);
    return code;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int find_and_run(struct db *db)
{
    const char *name = db->words.count ? db->words.items[0] : "";
    if (strcmp(name, "add") == 0)
        return db->words.count < 3 ? hs_invocation_fail(db->call, HS_EXIT_USAGE, "add takes a name and pictures")
                                   : do_add(db);
    if (strcmp(name, "import") == 0 && db->words.count == 2 && is_folder(db->words.items[1]))
        return do_import_folder(db);
    for (size_t i = 0; i < HS_ARRAY_LEN(actions); i++) {
        if (strcmp(actions[i].name, name) != 0)
            continue;
        if (db->words.count != actions[i].words + 1)
            return hs_invocation_fail(db->call, HS_EXIT_USAGE, "%s takes %zu name%s", name, actions[i].words,
                                      actions[i].words == 1 ? "" : "s");
        if (db->purge_backups && actions[i].run != do_remove)
            return hs_invocation_fail(db->call, HS_EXIT_USAGE, "--purge-backups is for remove");
        return run_action(db, &actions[i]);
    }
    return hs_invocation_fail(db->call, HS_EXIT_USAGE, "say one of list, show, add, rename, merge, remove, backup, "
                                                       "backups, restore, check, stats, export, import");
}

int hs_face_cmd_db(struct hs_invocation *call)
{
    struct db db = { .call = call };
    const char *gate = NULL;
    const struct hs_option options[] = {
        { .name = "purge-backups",
          .kind = HS_OPTION_FLAG,
          .target = &db.purge_backups,
          .help = "remove: also delete the backups that still hold what was removed, after making a new one" },
        { .name = "gate", .kind = HS_OPTION_TEXT, .target = &gate, .value = "HOW",
          .help = "add, import of a folder: off, standard or strict; wins over database.enrolment" },
        { .name = "json", .kind = HS_OPTION_FLAG, .target = &db.adding.json,
          .help = "add, import of a folder: print the report as JSON" },
    };
    int code;
    if (hs_invocation_parse(call, options, HS_ARRAY_LEN(options), SIZE_MAX, &code)) {
        db.words = call->words;
        db.adding.gate = gate;
        code = find_and_run(&db);
    }
    return code;
}
