/* Removal without remains. SQLite overwrites the rows (secure_delete). Then the log is emptied into
 * the database, and gallery/scrub.h clears the copies of moved cells in the pages written. */
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "gallery/files.h"

enum { PAUSE_MS = 20 }; /* between two attempts to empty the log */

/* The data to erase, and the action of the entry in the audit log. */
struct target {
    const char *action;
    const char *name;                 /* of an identity; or NULL */
    int64_t embedding_id;             /* or 0 */
    int64_t identity_id;              /* or 0: an identity whose time is over */
    const struct hs_gallery_due *due; /* with identity_id */
};

static int find_due(struct hs_gallery *gallery, const struct target *target, struct hs_error *err)
{
    int64_t id;
    sqlite3_stmt *stmt =
        HS_GALLERY_BIND(gallery->writer, HS_STMT_EXPIRED, HS_TEXT(target->due->now), HS_TEXT(target->due->since),
                        HS_NUMBER(target->identity_id), HS_NUMBER(target->identity_id));
    int r = hs_gallery_read_number(stmt, &id, err);
    if (r == 0)
        return hs_error_set(err, HS_ENOTFOUND, "identity %lld has not expired", (long long) target->identity_id);
    return r < 0 ? r : 0;
}

/* *ret_since is the number of the oldest change that added any of its data; 0: not known. */
static int remove_identity(struct hs_gallery *gallery, const struct target *target, struct hs_gallery_erased *erased,
                           int64_t *ret_since, struct hs_error *err)
{
    int64_t id = target->identity_id;
    int r = target->name ? hs_gallery_find(gallery, target->name, &id, err) : find_due(gallery, target, err);
    if (r == 0)
        r = hs_gallery_read_number(HS_GALLERY_BIND(gallery->writer, HS_STMT_OLDEST_CHANGE, HS_NUMBER(id)), ret_since,
                                   err);
    if (r >= 0)
        r = HS_GALLERY_RUN(gallery, HS_STMT_DELETE_EMBEDDINGS_OF, err, HS_NUMBER(id));
    if (r < 0)
        return r;
    erased->identity_id = id;
    erased->embeddings = sqlite3_changes64(gallery->writer->db);
    r = HS_GALLERY_RUN(gallery, HS_STMT_DELETE_IDENTITY, err, HS_NUMBER(id));
    return r < 0 ? r : hs_gallery_touch(gallery, id, err);
}

static int remove_embedding(struct hs_gallery *gallery, int64_t id, struct hs_gallery_erased *erased,
                            int64_t *ret_since, struct hs_error *err)
{
    int64_t identity_id;
    sqlite3_stmt *stmt = HS_GALLERY_BIND(gallery->writer, HS_STMT_OWNER_OF_EMBEDDING, HS_NUMBER(id));
    int r = hs_gallery_read_number(stmt, &identity_id, err);
    if (r <= 0)
        return r < 0 ? r : hs_error_set(err, HS_ENOTFOUND, "Embedding %lld not found", (long long) id);
    r = hs_gallery_read_number(HS_GALLERY_BIND(gallery->writer, HS_STMT_CHANGE_OF_EMBEDDING, HS_NUMBER(id)), ret_since,
                               err);
    if (r >= 0)
        r = HS_GALLERY_RUN(gallery, HS_STMT_DELETE_EMBEDDING, err, HS_NUMBER(id));
    if (r == 0)
        r = HS_GALLERY_RUN(gallery, HS_STMT_TOUCH_IDENTITY, err, HS_NUMBER(identity_id));
    erased->identity_id = identity_id;
    erased->embeddings = 1;
    return r < 0 ? r : hs_gallery_touch(gallery, identity_id, err);
}

/* A backup made before the data was added does not contain it. A backup without a change number
 * may: an older program made it, or it is in progress. */
static bool may_hold(const struct hs_gallery_backup *file, int64_t since)
{
    int64_t change = file->set_aside ? -1 : hs_gallery_backup_change(file->path);
    return change < 0 || change >= since;
}

/* Lists the backups and set-aside files that may contain the erased data. */
static void list_files(const struct hs_gallery *gallery, int64_t since, struct hs_gallery_erased *erased)
{
    struct hs_gallery_backups *files;
    erased->files_unknown = hs_gallery_find_files(gallery, true, &files, NULL) < 0;
    if (erased->files_unknown)
        return;
    erased->files = calloc(files->count + 1, sizeof(*erased->files));
    erased->files_unknown = !erased->files;
    for (size_t i = 0; erased->files && i < files->count; i++) {
        if (!may_hold(&files->items[i], since))
            continue;
        erased->files[erased->file_count++] = files->items[i].path;
        files->items[i].path = NULL;
    }
    hs_gallery_backups_destroy(files);
}

void hs_gallery_erased_finish(struct hs_gallery_erased *erased)
{
    for (size_t i = 0; i < erased->file_count; i++)
        free(erased->files[i]);
    free(erased->files);
    *erased = (struct hs_gallery_erased) { 0 };
}

static int erase(struct hs_gallery *gallery, const struct target *target, struct hs_gallery_erased *ret_erased,
                 struct hs_error *err)
{
    struct hs_gallery_erased erased = { 0 };
    int64_t since = 0;
    int r = hs_gallery_begin(gallery, err);
    if (r < 0)
        return r;
    r = target->embedding_id ? remove_embedding(gallery, target->embedding_id, &erased, &since, err)
                             : remove_identity(gallery, target, &erased, &since, err);
    hs_audit_draft(gallery, target->action);
    hs_audit_number(gallery, "identity", erased.identity_id);
    if (target->embedding_id)
        hs_audit_number(gallery, "embedding", target->embedding_id);
    else
        hs_audit_number(gallery, "embeddings", erased.embeddings);
    r = hs_gallery_end(gallery, r, true, err);
    if (r == 0 && !gallery->erase_later)
        hs_gallery_finish_erasing(gallery, NULL);
    if (r < 0 || !ret_erased)
        return r;
    erased.pending = gallery->erase_pending;
    list_files(gallery, since, &erased);
    *ret_erased = erased;
    return 0;
}

int hs_gallery_remove(struct hs_gallery *gallery, const char *name, struct hs_gallery_erased *ret_erased,
                      struct hs_error *err)
{
    return erase(gallery, &(struct target) { .action = "remove", .name = name }, ret_erased, err);
}

int hs_gallery_remove_as(struct hs_gallery *gallery, const char *action, const char *name,
                         struct hs_gallery_erased *ret_erased, struct hs_error *err)
{
    return erase(gallery, &(struct target) { .action = action, .name = name }, ret_erased, err);
}

/* Embedding 0 does not exist, and stands for none in a target. */
int hs_gallery_remove_embedding(struct hs_gallery *gallery, int64_t embedding_id, struct hs_gallery_erased *ret_erased,
                                struct hs_error *err)
{
    if (embedding_id == 0)
        return hs_error_set(err, HS_ENOTFOUND, "Embedding 0 not found");
    const struct target target = { .action = "remove_embedding", .embedding_id = embedding_id };
    return erase(gallery, &target, ret_erased, err);
}

int hs_gallery_erase_due(struct hs_gallery *gallery, const struct hs_gallery_due *due, int64_t id,
                         struct hs_gallery_erased *ret_erased, struct hs_error *err)
{
    return erase(gallery, &(struct target) { .action = "expire", .identity_id = id, .due = due }, ret_erased, err);
}

/* Releases the change lock between attempts, because a reader may keep the log in use for any
 * length of time. */
int hs_gallery_finish_erasing(struct hs_gallery *gallery, struct hs_error *err)
{
    static const struct timespec pause = { .tv_nsec = PAUSE_MS * HS_NS_PER_MS };
    int64_t deadline_ns = hs_deadline_in_ms(gallery->busy_timeout_ms);
    int r = 0;
    while (gallery->erase_pending) {
        r = hs_gallery_lock_change(gallery, err);
        if (r < 0)
            break;
        r = gallery->erase_pending ? hs_gallery_empty_log(gallery, true, err) : 0;
        hs_gallery_unlock_change(gallery);
        if (r != HS_EBUSY || hs_clock_now_ns() >= deadline_ns)
            break;
        nanosleep(&pause, NULL);
    }
    return r;
}
