#include "gallery/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

static const char *const side_files[] = HS_GALLERY_SIDE_FILES;
static const char backup_prefix[] = "faces-", backup_suffix[] = ".db.gz", aside_mark[] = ".corrupt-";
enum { STAMP_LEN = HS_GALLERY_STAMP_SIZE - 1, FREE_NAMES = 1000 };

static int file_error(const char *path, struct hs_error *err)
{
    int code = errno == ENOMEM ? HS_ENOMEM : errno == ENOENT ? HS_ENOTFOUND : HS_EIO;
    return hs_error_set(err, code, "%s: %s", path, strerror(errno));
}

void hs_gallery_stamp(char ret_stamp[HS_GALLERY_STAMP_SIZE])
{
    time_t now = (time_t) hs_clock_wall_s();
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(ret_stamp, HS_GALLERY_STAMP_SIZE, "%Y%m%d-%H%M%S", &tm);
}

static bool folder_of(const char *path, char ret_folder[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return hs_str_copy(ret_folder, PATH_MAX, ".");
    return hs_str_copy_n(ret_folder, PATH_MAX, path, slash == path ? 1 : (size_t) (slash - path));
}

static int open_folder(const char *path)
{
    char folder[PATH_MAX];
    return folder_of(path, folder) ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

int hs_gallery_lock_folder(const char *path)
{
    int fd = open_folder(path);
    while (fd >= 0 && flock(fd, LOCK_EX) < 0 && errno == EINTR)
        continue;
    return fd;
}

void hs_gallery_unlock_folder(int fd)
{
    if (fd >= 0)
        close(fd);
}

void hs_gallery_sync_folder(const char *path)
{
    int fd = open_folder(path);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

int hs_gallery_temporary(const char *prefix, char ret_path[PATH_MAX], struct hs_error *err)
{
    if (!hs_str_format(ret_path, PATH_MAX, "%sXXXXXX", prefix))
        return hs_error_set(err, HS_EINVAL, "%s: the path is too long", prefix);
    int fd = mkostemp(ret_path, O_CLOEXEC);
    if (fd < 0)
        return file_error(ret_path, err);
    close(fd);
    return 0;
}

void hs_gallery_delete_database(const char *path)
{
    unlink(path);
    for (size_t i = 0; i < HS_ARRAY_LEN(side_files); i++) {
        char side[PATH_MAX];
        if (hs_str_format(side, sizeof(side), "%s%s", path, side_files[i]))
            unlink(side);
    }
}

void hs_gallery_delete_leftovers(const char *prefix)
{
    char folder[PATH_MAX];
    DIR *dir = folder_of(prefix, folder) ? opendir(folder) : NULL;
    if (!dir)
        return;
    struct dirent *entry;
    while ((entry = readdir(dir)))
        if (hs_str_starts(entry->d_name, hs_path_base(prefix)))
            unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
}

/* Not every file system can refuse to replace; the folder's lock keeps others of our kind away. */
static int rename_new(const char *from, const char *to)
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

int hs_gallery_rename_free(const char *from, const char *base, const char *suffix, char ret_path[PATH_MAX],
                           struct hs_error *err)
{
    for (int n = 0; n < FREE_NAMES; n++) {
        char number[16] = "";
        if (n > 0)
            hs_str_format(number, sizeof(number), "-%d", n);
        if (!hs_str_format(ret_path, PATH_MAX, "%s%s%s", base, number, suffix))
            return hs_error_set(err, HS_EINVAL, "%s: the path is too long", base);
        if (rename_new(from, ret_path) == 0) {
            hs_gallery_sync_folder(ret_path);
            return 0;
        }
        if (errno != EEXIST)
            break;
    }
    return file_error(ret_path, err);
}

static int gz_error(gzFile file, const char *path, struct hs_error *err)
{
    int code;
    const char *text = gzerror(file, &code);
    if (code == Z_ERRNO)
        return file_error(path, err);
    return hs_error_set(err, code == Z_MEM_ERROR ? HS_ENOMEM : HS_EDECODE, "%s: %s", path, text);
}

static int sync_file(const char *path, struct hs_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int r = fd < 0 || fsync(fd) < 0 ? file_error(path, err) : 0;
    if (fd >= 0)
        close(fd);
    return r;
}

int hs_gallery_compress(const char *from, const char *to, struct hs_error *err)
{
    static const int piece_size = 65536;
    FILE *in = fopen(from, "rbe");
    gzFile out = in ? gzopen(to, "wbe6") : NULL;
    unsigned char *piece = malloc((size_t) piece_size);
    int r = !in ? file_error(from, err) : !out ? file_error(to, err) : 0;
    if (r == 0 && !piece)
        r = hs_error_set(err, HS_ENOMEM, "gallery: no memory");
    size_t n;
    while (r == 0 && (n = fread(piece, 1, (size_t) piece_size, in)) > 0)
        if (gzwrite(out, piece, (unsigned) n) != (int) n)
            r = gz_error(out, to, err);
    if (r == 0 && ferror(in))
        r = file_error(from, err);
    if (out && gzclose(out) != Z_OK && r == 0)
        r = file_error(to, err);
    if (in)
        fclose(in);
    free(piece);
    return r < 0 ? r : sync_file(to, err);
}

int hs_gallery_uncompress(const char *from, const char *to, struct hs_error *err)
{
    static const int piece_size = 65536;
    gzFile in = gzopen(from, "rbe");
    FILE *out = in ? fopen(to, "wbe") : NULL;
    unsigned char *piece = malloc((size_t) piece_size);
    int r = !in ? file_error(from, err) : !out ? file_error(to, err) : 0, n = 0;
    if (r == 0 && !piece)
        r = hs_error_set(err, HS_ENOMEM, "gallery: no memory");
    while (r == 0 && (n = gzread(in, piece, (unsigned) piece_size)) > 0)
        if (fwrite(piece, 1, (size_t) n, out) != (size_t) n)
            r = file_error(to, err);
    if (r == 0 && n < 0)
        r = gz_error(in, from, err);
    /* What ends in the middle of its compressed data is noticed here only. */
    if (in && gzclose(in) != Z_OK && r == 0)
        r = hs_error_set(err, HS_EDECODE, "%s: ends too early", from);
    if (out && fclose(out) != 0 && r == 0)
        r = file_error(to, err);
    free(piece);
    return r < 0 ? r : sync_file(to, err);
}

/* "YYYYMMDD-HHMMSS" at text as a time for people; false where there is none. */
static bool read_stamp(const char *text, char ret_time[HS_GALLERY_TIME_SIZE])
{
    for (int i = 0; i < STAMP_LEN; i++)
        if (i == 8 ? text[i] != '-' : text[i] < '0' || text[i] > '9')
            return false;
    return hs_str_format(ret_time, HS_GALLERY_TIME_SIZE, "%.4s-%.2s-%.2s %.2s:%.2s:%.2s", text, text + 4, text + 6,
                         text + 9, text + 11, text + 13);
}

/* What follows a stamp: nothing or "-n", then the suffix. */
static bool read_rest(const char *rest, const char *suffix)
{
    if (*rest == '-') {
        size_t digits = strspn(rest + 1, "0123456789");
        if (digits == 0)
            return false;
        rest += 1 + digits;
    }
    return strcmp(rest, suffix) == 0;
}

static int append_file(struct hs_gallery_backups *files, const char *folder, const char *name,
                       struct hs_gallery_backup file, struct hs_error *err)
{
    char path[PATH_MAX];
    struct stat st;
    if (!hs_path_join(path, sizeof(path), folder, name) || stat(path, &st) < 0)
        return 0; /* gone meanwhile */
    struct hs_gallery_backup *items = reallocarray(files->items, files->count + 1, sizeof(*items));
    if (items)
        files->items = items;
    file.path = strdup(path);
    if (!items || !file.path) {
        free(file.path);
        return hs_error_set(err, HS_ENOMEM, "gallery: no memory");
    }
    file.size_bytes = (int64_t) st.st_size;
    files->items[files->count++] = file;
    return 0;
}

/* Adds the files of a folder named <prefix><stamp>[-n]<suffix>. A folder that is not there has none. */
static int scan(struct hs_gallery_backups *files, const char *folder, const char *prefix, const char *suffix,
                bool set_aside, struct hs_error *err)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return errno == ENOENT ? 0 : file_error(folder, err);
    int r = 0;
    struct dirent *entry;
    while (r == 0 && (entry = readdir(dir))) {
        struct hs_gallery_backup file = { .set_aside = set_aside };
        const char *stamp = entry->d_name + strlen(prefix);
        if (hs_str_starts(entry->d_name, prefix) && read_stamp(stamp, file.created_at) &&
            read_rest(stamp + STAMP_LEN, suffix))
            r = append_file(files, folder, entry->d_name, file, err);
    }
    closedir(dir);
    return r;
}

/* Newest first; of one second the higher number, which has the longer or the greater text. */
static int compare_files(const void *pa, const void *pb)
{
    const struct hs_gallery_backup *a = pa, *b = pb;
    int by_time = strcmp(b->created_at, a->created_at);
    if (by_time)
        return by_time;
    size_t la = strlen(a->path), lb = strlen(b->path);
    return la != lb ? (la < lb ? 1 : -1) : strcmp(b->path, a->path);
}

void hs_gallery_backups_destroy(struct hs_gallery_backups *backups)
{
    if (!backups)
        return;
    for (size_t i = 0; i < backups->count; i++)
        free(backups->items[i].path);
    free(backups->items);
    free(backups);
}

int hs_gallery_find_files(const char *backup_dir, const char *path, struct hs_gallery_backups **ret_files,
                          struct hs_error *err)
{
    char folder[PATH_MAX], prefix[PATH_MAX];
    if (!folder_of(path, folder) || !hs_str_format(prefix, sizeof(prefix), "%s%s", hs_path_base(path), aside_mark))
        return hs_error_set(err, HS_EINVAL, "%s: the path is too long", path);
    struct hs_gallery_backups *files = calloc(1, sizeof(*files));
    if (!files)
        return hs_error_set(err, HS_ENOMEM, "gallery: no memory");
    int r = backup_dir ? scan(files, backup_dir, backup_prefix, backup_suffix, false, err) : 0;
    if (r == 0)
        r = scan(files, folder, prefix, "", true, err);
    if (r < 0) {
        hs_gallery_backups_destroy(files);
        return r;
    }
    if (files->count > 0)
        qsort(files->items, files->count, sizeof(*files->items), compare_files);
    *ret_files = files;
    return 0;
}

int hs_gallery_delete_file(const struct hs_gallery_backup *file, struct hs_error *err)
{
    if (unlink(file->path) < 0 && errno != ENOENT)
        return file_error(file->path, err);
    if (file->set_aside)
        hs_gallery_delete_database(file->path);
    return 0;
}
