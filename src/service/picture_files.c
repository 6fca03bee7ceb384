#include "service/picture_files.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

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

/* Adds the pictures of a folder, sorted by name, without those that begin with a point. `name` NULL: those of the
 * folders in it, each under its folder's name. */
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
                r = hs_error_set(err, HS_EINVAL, "%s/%s: the path is too long", folder, entry);
            else if (is_folder(path))
                r = name ? 0 : add_folder(files, entry, path, err);
            else if (name && is_picture_name(entry))
                r = append(files, name, path, err);
        }
        free(entries[i]);
    }
    free(entries);
    return r;
}

int hs_picture_files_add(struct hs_picture_files *files, const char *name, const char *path, struct hs_error *err)
{
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
