#include "gallery/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <zlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

/* Files that SQLite keeps beside a database: the log, its index, the journal. */
static const char *const side_files[] = { "-wal", "-shm", "-journal" };
static const char backup_prefix[] = "faces-", backup_suffix[] = ".db.gz", corrupt_mark[] = ".corrupt-";
enum { STAMP_LEN = HS_GALLERY_STAMP_SIZE - 1, UID_LEN = HS_GALLERY_UID_SIZE - 1 };

int hs_gallery_file_error(const char *path, struct hs_error *err)
{
    int code = errno == ENOMEM ? HS_ENOMEM : errno == ENOENT ? HS_ENOTFOUND : HS_EIO;
    return hs_error_set(err, code, "cannot access %s: %s", path, strerror(errno));
}

void hs_gallery_stamp(char ret_stamp[HS_GALLERY_STAMP_SIZE])
{
    hs_clock_format_utc(hs_clock_wall_s(), HS_TIME_STAMP, ret_stamp, HS_GALLERY_STAMP_SIZE);
}

static int open_folder(const char *path)
{
    char folder[PATH_MAX];
    return hs_path_parent(folder, sizeof(folder), path) ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

int hs_gallery_lock_folder(const char *path, int *ret_lock, struct hs_error *err)
{
    int fd = open_folder(path);
    if (fd >= 0 && hs_file_lock(fd, true) == 0) {
        *ret_lock = fd;
        return 0;
    }
    int r = hs_error_set(err, HS_EIO, "cannot lock the folder of %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return r;
}

void hs_gallery_unlock_folder(int lock)
{
    if (lock >= 0)
        close(lock);
}

void hs_gallery_sync_folder(const char *path)
{
    int fd = open_folder(path);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

/* `fd` is a new file, or -1. */
static int init_new_file(int fd, const char *path, struct hs_error *err)
{
    int r = fd < 0 || hs_file_give_to_owner(fd, path) < 0 ? hs_gallery_file_error(path, err) : 0;
    if (fd >= 0)
        close(fd);
    if (fd >= 0 && r < 0)
        unlink(path);
    return r;
}

int hs_gallery_make_file(const char *path, struct hs_error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return init_new_file(fd, path, err);
}

int hs_gallery_make_temp_file(char path[PATH_MAX], struct hs_error *err)
{
    return init_new_file(mkostemp(path, O_CLOEXEC), path, err);
}

bool hs_gallery_tighten(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077) != 0 &&
           (st.st_uid == geteuid() || geteuid() == 0) && chmod(path, st.st_mode & 0700) == 0;
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

static int gz_error(gzFile file, const char *path, struct hs_error *err)
{
    int code;
    const char *text = gzerror(file, &code);
    if (code == Z_ERRNO)
        return hs_gallery_file_error(path, err);
    return hs_error_set(err, code == Z_MEM_ERROR ? HS_ENOMEM : HS_EDECODE, "gzip error in %s: %s", path, text);
}

/* A backup begins with the number of its last change, in the comment field of an empty gzip member
 * (RFC 1952). */
static const uint8_t gzip_head[] = { 0x1f, 0x8b, 8, 16, 0, 0, 0, 0, 0, 3 };
static const uint8_t gzip_tail[] = { 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0 }; /* ends the comment and the member */
static const char change_mark[] = "hailo-services-gallery change ";

static int write_change(int fd, int64_t change)
{
    uint8_t member[sizeof(gzip_head) + sizeof(change_mark) + 24 + sizeof(gzip_tail)];
    char comment[sizeof(change_mark) + 24];
    hs_str_format(comment, sizeof(comment), "%s%lld", change_mark, (long long) change);
    size_t len = strlen(comment);
    memcpy(member, gzip_head, sizeof(gzip_head));
    memcpy(member + sizeof(gzip_head), comment, len);
    memcpy(member + sizeof(gzip_head) + len, gzip_tail, sizeof(gzip_tail));
    return hs_file_write_all(fd, member, sizeof(gzip_head) + len + sizeof(gzip_tail));
}

int64_t hs_gallery_backup_change(const char *path)
{
    char head[sizeof(gzip_head) + sizeof(change_mark) + 24];
    int64_t change = -1;
    int fd;
    if (hs_file_open(path, &fd, NULL) < 0)
        return -1;
    ssize_t n = read(fd, head, sizeof(head) - 1);
    close(fd);
    head[n < 0 ? 0 : n] = '\0';
    const char *comment = head + sizeof(gzip_head);
    bool ours = n > (ssize_t) sizeof(gzip_head) && memcmp(head, gzip_head, sizeof(gzip_head)) == 0 &&
                hs_str_starts(comment, change_mark);
    return ours && hs_str_to_int64(comment + strlen(change_mark), &change) && change >= 0 ? change : -1;
}

enum { PIECE_SIZE = 65536 };

/* Opens an existing file that this program created. */
static int open_own_file(const char *path, struct hs_error *err)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? hs_gallery_file_error(path, err) : fd;
}

/* zlib's window holds parts of the file, so it is wiped before it is freed. */
static void *deflate_alloc(void *arg, unsigned items, unsigned size)
{
    (void) arg;
    return calloc(items, size);
}

static void deflate_free(void *arg, void *data)
{
    (void) arg;
    sodium_memzero(data, malloc_usable_size(data));
    free(data);
}

struct compressor {
    z_stream stream;
    uint8_t in[PIECE_SIZE], out[PIECE_SIZE];
};

static int compress_all(struct compressor *c, int from_fd, const char *from, int to_fd, const char *to,
                        struct hs_error *err)
{
    ssize_t n;
    do {
        n = read(from_fd, c->in, sizeof(c->in));
        if (n < 0)
            return hs_gallery_file_error(from, err);
        c->stream.next_in = c->in;
        c->stream.avail_in = (unsigned) n;
        do {
            c->stream.next_out = c->out;
            c->stream.avail_out = sizeof(c->out);
            deflate(&c->stream, n > 0 ? Z_NO_FLUSH : Z_FINISH);
            if (hs_file_write_all(to_fd, c->out, sizeof(c->out) - c->stream.avail_out) < 0)
                return hs_gallery_file_error(to, err);
        } while (c->stream.avail_out == 0);
    } while (n > 0);
    return 0;
}

static int compress_into(int from_fd, const char *from, int to_fd, const char *to, struct hs_error *err)
{
    enum { LEVEL = 6, GZIP_WINDOW = 16 + MAX_WBITS, MEMORY = 8 };
    struct compressor *c = calloc(1, sizeof(*c));
    if (!c)
        return hs_gallery_no_memory(err);
    c->stream = (z_stream) { .zalloc = deflate_alloc, .zfree = deflate_free };
    int r = HS_ENOMEM;
    if (deflateInit2(&c->stream, LEVEL, Z_DEFLATED, GZIP_WINDOW, MEMORY, Z_DEFAULT_STRATEGY) == Z_OK) {
        r = compress_all(c, from_fd, from, to_fd, to, err);
        deflateEnd(&c->stream);
    } else {
        hs_gallery_no_memory(err);
    }
    hs_mem_free_wiped(c, sizeof(*c));
    return r;
}

int hs_gallery_compress(const char *from, const char *to, int64_t change, struct hs_error *err)
{
    int in, fd = -1, r = hs_file_open(from, &in, err);
    if (r < 0)
        return r;
    fd = open_own_file(to, err);
    r = fd < 0 ? fd : 0;
    if (r == 0 && change >= 0 && write_change(fd, change) < 0)
        r = hs_gallery_file_error(to, err);
    if (r == 0)
        r = compress_into(in, from, fd, to, err);
    if (r == 0 && fsync(fd) < 0)
        r = hs_gallery_file_error(to, err);
    if (fd >= 0)
        close(fd);
    close(in);
    return r;
}

/* ---- unpacking: writes only databases, and no more than their header specifies and the disk has
 * room for ---- */

static uint32_t read_big_endian(const uint8_t *at)
{
    return (uint32_t) at[0] << 24 | (uint32_t) at[1] << 16 | (uint32_t) at[2] << 8 | at[3];
}

/* Returns the size of a database from its first bytes (https://sqlite.org/fileformat2.html, 1.3),
 * or HS_GALLERY_UNPACKED_MAX if the header does not specify it. 0: not a database. */
static uint64_t size_of_database(const uint8_t *head, size_t len)
{
    enum { HEADER = 100, PAGE_SIZE_AT = 16, CHANGES_AT = 24, PAGES_AT = 28, VALID_FOR_AT = 92, PAGE_MIN = 512 };
    if (len < HEADER || memcmp(head, "SQLite format 3", 16) != 0)
        return 0;
    uint32_t page = (uint32_t) head[PAGE_SIZE_AT] << 8 | head[PAGE_SIZE_AT + 1];
    page = page == 1 ? HS_SCRUB_PAGE_MAX : page;
    if (page < PAGE_MIN || (page & (page - 1)) != 0)
        return 0;
    uint32_t pages = read_big_endian(head + PAGES_AT);
    bool size_valid = pages > 0 && read_big_endian(head + CHANGES_AT) == read_big_endian(head + VALID_FOR_AT);
    return size_valid ? (uint64_t) page * pages : HS_GALLERY_UNPACKED_MAX;
}

/* The content is written twice: to a separate file, and then to the gallery's log. */
static int check_room(int fd, uint64_t size, const char *from, struct hs_error *err)
{
    struct statvfs fs;
    if (size > HS_GALLERY_UNPACKED_MAX)
        return hs_error_set(err, HS_ETOOLARGE, "%s is too large: %.1f GB unpacked, the limit is %.0f GB", from,
                            (double) size / 1e9, (double) HS_GALLERY_UNPACKED_MAX / 1e9);
    uint64_t room = fstatvfs(fd, &fs) == 0 ? (uint64_t) fs.f_bavail * fs.f_frsize : UINT64_MAX;
    if (size < HS_GALLERY_UNPACKED_MAX && size > room / 2)
        return hs_error_set(err, HS_EIO, "not enough disk space to unpack %s: %.0f MB required, %.0f MB free", from,
                            2 * (double) size / 1e6, (double) room / 1e6);
    return 0;
}

/* gzread copies uncompressed input unchanged. */
static int uncompress_into(gzFile in, const char *from, int fd, const char *to, uint8_t *piece, struct hs_error *err)
{
    uint64_t size = 0, written = 0;
    int n = 0, r = 0;
    while (r == 0 && (n = gzread(in, piece, PIECE_SIZE)) > 0) {
        if (written == 0) {
            size = size_of_database(piece, (size_t) n);
            r = size == 0 ? hs_error_set(err, HS_EDECODE, "%s is not a gallery or a gallery backup", from)
                          : check_room(fd, size, from, err);
        }
        if (r == 0 && (uint64_t) n > size - written)
            r = hs_error_set(err, HS_EDECODE, "%s is damaged: it is longer than its header states", from);
        if (r == 0 && hs_file_write_all(fd, piece, (size_t) n) < 0)
            r = hs_gallery_file_error(to, err);
        written += (uint64_t) n;
    }
    if (r == 0 && n < 0)
        return gz_error(in, from, err);
    return r == 0 && written == 0 ? hs_error_set(err, HS_EDECODE, "%s is empty", from) : r;
}

int hs_gallery_uncompress(const char *from, const char *to, struct hs_error *err)
{
    struct stat st;
    int source, r = hs_file_open(from, &source, err);
    if (r < 0)
        return r == HS_EIO && stat(from, &st) == 0 && !S_ISREG(st.st_mode) ? HS_EDECODE : r;
    uint8_t *piece = malloc(PIECE_SIZE);
    gzFile in = gzdopen(source, "rb");
    int fd = open_own_file(to, err);
    if (!in)
        close(source);
    r = !piece || !in ? hs_gallery_no_memory(err) : fd < 0 ? fd : uncompress_into(in, from, fd, to, piece, err);
    /* Only gzclose detects a file that ends in the middle of its compressed data. */
    if (in && gzclose(in) != Z_OK && r == 0)
        r = hs_error_set(err, HS_EDECODE, "%s is truncated", from);
    if (r == 0 && fsync(fd) < 0)
        r = hs_gallery_file_error(to, err);
    if (fd >= 0)
        close(fd);
    hs_mem_free_wiped(piece, PIECE_SIZE);
    return r;
}

/* ---- names ---- */

/* Formats "YYYYMMDD-HHMMSS" at `text` as a time. Returns false if the text is not such a stamp. */
static bool read_stamp(const char *text, char ret_time[HS_GALLERY_TIME_SIZE])
{
    for (int i = 0; i < STAMP_LEN; i++)
        if (i == 8 ? text[i] != '-' : text[i] < '0' || text[i] > '9')
            return false;
    return hs_str_format(ret_time, HS_GALLERY_TIME_SIZE, "%.4s-%.2s-%.2s %.2s:%.2s:%.2s", text, text + 4, text + 6,
                         text + 9, text + 11, text + 13);
}

/* Matches the rest of a name without a backup number: nothing or "-n", then the suffix. */
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

/* Parses faces-<number>-<stamp>-<uid>.db.gz, or the name from older programs,
 * faces-<stamp>[-n].db.gz, with ret_uid "". */
static bool read_backup_name(const char *name, struct hs_gallery_backup *file, char ret_uid[HS_GALLERY_UID_SIZE])
{
    if (!hs_str_starts(name, backup_prefix))
        return false;
    const char *text = name + strlen(backup_prefix);
    size_t digits = strspn(text, "0123456789");
    const char *stamp = text + digits + 1, *uid = stamp + STAMP_LEN + 1;
    if (digits >= 6 && digits <= 18 && text[digits] == '-' && read_stamp(stamp, file->created_at) && uid[-1] == '-' &&
        strspn(uid, "0123456789abcdef") == UID_LEN && strcmp(uid + UID_LEN, backup_suffix) == 0) {
        file->number = strtoll(text, NULL, 10);
        return hs_str_copy_n(ret_uid, HS_GALLERY_UID_SIZE, uid, UID_LEN);
    }
    ret_uid[0] = '\0';
    if (!read_stamp(text, file->created_at) || !read_rest(text + STAMP_LEN, backup_suffix))
        return false;
    /* A backup with a time in the future, from a wrong clock, must not count as the newest. */
    char now[HS_GALLERY_STAMP_SIZE];
    hs_gallery_stamp(now);
    file->number = strncmp(text, now, STAMP_LEN) > 0 ? -1 : 0;
    return true;
}

/* ---- directory listing ---- */

/* Calls `each` for the names in a folder until it returns other than 0. HS_ENOTFOUND: the folder
 * does not exist. */
static int for_each_name(const char *folder, int (*each)(void *arg, const char *name), void *arg, struct hs_error *err)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return hs_gallery_file_error(folder, err);
    int r = 0;
    struct dirent *entry;
    while (r == 0 && (entry = readdir(dir)))
        r = each(arg, entry->d_name);
    closedir(dir);
    return r;
}

static int append_file(struct hs_gallery_backups *files, const char *folder, const char *name,
                       struct hs_gallery_backup file, bool unfinished, struct hs_error *err)
{
    char path[PATH_MAX];
    struct stat st = { .st_size = 0 };
    if (!hs_path_join(path, sizeof(path), folder, name) || (stat(path, &st) < 0 && !unfinished))
        return 0; /* deleted meanwhile */
    struct hs_gallery_backup *items = reallocarray(files->items, files->count + 1, sizeof(*items));
    if (items)
        files->items = items;
    file.path = strdup(path);
    if (!items || !file.path) {
        free(file.path);
        return hs_gallery_no_memory(err);
    }
    file.size_bytes = (int64_t) st.st_size;
    files->items[files->count++] = file;
    return 0;
}

struct file_scan {
    const struct hs_gallery *gallery;
    struct hs_gallery_backups *files;
    char folder[PATH_MAX], prefix[PATH_MAX]; /* folder and name prefix of set-aside files */
    bool unfinished;                         /* look for backups in progress: ".<name>.copy" */
    bool others;                             /* another gallery has files in the folder */
    struct hs_error *err;
};

static int add_backup(void *arg, const char *name)
{
    struct file_scan *file_scan = arg;
    const struct hs_gallery *gallery = file_scan->gallery;
    struct hs_gallery_backup file = { .path = NULL };
    char whole[NAME_MAX + 1], uid[HS_GALLERY_UID_SIZE];
    if (file_scan->unfinished) {
        if (name[0] != '.' || !hs_str_starts(name + 1, backup_prefix) || !hs_str_ends(name, ".copy"))
            return 0;
        hs_str_copy_n(whole, sizeof(whole), name + 1, strlen(name) - 1 - strlen(".copy"));
        name = whole;
    }
    if (!read_backup_name(name, &file, uid))
        return 0;
    if (!uid[0] || strcmp(uid, gallery->uid) == 0)
        return append_file(file_scan->files, gallery->backup_dir, name, file, file_scan->unfinished, file_scan->err);
    file_scan->others = true;
    return 0;
}

static int add_set_aside(void *arg, const char *name)
{
    struct file_scan *file_scan = arg;
    struct hs_gallery_backup file = { .set_aside = true, .number = INT64_MIN };
    const char *stamp = name + strlen(file_scan->prefix);
    if (!hs_str_starts(name, file_scan->prefix) || !read_stamp(stamp, file.created_at) ||
        !read_rest(stamp + STAMP_LEN, ""))
        return 0;
    return append_file(file_scan->files, file_scan->folder, name, file, false, file_scan->err);
}

/* Orders newest first. Backups without numbers are ordered by time, and within a second by "-n",
 * which is higher if the name is longer or compares greater. */
static int compare_files(const void *pa, const void *pb)
{
    const struct hs_gallery_backup *a = pa, *b = pb;
    if (a->number != b->number)
        return a->number < b->number ? 1 : -1;
    int by_time = strcmp(b->created_at, a->created_at);
    if (by_time)
        return by_time;
    size_t la = strlen(a->path), lb = strlen(b->path);
    return la != lb ? (la < lb ? 1 : -1) : strcmp(b->path, a->path);
}

/* Removes duplicate paths, and in a shared folder backups without a number. */
static void filter_files(struct hs_gallery_backups *files, bool shared)
{
    size_t kept = 0;
    for (size_t i = 0; i < files->count; i++) {
        struct hs_gallery_backup *file = &files->items[i];
        bool twice = kept > 0 && strcmp(files->items[kept - 1].path, file->path) == 0;
        if (twice || (shared && !file->set_aside && file->number <= 0))
            free(file->path);
        else
            files->items[kept++] = *file;
    }
    files->count = kept;
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

int hs_gallery_find_files(const struct hs_gallery *gallery, bool unfinished, struct hs_gallery_backups **ret_files,
                          struct hs_error *err)
{
    struct file_scan file_scan = { .gallery = gallery, .unfinished = unfinished, .err = err };
    if (!hs_path_parent(file_scan.folder, PATH_MAX, gallery->path) ||
        !hs_str_format(file_scan.prefix, PATH_MAX, "%s%s", hs_path_base(gallery->path), corrupt_mark))
        return hs_error_set(err, HS_EINVAL, "the path is too long: %s", gallery->path);
    file_scan.files = calloc(1, sizeof(*file_scan.files));
    if (!file_scan.files)
        return hs_gallery_no_memory(err);
    /* Unfinished backups are listed first, so that a backup which completes meanwhile is found at
     * least once. */
    int r = gallery->backup_dir && unfinished ? for_each_name(gallery->backup_dir, add_backup, &file_scan, err) : 0;
    file_scan.unfinished = false;
    if (gallery->backup_dir && r == 0)
        r = for_each_name(gallery->backup_dir, add_backup, &file_scan, err);
    if (r == 0 || r == HS_ENOTFOUND)
        r = for_each_name(file_scan.folder, add_set_aside, &file_scan, err);
    if (r < 0) {
        hs_gallery_backups_destroy(file_scan.files);
        return r;
    }
    if (file_scan.files->count > 0)
        qsort(file_scan.files->items, file_scan.files->count, sizeof(*file_scan.files->items), compare_files);
    filter_files(file_scan.files, file_scan.others);
    *ret_files = file_scan.files;
    return 0;
}

int hs_gallery_next_backup(const struct hs_gallery *gallery, char ret_name[HS_GALLERY_BACKUP_NAME_SIZE],
                           struct hs_error *err)
{
    struct hs_gallery_backups *files;
    char stamp[HS_GALLERY_STAMP_SIZE];
    int r = hs_gallery_find_files(gallery, false, &files, err);
    if (r < 0)
        return r;
    int64_t newest = files->count > 0 && files->items[0].number > 0 ? files->items[0].number : 0;
    hs_gallery_backups_destroy(files);
    hs_gallery_stamp(stamp);
    hs_str_format(ret_name, HS_GALLERY_BACKUP_NAME_SIZE, "%s%06lld-%s-%s%s", backup_prefix, (long long) newest + 1,
                  stamp, gallery->uid, backup_suffix);
    return 0;
}

/* ---- finding the uid of a damaged file ---- */

struct search {
    struct hs_gallery *gallery;
    const uint8_t *data;
    size_t len;
};

static int scan_for_uid(void *arg, const char *name)
{
    struct search *search = arg;
    struct hs_gallery_backup file;
    char uid[HS_GALLERY_UID_SIZE];
    if (!read_backup_name(name, &file, uid) || !uid[0] || !memmem(search->data, search->len, uid, UID_LEN))
        return 0;
    hs_str_copy(search->gallery->uid, sizeof(search->gallery->uid), uid);
    return 1;
}

void hs_gallery_find_uid(struct hs_gallery *gallery, const char *damaged)
{
    struct stat st;
    int fd = gallery->backup_dir ? open(damaged, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *data = fstat(fd, &st) == 0 && st.st_size > 0 ? mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)
                                                       : MAP_FAILED;
    close(fd);
    if (data == MAP_FAILED)
        return;
    struct search search = { gallery, data, (size_t) st.st_size };
    for_each_name(gallery->backup_dir, scan_for_uid, &search, NULL);
    munmap(data, (size_t) st.st_size);
}

int hs_gallery_delete_file(const struct hs_gallery_backup *file, struct hs_error *err)
{
    if (unlink(file->path) < 0 && errno != ENOENT)
        return hs_gallery_file_error(file->path, err);
    if (file->set_aside)
        hs_gallery_delete_database(file->path);
    return 0;
}
