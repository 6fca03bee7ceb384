#include "preflight/look.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

bool hs_look_path(char dst[HS_LOOK_PATH], const char *root, const char *dir, const char *name)
{
    return hs_str_format(dst, HS_LOOK_PATH, "%s%s%s%s", root, dir, name ? "/" : "", name ? name : "");
}

bool hs_look_text(const char *root, const char *dir, const char *name, char *dst, size_t size)
{
    char path[HS_LOOK_PATH];
    dst[0] = '\0';
    int fd = hs_look_path(path, root, dir, name) ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    if (fd < 0)
        return false;
    ssize_t len = read(fd, dst, size - 1);
    close(fd);
    while (len > 0 && (dst[len - 1] == '\0' || strchr(" \t\r\n", dst[len - 1])))
        len--;
    dst[len > 0 ? len : 0] = '\0';
    return len >= 0;
}

void hs_look_folder(const char *root, const char *dir, void (*each)(const char *name, void *arg), void *arg)
{
    char path[HS_LOOK_PATH];
    struct dirent **entries;
    int count = hs_look_path(path, root, dir, NULL) ? scandir(path, &entries, NULL, alphasort) : -1;
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.')
            each(entries[i]->d_name, arg);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

bool hs_look_numbered(const char *name, const char *prefix)
{
    if (!hs_str_starts(name, prefix))
        return false;
    const char *number = name + strlen(prefix);
    size_t len = strspn(number, "0123456789");
    return len > 0 && len < 6 && number[len] == '\0';
}

bool hs_look_is_node(const char *path)
{
    static const char dev[] = "/dev/";
    return hs_str_starts(path, dev) && (hs_look_numbered(path + sizeof(dev) - 1, "hailo") ||
                                        hs_look_numbered(path + sizeof(dev) - 1, "h1x-"));
}
