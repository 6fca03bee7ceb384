#include "service/picture_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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
            return hs_error_set(err, r, "%s: more than %zu bytes, which are the most that is read", path, buf->max);
        if (r < 0)
            return hs_error_set(err, r, "%s: no memory for %zu bytes", path, buf->len);
    }
}

int hs_picture_read(const char *path, size_t max, uint8_t **ret_data, size_t *ret_len, struct hs_error *err)
{
    struct stat st;
    bool input = strcmp(path, "-") == 0;
    if (!input && stat(path, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
        return hs_file_read(path, max, ret_data, ret_len, err);
    int fd = input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
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

bool hs_picture_answers_settle(struct hs_picture_answers *answers, const struct hs_invocation *call,
                               bool named_by_default, int *ret_code)
{
    if (answers->json && answers->jsonl) {
        *ret_code = hs_invocation_fail(call, HS_EXIT_USAGE, "--json and --jsonl exclude each other");
        return false;
    }
    answers->named = answers->jsonl || call->words.count > 1 || (named_by_default && !answers->json);
    return true;
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

json_t *hs_picture_answers_name(const struct hs_picture_answers *answers, json_t *answer, const char *path)
{
    return answers->named ? hs_json_with_member(answer, "file", hs_system_text_json(path)) : answer;
}

int hs_picture_answers_print(const struct hs_picture_answers *answers, json_t *answer, const char *path,
                             enum hs_json_style style, struct hs_error *err)
{
    return hs_print_json(hs_picture_answers_name(answers, answer, path), style, err);
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
        r = hs_error_set(err, HS_EINVAL,
                         "%s: there is no folder with pictures in it; one folder for each name is wanted", folder);
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
