#include "models/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

enum { MAX_PACKS = 1000, RECORD_MAX = 4096 };

struct hs_store {
    char service[64]; /* the program's name, for commands in messages */
    char dir[PATH_MAX];
    char packs_dir[PATH_MAX];
    char warning[HS_ERROR_MESSAGE_SIZE];
    size_t count;
    struct hs_pack *packs[MAX_PACKS];
};

/* ---- folders ---- */

static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static const char *env(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

static bool find_models_dir(const struct hs_store_options *options, char *dst, size_t size)
{
    const char *given = options->models_dir ? options->models_dir : env("HS_MODELS_DIR");
    if (given)
        return hs_str_copy(dst, size, given);
    char state[PATH_MAX];
    if (!hs_str_format(state, sizeof(state), "/var/lib/%s", options->service) ||
        !hs_path_join(dst, size, state, "models"))
        return false;
    if (is_dir(dst) || (is_dir(state) && access(state, W_OK) == 0))
        return true;
    const char *data = env("XDG_DATA_HOME"), *home = env("HOME");
    if (data && data[0] == '/')
        return hs_str_format(dst, size, "%s/hailo-services/models", data);
    return hs_str_format(dst, size, "%s/.local/share/hailo-services/models", home ? home : "/root");
}

/* Finds the folder of packs: in the source tree, to which a build folder has a link, or installed
 * with the program. */
static bool find_packs_dir(const struct hs_store_options *options, char *dst, size_t size)
{
    const char *given = options->packs_dir ? options->packs_dir : env("HS_PACKS_DIR");
    if (given)
        return hs_str_copy(dst, size, given);
    if (hs_path_of_program(dst, size, "source/models") && is_dir(dst))
        return true;
    return hs_path_of_program(dst, size, "../share/hailo-services/models");
}

/* ---- reading packs ---- */

static int keep_yaml(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && hs_str_ends(entry->d_name, ".yaml");
}

/* Skips and reports an imported pack that is broken, so that the service can still start with
 * another one. */
static int add_pack(struct hs_store *store, const char *path, bool imported, struct hs_error *err)
{
    struct hs_pack *pack;
    struct hs_error local = { 0 };
    int r = hs_pack_load(path, &pack, &local);
    if (r < 0 && imported && r != HS_ENOMEM) {
        hs_str_copy(store->warning, sizeof(store->warning), local.message);
        return 0;
    }
    if (r < 0) {
        if (err)
            *err = local;
        return r;
    }
    bool known = hs_store_find(store, pack->name);
    if (!known && store->count < MAX_PACKS) {
        pack->imported = imported;
        store->packs[store->count++] = pack;
        return 0;
    }
    if (known && imported)
        hs_str_format(store->warning, sizeof(store->warning), "%s: another pack is also named %s", path, pack->name);
    hs_pack_destroy(pack);
    return known ? 0 : hs_error_set(err, HS_ETOOLARGE, "too many packs (at most %d)", MAX_PACKS);
}

static int add_folder(struct hs_store *store, const char *dir, bool imported, struct hs_error *err)
{
    struct dirent **entries;
    int r = 0, count = scandir(dir, &entries, keep_yaml, alphasort);
    if (count < 0 && imported && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (count < 0)
        return hs_error_set(err, errno == ENOMEM ? HS_ENOMEM : HS_EIO, "cannot read the folder of packs %s: %s", dir,
                            strerror(errno));
    for (int i = 0; i < count; i++) {
        char path[PATH_MAX];
        if (r == 0 && hs_path_join(path, sizeof(path), dir, entries[i]->d_name))
            r = add_pack(store, path, imported, err);
        free(entries[i]);
    }
    free(entries);
    return r;
}

int hs_store_open(const struct hs_store_options *options, struct hs_store **ret_store, struct hs_error *err)
{
    struct hs_store *store = calloc(1, sizeof(*store));
    if (!store)
        return hs_error_set(err, HS_ENOMEM, "out of memory");
    char own[PATH_MAX];
    int r = 0;
    hs_str_copy(store->service, sizeof(store->service), options->service);
    if (!find_models_dir(options, store->dir, sizeof(store->dir)) ||
        !find_packs_dir(options, store->packs_dir, sizeof(store->packs_dir)) ||
        !hs_path_join(own, sizeof(own), store->dir, "packs"))
        r = hs_error_set(err, HS_EINVAL, "the path of the models folder is too long");
    if (r == 0)
        r = add_folder(store, store->packs_dir, false, err);
    if (r == 0)
        r = add_folder(store, own, true, err);
    if (r < 0) {
        hs_store_close(store);
        return r;
    }
    *ret_store = store;
    return 0;
}

void hs_store_close(struct hs_store *store)
{
    if (!store)
        return;
    for (size_t i = 0; i < store->count; i++)
        hs_pack_destroy(store->packs[i]);
    free(store);
}

const char *hs_store_dir(const struct hs_store *store)
{
    return store->dir;
}

const char *hs_store_warning(const struct hs_store *store)
{
    return store->warning[0] ? store->warning : NULL;
}

size_t hs_store_count(const struct hs_store *store)
{
    return store->count;
}

const struct hs_pack *hs_store_pack(const struct hs_store *store, size_t index)
{
    return index < store->count ? store->packs[index] : NULL;
}

const struct hs_pack *hs_store_find(const struct hs_store *store, const char *name)
{
    for (size_t i = 0; i < store->count; i++)
        if (hs_pack_name_equal(store->packs[i]->name, name))
            return store->packs[i];
    return NULL;
}

/* ---- choosing ---- */

struct preferences {
    enum hs_task task;
    const char *backend;
    const char *names[4];
    const char *if_installed; /* first choice if already installed, but not fetched by default */
};

/* Order of preference for `auto`, best first. */
static const struct preferences preferences[] = {
    { HS_TASK_POSE, "hailo", { "yolov8s-pose", "yolov8m-pose" }, NULL },
    { HS_TASK_POSE, NULL, { "yolo11n-pose", "yolov8n-pose" }, NULL },
    { HS_TASK_FACE_DETECTION, "hailo", { "scrfd-10g", "scrfd-2.5g" }, NULL },
    { HS_TASK_FACE_DETECTION, NULL, { "scrfd-2.5g", "scrfd-500m" }, NULL },
    { HS_TASK_FACE_EMBEDDING, "hailo", { "arcface-mobilefacenet" }, NULL },
    { HS_TASK_FACE_EMBEDDING, NULL, { "mobilefacenet-faceplugin" }, "w600k-mbf" },
};

enum { RANKS = HS_ARRAY_LEN(preferences[0].names) + 1 };

static const struct hs_pack_file *matching_file(const struct hs_pack *pack, const char *backend, const char *runtime)
{
    return strcmp(backend, "sim") == 0 ? &pack->files[0] : hs_pack_find_file(pack, backend, runtime);
}

/* Returns 0 for the best preference; packs that are not preferences come last. */
static size_t rank_of(const struct hs_pack *pack, const char *backend, bool installed)
{
    const struct preferences *row = preferences, *end = preferences + HS_ARRAY_LEN(preferences);
    while (row < end && (row->task != pack->task || (row->backend && strcmp(row->backend, backend) != 0)))
        row++;
    if (row == end)
        return RANKS;
    if (installed && row->if_installed && hs_pack_name_equal(row->if_installed, pack->name))
        return 0;
    for (size_t i = 0; i < HS_ARRAY_LEN(row->names) && row->names[i]; i++)
        if (hs_pack_name_equal(row->names[i], pack->name))
            return i + 1;
    return RANKS;
}

static int choose_best(const struct hs_store *store, enum hs_task task, const char *backend, const char *runtime,
                       bool prefer_installed, struct hs_model_choice *ret_choice, struct hs_error *err)
{
    struct hs_model_choice best = { 0 };
    size_t best_score = SIZE_MAX;
    for (size_t i = 0; i < store->count; i++) {
        const struct hs_pack *pack = store->packs[i];
        const struct hs_pack_file *file = matching_file(pack, backend, runtime);
        if (pack->task != task || pack->imported || !file)
            continue;
        bool installed = prefer_installed && hs_store_has(store, file);
        size_t score = rank_of(pack, backend, installed) + (prefer_installed && !installed ? 100 : 0);
        if (score < best_score) {
            best_score = score;
            best = (struct hs_model_choice) { pack, file };
        }
    }
    if (!best.pack)
        return hs_error_set(err, HS_ENOTFOUND, "no %s model for %s%s%s in %s", hs_task_name(task), backend,
                            runtime ? " " : "", runtime ? runtime : "", store->packs_dir);
    *ret_choice = best;
    return 0;
}

int hs_store_choose_default(const struct hs_store *store, enum hs_task task, const char *backend, const char *runtime,
                            struct hs_model_choice *ret_choice, struct hs_error *err)
{
    return choose_best(store, task, backend, runtime, false, ret_choice, err);
}

/* Writes "yolo11n-pose, yolov8n-pose, …", truncated to `size`; "none" without any. */
static const char *list_names(const struct hs_store *store, enum hs_task task, const char *backend, const char *runtime,
                              char *dst, size_t size)
{
    hs_str_copy(dst, size, "none");
    size_t used = 0;
    for (size_t i = 0; i < store->count; i++) {
        const struct hs_pack *pack = store->packs[i];
        if (pack->task != task || !matching_file(pack, backend, runtime))
            continue;
        if (!hs_str_format(dst + used, size - used, "%s%s", used ? ", " : "", pack->name))
            break;
        used = strlen(dst);
    }
    return dst;
}

int hs_store_choose(const struct hs_store *store, enum hs_task task, const char *name, const char *backend,
                    const char *runtime, struct hs_model_choice *ret_choice, struct hs_error *err)
{
    if (!name || !name[0] || strcmp(name, "auto") == 0)
        return choose_best(store, task, backend, runtime, true, ret_choice, err);
    const struct hs_pack *pack = hs_store_find(store, name);
    char names[300], quoted[100];
    if (!pack || pack->task != task) {
        hs_str_quote(quoted, sizeof(quoted), name, strlen(name));
        return hs_error_set(err, HS_ENOTFOUND, "no %s model named %s; available: %s", hs_task_name(task), quoted,
                            list_names(store, task, backend, runtime, names, sizeof(names)));
    }
    const struct hs_pack_file *file = matching_file(pack, backend, runtime);
    if (!file)
        return hs_error_set(err, HS_ENOTFOUND, "%s has no file for %s%s%s; models with such a file: %s", pack->name,
                            backend, runtime ? " " : "", runtime ? runtime : "",
                            list_names(store, task, backend, runtime, names, sizeof(names)));
    *ret_choice = (struct hs_model_choice) { pack, file };
    return 0;
}

/* ---- files ---- */

bool hs_store_path(const struct hs_store *store, const char *name, char *dst, size_t size)
{
    return hs_path_join(dst, size, store->dir, name);
}

static int path_of(const struct hs_store *store, const char *prefix, const char *name, const char *suffix, char *dst,
                   size_t size, struct hs_error *err)
{
    if (hs_str_format(dst, size, "%s/%s%s%s", store->dir, prefix, name, suffix))
        return 0;
    return hs_error_set(err, HS_EINVAL, "the path of %s is too long", name);
}

bool hs_store_has(const struct hs_store *store, const struct hs_pack_file *file)
{
    char path[PATH_MAX];
    struct stat st;
    return hs_store_path(store, file->name, path, sizeof(path)) && stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           (file->size == 0 || (uint64_t) st.st_size == file->size);
}

int hs_store_record(const struct hs_store *store, const char *name, const char hex[65], struct hs_error *err)
{
    char path[PATH_MAX], line[300];
    int r = path_of(store, "", name, ".sha256", path, sizeof(path), err);
    if (r < 0)
        return r;
    if (!hs_str_format(line, sizeof(line), "%s  %s\n", hex, name))
        return hs_error_set(err, HS_EINVAL, "the name %s is too long", name);
    return hs_file_write_atomic(path, line, strlen(line), 0644, err);
}

int hs_store_expected(const struct hs_store *store, const struct hs_pack_file *file, char ret_hex[65],
                      struct hs_error *err)
{
    if (file->sha256) {
        hs_str_copy(ret_hex, 65, file->sha256);
        return 0;
    }
    char path[PATH_MAX];
    uint8_t *text;
    size_t len;
    int r = path_of(store, "", file->name, ".sha256", path, sizeof(path), err);
    if (r == 0)
        r = hs_file_read(path, RECORD_MAX, &text, &len, err);
    if (r < 0)
        return r;
    bool fine = len > 64 && strspn((char *) text, "0123456789abcdef") == 64 && text[64] == ' ';
    if (fine)
        hs_str_copy_n(ret_hex, 65, (char *) text, 64);
    free(text);
    return fine ? 0 : hs_error_set(err, HS_EMODEL, "%s does not contain a SHA-256", path);
}

int hs_store_check(const struct hs_store *store, const struct hs_pack_file *file, enum hs_file_state *ret_state,
                   char ret_hex[65], struct hs_error *err)
{
    char path[PATH_MAX], found[65] = "", expected[65];
    struct hs_error local = { 0 };
    int r = path_of(store, "", file->name, "", path, sizeof(path), err);
    bool there = r == 0 && hs_file_exists(path);
    if (there)
        r = hs_file_sha256(path, found, err);
    if (ret_hex)
        hs_str_copy(ret_hex, 65, found);
    if (r < 0)
        return r;
    r = there ? hs_store_expected(store, file, expected, &local) : HS_ENOTFOUND;
    if (r == HS_ENOMEM || r == HS_EIO)
        return hs_error_set(err, r, "%s", local.message);
    *ret_state = !there                                   ? HS_FILE_MISSING
                 : r == HS_ENOTFOUND                      ? HS_FILE_UNRECORDED
                 : r == 0 && strcmp(expected, found) == 0 ? HS_FILE_VERIFIED
                                                          : HS_FILE_BAD;
    return 0;
}

/* Hashes the whole file at each start (about 30 ms for the default model), because a cached result
 * could be stale. */
int hs_store_verified_path(const struct hs_store *store, const struct hs_model_choice *choice, char **ret_path,
                           struct hs_error *err)
{
    enum hs_file_state state;
    char path[PATH_MAX], found[65];
    const char *name = choice->pack->name;
    int r = path_of(store, "", choice->file->name, "", path, sizeof(path), err);
    if (r == 0)
        r = hs_store_check(store, choice->file, &state, found, err);
    if (r < 0)
        return r;
    /* Name the backend: without a Hailo, a plain `models pull` fetches the CPU's file. */
    const char *runtime = choice->file->runtime;
    char pull[400];
    hs_str_format(pull, sizeof(pull), "%s models pull %s --backend %s%s%s", store->service, name, choice->file->backend,
                  runtime ? " --runtime " : "", runtime ? runtime : "");
    if (state == HS_FILE_MISSING)
        return hs_error_set(err, HS_ENOTFOUND, "%s is not in %s; get it with: %s", choice->file->name, store->dir,
                            pull);
    if (state == HS_FILE_UNRECORDED)
        return hs_error_set(err, HS_EMODEL,
                            "cannot verify %s: no SHA-256 is recorded because it was not pulled (the file has %s)",
                            path, found);
    if (state == HS_FILE_BAD)
        return hs_error_set(err, HS_EMODEL, "%s has a wrong SHA-256 (%s); replace it with: %s", path, found, pull);
    char *copy = strdup(path);
    if (!copy)
        return hs_error_set(err, HS_ENOMEM, "out of memory");
    *ret_path = copy;
    return 0;
}

/* ---- removing and locking ---- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void) st;
    (void) type;
    (void) ftw;
    remove(path);
    return 0;
}

bool hs_store_work_path(const struct hs_store *store, const char *name, char *dst, size_t size)
{
    return hs_str_format(dst, size, "%s/.%s.fetch", store->dir, name);
}

void hs_store_clear_work(const struct hs_store *store, const char *name)
{
    char path[PATH_MAX];
    if (hs_store_work_path(store, name, path, sizeof(path)))
        nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static int delete_file(const char *path, int *count, struct hs_error *err)
{
    bool deleted = unlink(path) == 0;
    *count += deleted;
    return deleted || errno == ENOENT ? 0 : hs_error_set(err, HS_EIO, "cannot delete %s: %s", path, strerror(errno));
}

/* Waits for a fetch of the file to end. If the folder does not exist, there is nothing to lock or
 * delete. The record is deleted last: until then the file either matches its record or is missing. */
static int delete_model_file(const struct hs_store *store, const char *name, int *count, struct hs_error *err)
{
    static const char *const suffixes[] = { "", ".part", ".part.from", ".sha256" };
    int lock, ignored = 0;
    if (!is_dir(store->dir))
        return 0;
    int r = hs_store_lock(store, name, true, &lock, err);
    if (r < 0)
        return r;
    hs_store_clear_work(store, name);
    for (size_t i = 0; i < HS_ARRAY_LEN(suffixes) && r == 0; i++) {
        char path[PATH_MAX];
        r = path_of(store, "", name, suffixes[i], path, sizeof(path), err);
        if (r == 0)
            r = delete_file(path, i == 0 ? count : &ignored, err);
    }
    hs_store_unlock(store, name, lock);
    return r;
}

int hs_store_remove(struct hs_store *store, const struct hs_pack *pack, int *ret_removed, struct hs_error *err)
{
    int ignored = 0, r = 0;
    size_t at = 0;
    *ret_removed = 0;
    for (size_t i = 0; i < pack->file_count && r == 0; i++)
        r = delete_model_file(store, pack->files[i].name, ret_removed, err);
    if (r == 0 && pack->imported)
        r = delete_file(pack->path, &ignored, err);
    if (r < 0 || !pack->imported)
        return r;
    while (store->packs[at] != pack)
        at++;
    hs_pack_destroy(store->packs[at]);
    store->count--;
    memmove(&store->packs[at], &store->packs[at + 1], (store->count - at) * sizeof(store->packs[0]));
    return 0;
}

/* True if `path` still names the open file. The previous holder of the lock may have deleted it. */
static bool is_file_of(int fd, const char *path)
{
    struct stat ours, there;
    return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
}

int hs_store_lock(const struct hs_store *store, const char *name, bool wait, int *ret_fd, struct hs_error *err)
{
    char path[PATH_MAX];
    int r = hs_dir_make(store->dir, err);
    if (r == 0)
        r = path_of(store, ".", name, ".lock", path, sizeof(path), err);
    while (r == 0) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
            return hs_error_set(err, HS_EIO, "cannot write in %s: %s", store->dir, strerror(errno));
        r = hs_file_lock(fd, wait);
        if (r == 0 && is_file_of(fd, path)) {
            *ret_fd = fd;
            return 0;
        }
        if (r == HS_EBUSY)
            hs_error_set(err, r, "another program has locked %s", path);
        else if (r < 0)
            hs_error_set(err, r, "cannot lock %s: %s", path, strerror(errno));
        close(fd);
    }
    return r;
}

/* Deletes the lock file while it is locked, so that a waiting program detects that its open file no
 * longer has that name. */
void hs_store_unlock(const struct hs_store *store, const char *name, int fd)
{
    char path[PATH_MAX];
    if (path_of(store, ".", name, ".lock", path, sizeof(path), NULL) == 0)
        unlink(path);
    close(fd);
}
