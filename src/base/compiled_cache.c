#include "base/compiled_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

enum { PART_DIGITS = 16, SUFFIX_LEN = 3 * (1 + PART_DIGITS), SUM_MAX = 1000, BLOCK = 256 << 10 };
static const char sum_name[] = "sum", sum_head[] = "compiled model, BLAKE2b: ";
/* A compiled model is slightly larger than its model file. */
static const off_t room_more = 8 << 20;

struct blob {
    char name[NAME_MAX + 1];
    struct stat st;
};

struct hs_compiled_entry {
    char cache[PATH_MAX], name[NAME_MAX + 1], dir[PATH_MAX];
    int lock;         /* descriptor of the locked folder */
    bool sealed;      /* `blob` matched its sum */
    struct blob blob; /* set if sealed */
};

/* ---- Hashes ---- */

struct hash {
    char hex[2 * crypto_generichash_BYTES + 1];
};

static void hash_text(const char *text, char ret_part[PART_DIGITS + 1])
{
    uint8_t digest[PART_DIGITS / 2 > crypto_generichash_BYTES_MIN ? PART_DIGITS / 2 : crypto_generichash_BYTES_MIN];
    char hex[2 * sizeof(digest) + 1];
    crypto_generichash(digest, sizeof(digest), (const uint8_t *) text, strlen(text), NULL, 0);
    sodium_bin2hex(hex, sizeof(hex), digest, sizeof(digest));
    hs_str_copy_n(ret_part, PART_DIGITS + 1, hex, PART_DIGITS);
}

/* Hashes a file; with `sync`, syncs it first. False with errno. */
static bool hash_file(const char *path, bool sync, struct hash *ret_hash, struct stat *ret_st)
{
    crypto_generichash_state state;
    uint8_t digest[crypto_generichash_BYTES], *block = malloc(BLOCK);
    int fd = block ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    bool fine = fd >= 0 && fstat(fd, ret_st) == 0 && S_ISREG(ret_st->st_mode) && (!sync || fsync(fd) == 0);
    ssize_t n = 0;
    crypto_generichash_init(&state, NULL, 0, sizeof(digest));
    while (fine && ((n = read(fd, block, BLOCK)) > 0 || (n < 0 && errno == EINTR)))
        if (n > 0)
            crypto_generichash_update(&state, block, (size_t) n);
    crypto_generichash_final(&state, digest, sizeof(digest));
    sodium_bin2hex(ret_hash->hex, sizeof(ret_hash->hex), digest, sizeof(digest));
    int reason = errno;
    if (fd >= 0)
        close(fd);
    free(block);
    errno = reason;
    return fine && n == 0;
}

/* ---- The files of an entry ---- */

/* Returns the number of blobs; *ret_newest is the newest one. */
static int find_blobs(const char *dir, struct blob *ret_newest)
{
    DIR *folder = opendir(dir);
    struct dirent *entry;
    struct stat st;
    int count = 0;
    while (folder && (entry = readdir(folder))) {
        if (!hs_str_ends(entry->d_name, ".blob") || fstatat(dirfd(folder), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        const struct timespec *was = &ret_newest->st.st_mtim, *is = &st.st_mtim;
        if (count++ > 0 && (is->tv_sec < was->tv_sec || (is->tv_sec == was->tv_sec && is->tv_nsec < was->tv_nsec)))
            continue;
        hs_str_copy(ret_newest->name, sizeof(ret_newest->name), entry->d_name);
        ret_newest->st = st;
    }
    if (folder)
        closedir(folder);
    return count;
}

/* Deletes the files of a folder, except `keep` if it is not NULL. */
static void clear(const char *dir, const char *keep)
{
    DIR *folder = opendir(dir);
    struct dirent *entry;
    while (folder && (entry = readdir(folder)))
        if (!keep || strcmp(entry->d_name, keep) != 0)
            unlinkat(dirfd(folder), entry->d_name, 0); /* does nothing to "." and ".." */
    if (folder)
        closedir(folder);
}

/* Writes "<head><blob's name> <bytes> <hash>\n", the content of the sum file; false if it does not fit. */
static bool put_sum(const struct blob *blob, const struct hash *hash, char dst[SUM_MAX])
{
    return hs_str_format(dst, SUM_MAX, "%s%s %lld %s\n", sum_head, blob->name, (long long) blob->st.st_size, hash->hex);
}

/* Returns 1 if the folder has exactly one blob and it matches the sum, else 0; HS_ENOMEM: not enough memory to compare
 * them. *ret_empty is true if the folder has neither a blob nor a sum. */
static int check_intact(const char *dir, struct blob *ret_blob, bool *ret_empty)
{
    char path[PATH_MAX], sum[PATH_MAX], wanted[SUM_MAX];
    struct hash hash;
    uint8_t *text = NULL;
    size_t len = 0;
    int count = find_blobs(dir, ret_blob);
    int r = hs_path_join(sum, sizeof(sum), dir, sum_name) ? hs_file_read(sum, SUM_MAX, &text, &len, NULL) : HS_EIO;
    bool fine = r == 0 && count == 1 && hs_path_join(path, sizeof(path), dir, ret_blob->name);
    *ret_empty = count == 0 && r < 0;
    if (fine && !hash_file(path, false, &hash, &ret_blob->st)) {
        fine = false;
        r = errno == ENOMEM ? HS_ENOMEM : HS_EIO;
    }
    fine = fine && put_sum(ret_blob, &hash, wanted) && strlen(wanted) == len && memcmp(wanted, text, len) == 0;
    free(text);
    return r == HS_ENOMEM ? r : fine;
}

static void write_sum(const struct hs_compiled_entry *entry, struct blob *blob)
{
    char path[PATH_MAX], sum[PATH_MAX], text[SUM_MAX];
    struct hash hash;
    bool fine = hs_path_join(path, sizeof(path), entry->dir, blob->name) &&
                hs_path_join(sum, sizeof(sum), entry->dir, sum_name) && hash_file(path, true, &hash, &blob->st) &&
                put_sum(blob, &hash, text) && hs_file_write_atomic(sum, text, strlen(text), 0644, NULL) == 0;
    if (!fine)
        clear(entry->dir, NULL);
}

/* ---- The entries of a cache ---- */

/* Returns the position of the three hashes in an entry's name; NULL if the name is not an entry's. */
static const char *find_suffix(const char *name)
{
    size_t len = strlen(name);
    const char *suffix = len > SUFFIX_LEN ? name + len - SUFFIX_LEN : NULL;
    for (int i = 0; suffix && i < 3; i++) {
        const char *part = suffix + i * (1 + PART_DIGITS);
        if (part[0] != '.' || strspn(part + 1, "0123456789abcdef") < PART_DIGITS)
            suffix = NULL;
    }
    return suffix;
}

static bool is_of_model(const char *name, const char *model_file)
{
    const char *suffix = find_suffix(name);
    return suffix && (size_t) (suffix - name) == strlen(model_file) && hs_str_starts(name, model_file);
}

/* Opens and locks a folder. Returns its descriptor, or HS_EBUSY, HS_ENOTFOUND or HS_EIO. HS_ENOTFOUND also if the
 * previous holder of the lock deleted the folder. */
static int lock_folder(const char *path)
{
    struct stat ours, there;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? HS_ENOTFOUND : HS_EIO;
    int r = hs_file_lock(fd, false);
    if (r == 0 && (fstat(fd, &ours) < 0 || stat(path, &there) < 0 || ours.st_ino != there.st_ino))
        r = HS_ENOTFOUND;
    if (r == 0)
        return fd;
    close(fd);
    return r;
}

/* Deletes an entry unless it is in use. */
static bool delete_entry(const char *cache, const char *name)
{
    char path[PATH_MAX];
    int fd = hs_path_join(path, sizeof(path), cache, name) ? lock_folder(path) : HS_EIO;
    if (fd < 0)
        return false;
    clear(path, NULL);
    bool deleted = rmdir(path) == 0;
    close(fd);
    return deleted;
}

struct used {
    char name[NAME_MAX + 1];
    struct timespec at;
    uint64_t bytes;
};

static int compare_used(const void *a, const void *b)
{
    const struct timespec *x = &((const struct used *) a)->at, *y = &((const struct used *) b)->at;
    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? 1 : -1;
    return (x->tv_nsec < y->tv_nsec) - (x->tv_nsec > y->tv_nsec);
}

static uint64_t size_of(const char *dir)
{
    DIR *folder = opendir(dir);
    struct dirent *entry;
    struct stat st;
    uint64_t bytes = 0;
    while (folder && (entry = readdir(folder)))
        if (fstatat(dirfd(folder), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            bytes += (uint64_t) st.st_size;
    if (folder)
        closedir(folder);
    return bytes;
}

/* Deletes the two folders of an earlier cache format, in which OpenVINO had one folder per number format. */
static void delete_old_format(const char *cache)
{
    static const char *const names[] = { "f32", "short" };
    for (size_t i = 0; i < HS_ARRAY_LEN(names); i++) {
        char path[PATH_MAX];
        DIR *folder = hs_path_join(path, sizeof(path), cache, names[i]) ? opendir(path) : NULL;
        struct dirent *entry;
        while (folder && (entry = readdir(folder)))
            if (hs_str_ends(entry->d_name, ".blob"))
                unlinkat(dirfd(folder), entry->d_name, 0);
        if (folder)
            closedir(folder);
        rmdir(path); /* if it is empty */
    }
}

static int keep_entry(const struct dirent *entry)
{
    return find_suffix(entry->d_name) != NULL;
}

/* Evicts stale entries, then the least recently used ones beyond the limits. `own` stays. */
static void prune(const char *cache, const char *own)
{
    const char *suffix = find_suffix(own);
    char model_file[NAME_MAX + 1];
    struct dirent **names;
    int count = scandir(cache, &names, keep_entry, NULL);
    struct used *used = count > 0 ? calloc((size_t) count, sizeof(*used)) : NULL;
    size_t kept = 0;
    uint64_t bytes = 0;
    hs_str_copy_n(model_file, sizeof(model_file), own, (size_t) (suffix - own));
    delete_old_format(cache);
    for (int i = 0; i < count; i++) {
        const char *name = names[i]->d_name, *theirs = find_suffix(name);
        bool stale = strncmp(theirs, suffix, 1 + PART_DIGITS) != 0 ||
                     (is_of_model(name, model_file) &&
                      strncmp(theirs + 1 + PART_DIGITS, suffix + 1 + PART_DIGITS, 1 + PART_DIGITS) != 0);
        char path[PATH_MAX], sum[PATH_MAX];
        struct stat st;
        if (stale)
            delete_entry(cache, name);
        else if (used && strcmp(name, own) != 0 && hs_path_join(path, sizeof(path), cache, name)) {
            struct used *one = &used[kept++];
            hs_str_copy(one->name, sizeof(one->name), name);
            one->bytes = size_of(path);
            if (hs_path_join(sum, sizeof(sum), path, sum_name) && stat(sum, &st) == 0)
                one->at = st.st_mtim;
        } else if (hs_path_join(path, sizeof(path), cache, name)) {
            bytes += size_of(path);
        }
        free(names[i]);
    }
    if (count >= 0)
        free(names);
    if (used)
        qsort(used, kept, sizeof(*used), compare_used);
    for (size_t i = 0; i < kept; i++) {
        bytes += used[i].bytes;
        if (i + 1 >= HS_COMPILED_ENTRIES_MAX || bytes > HS_COMPILED_BYTES_MAX)
            bytes -= delete_entry(cache, used[i].name) ? used[i].bytes : 0;
    }
    free(used);
}

/* ---- An entry ---- */

/* Returns true if `bytes` can be written, including quotas. The check is needed because a runtime does not notice that
 * the disk is full. */
static bool has_room(const char *dir, off_t bytes)
{
    char path[PATH_MAX];
    int fd = hs_path_join(path, sizeof(path), dir, "room.XXXXXX") ? mkostemp(path, O_CLOEXEC) : -1;
    if (fd < 0)
        return false;
    bool room = fallocate(fd, 0, 0, bytes) == 0 || errno == EOPNOTSUPP;
    unlink(path);
    close(fd);
    return room;
}

static int name_entry(struct hs_compiled_entry *entry, const struct hs_compiled_key *key, off_t *ret_bytes,
                      struct hs_error *err)
{
    char runtime[PART_DIGITS + 1], settings[PART_DIGITS + 1];
    struct hash model;
    struct stat st;
    if (sodium_init() < 0)
        return hs_error_set(err, HS_EIO, "cannot initialise libsodium");
    if (!hash_file(key->model, false, &model, &st))
        return hs_error_set(err, errno == ENOMEM ? HS_ENOMEM : HS_EIO, "cannot read %s: %s", key->model,
                            strerror(errno));
    hash_text(key->runtime, runtime);
    hash_text(key->settings, settings);
    *ret_bytes = st.st_size;
    if (!hs_str_format(entry->name, sizeof(entry->name), "%s.%s.%.16s.%s", hs_path_base(key->model), runtime, model.hex,
                       settings) ||
        !hs_str_copy(entry->cache, sizeof(entry->cache), key->cache) ||
        !hs_path_join(entry->dir, sizeof(entry->dir), key->cache, entry->name))
        return hs_error_set(err, HS_EINVAL, "the path of the compiled model is too long");
    return 0;
}

static int lock_entry(struct hs_compiled_entry *entry, struct hs_error *err)
{
    for (;;) {
        int r = hs_dir_make(entry->dir, err);
        if (r < 0)
            return r;
        entry->lock = lock_folder(entry->dir);
        if (entry->lock >= 0)
            return 0;
        if (entry->lock != HS_ENOTFOUND)
            return hs_error_set(err, entry->lock, "another program uses the compiled model %s", entry->dir);
    }
}

int hs_compiled_open(const struct hs_compiled_key *key, struct hs_compiled_entry **ret_entry, bool *ret_damaged,
                     struct hs_error *err)
{
    struct hs_compiled_entry *entry = calloc(1, sizeof(*entry));
    off_t bytes = 0;
    bool empty = true;
    if (!entry)
        return hs_error_set(err, HS_ENOMEM, "out of memory");
    entry->lock = -1;
    int r = name_entry(entry, key, &bytes, err);
    if (r == 0)
        r = lock_entry(entry, err);
    if (r < 0) {
        free(entry);
        return r;
    }
    r = check_intact(entry->dir, &entry->blob, &empty);
    if (r < 0) {
        close(entry->lock);
        free(entry);
        return hs_error_set(err, r, "out of memory");
    }
    entry->sealed = r;
    if (!entry->sealed)
        clear(entry->dir, NULL);
    if (!entry->sealed && !has_room(entry->dir, bytes + bytes / 2 + room_more)) {
        hs_compiled_close(entry, false);
        return hs_error_set(err, HS_EIO, "not enough disk space for a compiled model in %s", key->cache);
    }
    *ret_damaged = !entry->sealed && !empty;
    *ret_entry = entry;
    return 0;
}

const char *hs_compiled_dir(const struct hs_compiled_entry *entry)
{
    return entry->dir;
}

static bool is_same(const struct blob *a, const struct blob *b)
{
    return strcmp(a->name, b->name) == 0 && a->st.st_ino == b->st.st_ino && a->st.st_size == b->st.st_size &&
           a->st.st_mtim.tv_sec == b->st.st_mtim.tv_sec && a->st.st_mtim.tv_nsec == b->st.st_mtim.tv_nsec;
}

void hs_compiled_close(struct hs_compiled_entry *entry, bool keep)
{
    struct blob blob = { 0 };
    char sum[PATH_MAX];
    if (!entry)
        return;
    int count = find_blobs(entry->dir, &blob);
    if (!keep || count == 0) {
        clear(entry->dir, NULL);
        rmdir(entry->dir);
    } else if (entry->sealed && count == 1 && is_same(&blob, &entry->blob)) {
        if (hs_path_join(sum, sizeof(sum), entry->dir, sum_name))
            utimensat(AT_FDCWD, sum, NULL, 0); /* the modification time orders entries by last use */
    } else {
        /* The runtime wrote a blob, because none was there or it rejected the one that was. */
        clear(entry->dir, blob.name);
        write_sum(entry, &blob);
        prune(entry->cache, entry->name);
    }
    close(entry->lock);
    free(entry);
}

/* ---- All entries of a model file ---- */

void hs_compiled_stats(const char *cache, const char *model_file, bool verify, struct hs_compiled_stats *ret_stats)
{
    struct hs_compiled_stats sum = { 0 };
    DIR *folder = opendir(cache);
    struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        char path[PATH_MAX];
        struct blob blob;
        bool empty;
        if (!is_of_model(entry->d_name, model_file) || !hs_path_join(path, sizeof(path), cache, entry->d_name))
            continue;
        sum.entries++;
        sum.bytes += size_of(path);
        /* An entry that another program has locked is incomplete, so it is not verified. */
        int lock = verify ? lock_folder(path) : -1;
        if (lock >= 0) {
            sum.damaged += check_intact(path, &blob, &empty) == 0;
            close(lock);
        }
    }
    if (folder)
        closedir(folder);
    *ret_stats = sum;
}

uint64_t hs_compiled_remove(const char *cache, const char *model_file)
{
    struct dirent **names;
    uint64_t bytes = 0;
    int count = scandir(cache, &names, keep_entry, NULL);
    for (int i = 0; i < count; i++) {
        char path[PATH_MAX];
        if (is_of_model(names[i]->d_name, model_file) && hs_path_join(path, sizeof(path), cache, names[i]->d_name)) {
            uint64_t size = size_of(path);
            bytes += delete_entry(cache, names[i]->d_name) ? size : 0;
        }
        free(names[i]);
    }
    if (count >= 0)
        free(names);
    return bytes;
}
