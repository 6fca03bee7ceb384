#include "preflight/sysfs_read.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

bool hs_sysfs_path(char dst[HS_SYSFS_PATH], const char *root, const char *dir, const char *name)
{
    return hs_str_format(dst, HS_SYSFS_PATH, "%s%s%s%s", root, dir, name ? "/" : "", name ? name : "");
}

bool hs_sysfs_text(const char *root, const char *dir, const char *name, char *dst, size_t size)
{
    char path[HS_SYSFS_PATH];
    dst[0] = '\0';
    int fd = hs_sysfs_path(path, root, dir, name) ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    if (fd < 0)
        return false;
    ssize_t len = read(fd, dst, size - 1);
    close(fd);
    while (len > 0 && (dst[len - 1] == '\0' || strchr(" \t\r\n", dst[len - 1])))
        len--;
    dst[len > 0 ? len : 0] = '\0';
    return len >= 0;
}

void hs_sysfs_folder(const char *root, const char *dir, void (*each)(const char *name, void *arg), void *arg)
{
    char path[HS_SYSFS_PATH];
    struct dirent **entries;
    int count = hs_sysfs_path(path, root, dir, NULL) ? scandir(path, &entries, NULL, alphasort) : -1;
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.')
            each(entries[i]->d_name, arg);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

bool hs_sysfs_link(const char *root, const char *dir, const char *name, char *dst, size_t size)
{
    char path[HS_SYSFS_PATH];
    ssize_t len = hs_sysfs_path(path, root, dir, name) ? readlink(path, dst, size - 1) : -1;
    dst[len > 0 ? len : 0] = '\0';
    return len > 0;
}

/* "hailo0" with "hailo": a number follows the prefix, and nothing else. */
static bool numbered(const char *name, const char *prefix)
{
    if (!hs_str_starts(name, prefix))
        return false;
    const char *number = name + strlen(prefix);
    size_t len = strspn(number, "0123456789");
    return len > 0 && len < 6 && number[len] == '\0';
}

bool hs_sysfs_is_node(const char *path)
{
    static const char dev[] = "/dev/";
    return hs_str_starts(path, dev) && (numbered(path + sizeof(dev) - 1, "hailo") ||
                                        numbered(path + sizeof(dev) - 1, "h1x-"));
}
