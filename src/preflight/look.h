/* Reading below a root folder; what the files of this folder share. */
#ifndef HS_PREFLIGHT_LOOK_H
#define HS_PREFLIGHT_LOOK_H

#include <stdbool.h>
#include <stddef.h>

enum { HS_LOOK_PATH = 512 };

/* root + dir + "/" + name; false where it does not fit. `name` may be NULL. */
bool hs_look_path(char dst[HS_LOOK_PATH], const char *root, const char *dir, const char *name);

/* The file's beginning without white space, zeros and line ends behind it; false (and "") where it cannot be read. */
bool hs_look_text(const char *root, const char *dir, const char *name, char *dst, size_t size);

/* Calls `each` for the names in a folder, in their order. */
void hs_look_folder(const char *root, const char *dir, void (*each)(const char *name, void *arg), void *arg);

/* "hailo0" with "hailo": a number follows the prefix, and nothing else. */
bool hs_look_numbered(const char *name, const char *prefix);

/* /dev/hailo0, /dev/h1x-0. */
bool hs_look_is_node(const char *path);

#endif
