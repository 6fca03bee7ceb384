#include "service/picture_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json_build.h"
#include "base/mem.h"
#include "base/str.h"

/* ---- one picture ---- */

/* Reads a file of any type to its end. */
static int read_stream(int fd, const char *path, struct hs_buf *buf, struct hs_error *err)
{
    uint8_t piece[65536];
    for (;;) {
        ssize_t n = read(fd, piece, sizeof(piece));
        if (n == 0)
            return 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return hs_error_set(err, HS_EIO, "%s: %s", path, strerror(errno));
        int r = hs_buf_append(buf, piece, (size_t) n);
        if (r == HS_ETOOLARGE)
            return hs_error_set(err, r, "%s: more than %zu bytes, the limit of server.max_body_mb", path, buf->max);
        if (r < 0)
            return hs_error_set(err, r, "%s: no memory for %zu bytes", path, buf->len);
    }
}

static bool is_pattern(const char *path)
{
    return strpbrk(path, "*?[") != NULL;
}

int hs_picture_read(const char *path, size_t max, uint8_t **ret_data, size_t *ret_len, struct hs_error *err)
{
    struct stat st;
    bool input = strcmp(path, "-") == 0, found = !input && stat(path, &st) == 0;
    if (found && S_ISDIR(st.st_mode) && access(path, R_OK | X_OK) == 0)
        return hs_error_set(err, HS_ENOTFOUND, "%s: the folder contains no JPEG, PNG, WebP or BMP", path);
    if (found && S_ISREG(st.st_mode))
        return hs_file_read(path, max, ret_data, ret_len, err);
    int fd = input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && is_pattern(path))
        return hs_error_set(err, HS_ENOTFOUND, "%s: no JPEG, PNG, WebP or BMP matches", path);
    if (fd < 0)
        return hs_error_set(err, errno == ENOENT || errno == ENOTDIR ? HS_ENOTFOUND : HS_EIO, "%s: %s", path,
                            strerror(errno));
    struct hs_buf buf;
    hs_buf_init(&buf, max);
    int r = read_stream(fd, path, &buf, err);
    if (!input)
        close(fd);
    if (r == 0)
        *ret_data = hs_buf_take(&buf, ret_len);
    hs_buf_finish(&buf);
    return r;
}

json_t *hs_system_text_json(const char *text)
{
    size_t len = strlen(text);
    struct hs_buf utf8;
    hs_buf_init(&utf8, 3 * len + 1);
    for (size_t at = 0, n; at < len; at += n ? n : 1) {
        n = hs_utf8_sequence(text + at, len - at);
        hs_buf_append(&utf8, n ? text + at : "\xef\xbf\xbd", n ? n : 3);
    }
    json_t *value = hs_buf_error(&utf8) ? NULL : json_stringn(utf8.len ? (const char *) utf8.data : "", utf8.len);
    hs_buf_finish(&utf8);
    return value;
}

/* ---- several ---- */

static int append(struct hs_picture_files *files, const char *name, const char *path, struct hs_error *err)
{
    if (!HS_ARRAY_RESERVE(files->items, files->capacity, files->count + 1))
        return hs_error_set(err, HS_ENOMEM, "no memory for %zu files", files->count + 1);
    struct hs_picture_file file = { .name = strdup(name), .path = strdup(path) };
    if (!file.name || !file.path) {
        free(file.name);
        free(file.path);
        return hs_error_set(err, HS_ENOMEM, "no memory for %s", path);
    }
    files->items[files->count++] = file;
    return 0;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_pipe_or_device(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

static bool is_picture_name(const char *name)
{
    static const char *const endings[] = { "jpg", "jpeg", "png", "webp", "bmp" };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < HS_ARRAY_LEN(endings); i++) {
        if (hs_str_equal_nocase(dot + 1, endings[i]))
            return true;
    }
    return false;
}

/* Adds the pictures of a folder, sorted by name, except those whose name begins with a dot. If
 * `name` is NULL, adds the pictures of each subfolder under the subfolder's name. */
static int add_folder(struct hs_picture_files *files, const char *name, const char *folder, struct hs_error *err)
{
    struct dirent **entries;
    char path[PATH_MAX];
    int count = scandir(folder, &entries, NULL, alphasort), r = 0;
    if (count < 0)
        return hs_error_set(err, errno == ENOENT ? HS_ENOTFOUND : HS_EIO, "%s: %s", folder, strerror(errno));
    for (int i = 0; i < count; i++) {
        const char *entry = entries[i]->d_name;
        if (r == 0 && entry[0] != '.') {
            if (!hs_path_join(path, sizeof(path), folder, entry))
                r = hs_error_set(err, HS_EINVAL, "the path is too long: %s/%s", folder, entry);
            else if (is_folder(path))
                r = name ? 0 : add_folder(files, entry, path, err);
            else if (name && is_picture_name(entry) && !is_pipe_or_device(path))
                r = append(files, name, path, err);
        }
        free(entries[i]);
    }
    free(entries);
    return r;
}

int hs_picture_files_add(struct hs_picture_files *files, const char *name, const char *path, struct hs_error *err)
{
    if (is_pipe_or_device(path))
        return hs_error_set(err, HS_EINVAL, "%s: not a regular file", path);
    return is_folder(path) ? add_folder(files, name, path, err) : append(files, name, path, err);
}

int hs_picture_files_add_tree(struct hs_picture_files *files, const char *folder, struct hs_error *err)
{
    int r = add_folder(files, NULL, folder, err);
    if (r == 0 && files->count == 0)
        r = hs_error_set(err, HS_EINVAL, "%s: contains no folder with pictures. Make one folder for each name.",
                         folder);
    return r;
}

/* Adds the picture files that match; a pattern that cannot be expanded adds nothing. */
static int add_matches(struct hs_picture_files *files, const char *pattern, struct hs_error *err)
{
    glob_t matches;
    int r = 0, found = glob(pattern, 0, NULL, &matches);
    if (found == GLOB_NOSPACE)
        r = hs_error_set(err, HS_ENOMEM, "no memory to expand %s", pattern);
    for (size_t i = 0; r == 0 && found == 0 && i < matches.gl_pathc; i++) {
        const char *path = matches.gl_pathv[i];
        if (is_picture_name(path) && !is_folder(path) && !is_pipe_or_device(path))
            r = append(files, "", path, err);
    }
    globfree(&matches);
    return r;
}

static int add_word(struct hs_picture_files *files, const char *word, struct hs_error *err)
{
    struct stat st;
    size_t before = files->count;
    int r = 0;
    if (is_folder(word))
        r = add_folder(files, "", word, err);
    else if (is_pattern(word) && lstat(word, &st) < 0)
        r = add_matches(files, word, err);
    if (r == HS_ENOMEM)
        return r;
    return r < 0 || files->count == before ? append(files, "", word, err) : 0;
}

int hs_picture_files_expand(struct hs_picture_files *files, const struct hs_text_list *words, struct hs_error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < words->count; i++)
        r = add_word(files, words->items[i], err);
    return r;
}

void hs_picture_files_finish(struct hs_picture_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        free(files->items[i].name);
        free(files->items[i].path);
    }
    free(files->items);
    *files = (struct hs_picture_files) { 0 };
}
