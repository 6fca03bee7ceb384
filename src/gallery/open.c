/* Opens a gallery: checks the file, and repairs or migrates it. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "gallery/convert.h"
#include "gallery/files.h"

enum { MAX_EMBEDDINGS = 1000, FREE_NAMES = 1000 };

static int check_options(const struct hs_gallery_options *options, struct hs_error *err)
{
    if (!options->path || !*options->path)
        return hs_error_set(err, HS_EINVAL, "the gallery has no path; set database.db_file");
    if (options->backup_dir && options->keep_backups < 1)
        return hs_error_set(err, HS_EINVAL, "gallery: keep_backups must be at least 1");
    if (options->max_embeddings_per_identity < 0 || options->max_embeddings_per_identity > MAX_EMBEDDINGS)
        return hs_error_set(err, HS_EINVAL, "gallery: max_embeddings_per_identity must be 0 to %d", MAX_EMBEDDINGS);
    if (options->busy_timeout_ms < 0)
        return hs_error_set(err, HS_EINVAL, "gallery: busy_timeout_ms must not be negative");
    return 0;
}

static bool copy_text(char **ret_text, const char *text)
{
    *ret_text = text ? strdup(text) : NULL;
    return *ret_text || !text;
}

static bool is_uid(const char *text)
{
    return strspn(text, "0123456789abcdef") == HS_GALLERY_UID_SIZE - 1 && !text[HS_GALLERY_UID_SIZE - 1];
}

/* Writes the uid beside the file, so that the gallery's backups are still recognised if the file is
 * damaged or deleted. */
static int write_uid(const struct hs_gallery *gallery, struct hs_error *err)
{
    char path[PATH_MAX];
    if (!hs_str_format(path, sizeof(path), "%s.uid", gallery->path))
        return hs_error_set(err, HS_EINVAL, "the path is too long: %s", gallery->path);
    struct hs_atomic_file file;
    int r = hs_atomic_file_begin(&file, path, err);
    if (r < 0)
        return r;
    if (hs_file_write_all(file.fd, gallery->uid, HS_GALLERY_UID_SIZE - 1) < 0 ||
        hs_file_give_to_owner(file.fd, path) < 0) {
        r = hs_gallery_file_error(path, err);
        hs_atomic_file_abort(&file);
        return r;
    }
    return hs_atomic_file_commit(&file, 0600, err);
}

/* Reads the gallery's uid from the file beside the database, or else creates a random one. */
static int make_uid(struct hs_gallery *gallery, struct hs_error *err)
{
    char path[PATH_MAX];
    unsigned char random[(HS_GALLERY_UID_SIZE - 1) / 2];
    uint8_t *text = NULL;
    size_t len;
    if (!hs_str_format(path, sizeof(path), "%s.uid", gallery->path))
        return hs_error_set(err, HS_EINVAL, "the path is too long: %s", gallery->path);
    int r = hs_file_read(path, HS_GALLERY_UID_SIZE - 1, &text, &len, err);
    if (r < 0 && r != HS_ENOTFOUND && r != HS_ETOOLARGE)
        return r;
    bool known = r == 0 && is_uid((const char *) text);
    if (known)
        hs_str_copy(gallery->uid, sizeof(gallery->uid), (const char *) text);
    free(text);
    if (known)
        return 0;
    randombytes_buf(random, sizeof(random));
    sodium_bin2hex(gallery->uid, sizeof(gallery->uid), random, sizeof(random));
    return write_uid(gallery, err);
}

static int create(const struct hs_gallery_options *options, struct hs_gallery **ret_gallery, struct hs_error *err)
{
    struct hs_gallery *gallery = calloc(1, sizeof(*gallery));
    if (!gallery)
        return hs_gallery_no_memory(err);
    pthread_mutex_init(&gallery->change_lock, NULL);
    hs_cond_init(&gallery->change_ends);
    pthread_mutex_init(&gallery->readers_lock, NULL);
    hs_cond_init(&gallery->reader_is_idle);
    pthread_mutex_init(&gallery->version_lock, NULL);
    pthread_mutex_init(&gallery->counts_lock, NULL);
    gallery->counted.change = -1;
    gallery->erase_later = options->erase_later;
    gallery->keep_backups = options->keep_backups;
    gallery->max_embeddings_per_identity = options->max_embeddings_per_identity;
    gallery->busy_timeout_ms = options->busy_timeout_ms;
    gallery->audit = !options->no_audit;
    gallery->audit_keep = options->audit_keep > 0 ? options->audit_keep : HS_AUDIT_KEEP;
    int r = hs_gallery_keys_create(options->key, &gallery->keys, err);
    if (r < 0) {
        hs_gallery_close(gallery);
        return r;
    }
    if (!copy_text(&gallery->path, options->path) || !copy_text(&gallery->backup_dir, options->backup_dir) ||
        !copy_text(&gallery->legacy_space, options->legacy_space ? options->legacy_space : HS_GALLERY_NO_SPACE) ||
        !copy_text(&gallery->vfs, options->vfs) ||
        !copy_text(&gallery->actor, options->actor ? options->actor : "library")) {
        hs_gallery_close(gallery);
        return hs_gallery_no_memory(err);
    }
    *ret_gallery = gallery;
    return 0;
}

const char *hs_gallery_uid(const struct hs_gallery *gallery)
{
    return gallery->uid;
}

void hs_gallery_close(struct hs_gallery *gallery)
{
    if (!gallery)
        return;
    while (gallery->idle) {
        struct hs_gallery_conn *conn = gallery->idle;
        gallery->idle = conn->next;
        hs_gallery_disconnect(conn);
    }
    if (gallery->writer)
        hs_gallery_finish_erasing(gallery, NULL);
    hs_gallery_disconnect(gallery->writer);
    hs_gallery_keys_destroy(gallery->keys);
    pthread_mutex_destroy(&gallery->counts_lock);
    pthread_mutex_destroy(&gallery->version_lock);
    pthread_cond_destroy(&gallery->reader_is_idle);
    pthread_mutex_destroy(&gallery->readers_lock);
    pthread_cond_destroy(&gallery->change_ends);
    pthread_mutex_destroy(&gallery->change_lock);
    free(gallery->path);
    free(gallery->backup_dir);
    free(gallery->legacy_space);
    free(gallery->vfs);
    free(gallery->actor);
    free(gallery);
}

/* Returns the user's name, or the numeric id if the user has no name. */
static const char *name_user(uid_t uid, char ret_name[64])
{
    char buffer[1024];
    struct passwd entry, *found = NULL;
    if (getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found) == 0 && found)
        hs_str_copy(ret_name, 64, found->pw_name);
    else
        hs_str_format(ret_name, 64, "user %lld", (long long) uid);
    return ret_name;
}

/* Checks access to an existing file. Removes the permissions of group and others from it and the
 * files beside it. */
static int check_access(const char *path, bool *ret_tightened, struct hs_error *err)
{
    static const char *const ends[] = { "", "-wal", "-shm", "-journal" };
    char owner[64], user[64], side[PATH_MAX];
    struct stat st;
    if (stat(path, &st) < 0)
        return hs_gallery_file_error(path, err);
    if (!S_ISREG(st.st_mode))
        return hs_error_set(err, HS_EIO, "%s is not a regular file", path);
    if (access(path, R_OK | W_OK) < 0) {
        int reason = errno;
        return hs_error_set(err, HS_EIO, "cannot write %s as %s: %s. Run as its owner %s, or set database.db_file",
                            path, name_user(geteuid(), user), strerror(reason), name_user(st.st_uid, owner));
    }
    for (size_t i = 0; i < HS_ARRAY_LEN(ends); i++)
        if (hs_str_format(side, sizeof(side), "%s%s", path, ends[i]))
            *ret_tightened |= hs_gallery_tighten(side);
    return 0;
}

/* Backups made under older programs, or copied here by hand. */
static void tighten_backups(const struct hs_gallery *gallery, struct hs_gallery_opened *opened)
{
    struct hs_gallery_backups *files;
    if (hs_gallery_find_files(gallery, false, &files, NULL) < 0)
        return;
    for (size_t i = 0; i < files->count; i++)
        opened->tightened_backups += hs_gallery_tighten(files->items[i].path);
    hs_gallery_backups_destroy(files);
}

/* Opens the file and checks it. Only a new file may be opened and closed outside SQLite: closing a
 * file drops all POSIX locks of this process on it. */
static int connect(struct hs_gallery *gallery, struct hs_gallery_opened *opened, bool *ret_damaged,
                   struct hs_error *err)
{
    int r = hs_file_exists(gallery->path) ? 0 : hs_gallery_make_file(gallery->path, err);
    if (r == 0)
        r = check_access(gallery->path, &opened->tightened, err);
    if (r == 0)
        r = hs_gallery_connect(gallery, gallery->path, false, &gallery->writer, ret_damaged, err);
    struct stat st;
    if (r == 0 && stat(gallery->path, &st) < 0)
        r = hs_error_set(err, HS_EIO, "cannot read %s: %s", gallery->path, strerror(errno));
    if (r == 0) {
        gallery->dev = st.st_dev;
        gallery->ino = st.st_ino;
    }
    return r;
}

static int migrate(struct hs_gallery *gallery, struct hs_gallery_opened *opened, struct hs_error *err)
{
    int version;
    int r = hs_gallery_schema_of(gallery->writer->db, &version, err);
    if (r < 0)
        return r;
    /* Before the first change, so that a file that needs another key stays as it is. */
    r = hs_gallery_keys_load(gallery->keys, gallery->writer->db, err);
    if (r < 0)
        return r;
    bool old = version >= 0 && version < HS_GALLERY_SCHEMA;
    if (old && gallery->backup_dir)
        r = hs_gallery_backup_locked(gallery, opened->backed_up_to, err);
    if (r == 0)
        r = hs_gallery_migrate(gallery->writer->db, gallery->legacy_space, gallery->uid, &opened->orphans_erased, err);
    opened->created = version < 0;
    opened->migrated_from = old ? version : -1;
    return r;
}

/* *ret_damaged is set if the uid is missing or invalid. */
static int read_uid(struct hs_gallery *gallery, bool *ret_damaged, struct hs_error *err)
{
    char uid[HS_GALLERY_UID_SIZE + 1];
    int r = hs_sql_text(gallery->writer->db, "SELECT uid FROM gallery", uid, sizeof(uid), err);
    if (r < 0)
        return r;
    *ret_damaged = !is_uid(uid);
    if (*ret_damaged)
        return hs_error_set(err, HS_EIO, "the gallery has no uid");
    if (strcmp(gallery->uid, uid) == 0)
        return 0;
    hs_str_copy(gallery->uid, sizeof(gallery->uid), uid);
    return write_uid(gallery, err);
}

/* Returns true if the log of the database at `path` is not empty. */
static bool has_log(const char *path)
{
    char log[PATH_MAX];
    struct stat st;
    return !hs_str_format(log, sizeof(log), "%s-wal", path) || (stat(log, &st) == 0 && st.st_size > 0);
}

/* Drafts the entry of the audit log for what opening has changed. */
static void draft_opening(struct hs_gallery *gallery, const struct hs_gallery_opened *opened)
{
    hs_audit_draft(gallery, NULL);
    if (opened->restored_from[0])
        hs_audit_draft(gallery, "restore_damaged");
    else if (opened->set_aside[0])
        hs_audit_draft(gallery, "replace_damaged");
    else if (opened->migrated_from >= 0 || opened->orphans_erased)
        hs_audit_draft(gallery, opened->migrated_from >= 0 ? "migrate" : "erase_orphans");
    if (opened->migrated_from >= 0)
        hs_audit_number(gallery, "from_schema", opened->migrated_from);
    if (opened->orphans_erased)
        hs_audit_number(gallery, "embeddings", opened->orphans_erased);
}

/* A file of the current schema version whose tables are not ours is damaged, even if SQLite finds
 * every page intact. */
static int open_checked(struct hs_gallery *gallery, struct hs_gallery_opened *opened, bool *ret_damaged,
                        struct hs_error *err)
{
    struct hs_gallery_version version;
    char mode[16];
    int r = migrate(gallery, opened, err);
    if (r == 0)
        r = hs_sql_text(gallery->writer->db, "PRAGMA journal_mode = WAL", mode, sizeof(mode), err);
    if (r == 0 && strcmp(mode, "wal") != 0)
        r = hs_error_set(err, HS_EIO, "the folder of the gallery does not support a write-ahead log");
    if (r == 0) {
        r = hs_gallery_prepare(gallery->writer, err);
        *ret_damaged = r == HS_EINTERNAL;
    }
    if (r == 0)
        r = read_uid(gallery, ret_damaged, err);
    if (r == 0)
        r = hs_gallery_get_version(gallery, &version, err);
    if (r < 0)
        return r;
    /* The object is inactive, so the service can start nevertheless. */
    struct hs_error found;
    if (hs_gallery_check_objects(gallery->writer->db, &found) == HS_EDECODE)
        hs_str_copy(opened->foreign, sizeof(opened->foreign), found.message);
    gallery->first_uncounted = version.resets;
    hs_gallery_clean_up(gallery);
    tighten_backups(gallery, opened);
    /* A crash may have left erased content in the log, and another program old content in the file. */
    gallery->suspect = hs_scrub_is_needed(gallery->writer->db);
    if (gallery->suspect || has_log(gallery->path))
        hs_gallery_empty_log(gallery, false, NULL);
    draft_opening(gallery, opened);
    return hs_audit_open(gallery, opened->restored_from[0] ? opened->set_aside : "", err);
}

/* Some file systems cannot refuse to replace; then the folder's lock excludes other instances of
 * this program. */
static int rename_noreplace(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (hs_file_exists(to)) {
        errno = EEXIST;
        return -1;
    }
    return rename(from, to);
}

/* Renames `from` to "<base>[-n]", the first free name. Never replaces a file. */
static int rename_to_free_name(const char *from, const char *base, char ret_path[PATH_MAX], struct hs_error *err)
{
    bool fits = hs_str_copy(ret_path, PATH_MAX, base);
    int r = fits ? rename_noreplace(from, ret_path) : 0;
    for (int n = 1; fits && r < 0 && errno == EEXIST && n < FREE_NAMES; n++) {
        fits = hs_str_format(ret_path, PATH_MAX, "%s-%d", base, n);
        r = fits ? rename_noreplace(from, ret_path) : 0;
    }
    if (!fits)
        return hs_error_set(err, HS_EINVAL, "the path is too long: %s", base);
    if (r < 0)
        return hs_gallery_file_error(ret_path, err);
    hs_gallery_sync_folder(ret_path);
    return 0;
}

/* Renames the damaged file and its log, so that they can still be examined. */
static int set_aside(struct hs_gallery *gallery, char ret_path[PATH_MAX], struct hs_error *err)
{
    char base[PATH_MAX], log[PATH_MAX], renamed_log[PATH_MAX], index[PATH_MAX], stamp[HS_GALLERY_STAMP_SIZE];
    hs_gallery_stamp(stamp);
    if (!hs_str_format(base, sizeof(base), "%s.corrupt-%s", gallery->path, stamp) ||
        !hs_str_format(log, sizeof(log), "%s-wal", gallery->path) ||
        !hs_str_format(index, sizeof(index), "%s-shm", gallery->path))
        return hs_error_set(err, HS_EINVAL, "the path is too long: %s", gallery->path);
    int r = rename_to_free_name(gallery->path, base, ret_path, err);
    if (r < 0)
        return r;
    unlink(index);
    if (hs_str_format(renamed_log, sizeof(renamed_log), "%s-wal", ret_path) && rename(log, renamed_log) < 0)
        unlink(log);
    return 0;
}

/* Names the damaged file as before. Otherwise the next opening would create an empty gallery. */
static void put_back(const struct hs_gallery *gallery, char set_aside_path[PATH_MAX])
{
    char log[PATH_MAX], renamed_log[PATH_MAX];
    if (rename_noreplace(set_aside_path, gallery->path) == 0 &&
        hs_str_format(renamed_log, sizeof(renamed_log), "%s-wal", set_aside_path) &&
        hs_str_format(log, sizeof(log), "%s-wal", gallery->path))
        rename(renamed_log, log);
    hs_gallery_sync_folder(gallery->path);
    set_aside_path[0] = '\0';
}

/* Unpacks a backup first: if that fails or this process is killed, the damaged file is still in place. Otherwise the
 * next opening would create an empty gallery. */
static int replace_damaged(struct hs_gallery *gallery, struct hs_gallery_opened *opened, struct hs_error *err)
{
    char unpacked[PATH_MAX];
    int r = hs_gallery_unpack_newest(gallery, unpacked, opened->restored_from, err);
    bool found = r == 0;
    if (r == 0 || r == HS_ENOTFOUND)
        r = set_aside(gallery, opened->set_aside, err);
    if (r == 0 && found && rename(unpacked, gallery->path) < 0) {
        r = hs_error_set(err, HS_EIO, "cannot replace %s: %s", gallery->path, strerror(errno));
        put_back(gallery, opened->set_aside);
    }
    if (r == 0 && found)
        hs_gallery_sync_folder(gallery->path);
    if (r < 0 && found)
        hs_gallery_delete_database(unpacked);
    return r;
}

/* Turns encryption on if that is asked for, and reports its state. Changes nothing if nothing has to change, so that an
 * opening does not wait for a long change of another process. */
static int set_up_encryption(struct hs_gallery *gallery, bool encrypt, struct hs_gallery_opened *opened,
                             struct hs_error *err)
{
    struct hs_gallery_encryption state;
    int r = hs_gallery_get_encryption(gallery, &state, err);
    bool wanted = hs_gallery_keys_have_source(gallery->keys) && (encrypt || opened->created);
    bool begin = wanted && !state.on, finish = wanted && state.keys > 1;
    if (r == 0 && begin)
        r = hs_gallery_begin_encryption(gallery, &opened->key_added, err);
    if (r == 0 && finish)
        r = hs_gallery_finish_rotation(gallery, &opened->keys_removed, err);
    if (r == 0 && (begin || finish))
        r = hs_gallery_get_encryption(gallery, &state, err);
    if (r < 0 || !state.on)
        return r;
    hs_str_copy(opened->key_id, sizeof(opened->key_id), state.key_id);
    hs_str_copy(opened->key_pending, sizeof(opened->key_pending), state.key_pending);
    return encrypt ? hs_sql_int(gallery->writer->db, "SELECT count(*) FROM embeddings WHERE length(embedding) % 4 = 0",
                                &opened->plain, err)
                   : 0;
}

static int open_locked(struct hs_gallery *gallery, bool encrypt, struct hs_gallery_opened *opened, struct hs_error *err)
{
    bool damaged = false;
    int r = make_uid(gallery, err);
    if (r == 0)
        r = connect(gallery, opened, &damaged, err);
    if (r == 0)
        r = open_checked(gallery, opened, &damaged, err);
    if (r < 0 && damaged) {
        hs_gallery_disconnect(gallery->writer);
        gallery->writer = NULL;
        r = replace_damaged(gallery, opened, err);
        if (r == 0)
            r = connect(gallery, opened, &damaged, err);
        if (r == 0)
            r = open_checked(gallery, opened, &damaged, err);
    }
    return r < 0 ? r : set_up_encryption(gallery, encrypt, opened, err);
}

/* A configured key must be readable, even if the gallery is not encrypted yet. */
static int check_key(const char *source, struct hs_error *err)
{
    struct hs_crypt_key key;
    int r = source && source[0] ? hs_crypt_key_read(source, &key, err) : 0;
    if (r == 0 && source && source[0])
        hs_crypt_key_finish(&key);
    return r;
}

int hs_gallery_open(const struct hs_gallery_options *options, struct hs_gallery **ret_gallery,
                    struct hs_gallery_opened *ret_opened, struct hs_error *err)
{
    struct hs_gallery *gallery = NULL;
    int lock = -1, r = check_options(options, err);
    if (r == 0 && options->must_exist && !hs_file_exists(options->path))
        r = hs_error_set(err, HS_ENOTFOUND, "no gallery at %s yet", options->path);
    if (r == 0)
        r = check_key(options->key, err);
    if (r == 0)
        r = create(options, &gallery, err);
    if (r < 0)
        return r;
    struct hs_gallery_opened opened = { .migrated_from = -1 };
    r = hs_gallery_lock_folder(gallery->path, &lock, err);
    if (r == 0)
        r = open_locked(gallery, options->encrypt, &opened, err);
    hs_gallery_unlock_folder(lock);
    if (r < 0) {
        gallery->erase_pending = false;
        hs_gallery_close(gallery);
        return r;
    }
    if (ret_opened)
        *ret_opened = opened;
    *ret_gallery = gallery;
    return 0;
}
