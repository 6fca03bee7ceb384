/* Reads /dev, /sys and /proc below a root folder. */
#ifndef HS_PREFLIGHT_SYSFS_READ_H
#define HS_PREFLIGHT_SYSFS_READ_H

#include <stdbool.h>
#include <stddef.h>

enum { HS_SYSFS_PATH = 512 };

/* root + dir + "/" + name; false if it does not fit. `name` may be NULL. */
bool hs_sysfs_path(char dst[HS_SYSFS_PATH], const char *root, const char *dir, const char *name);

/* The start of a file without trailing white space and zeros; false (and "") if it cannot be read. */
bool hs_sysfs_text(const char *root, const char *dir, const char *name, char *dst, size_t size);

/* Calls `each` for the names in a folder, in their order. */
void hs_sysfs_folder(const char *root, const char *dir, void (*each)(const char *name, void *arg), void *arg);

/* The target of a link, cut at size; false (and "") if it cannot be read. */
bool hs_sysfs_link(const char *root, const char *dir, const char *name, char *dst, size_t size);

/* /dev/hailo0, /dev/h1x-0. */
bool hs_sysfs_is_node(const char *path);

#endif
