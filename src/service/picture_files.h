/* Picture files that a command line names, by themselves or by their folders. */
#ifndef HS_SERVICE_PICTURE_FILES_H
#define HS_SERVICE_PICTURE_FILES_H

#include <stddef.h>

#include "hs/status.h"

/* A picture, and the name of its identity or "". Texts are owned. */
struct hs_picture_file {
    char *name, *path;
};

struct hs_picture_files {
    struct hs_picture_file *items;
    size_t count, capacity;
};

/* Adds a file, or the pictures of a folder (jpg, jpeg, png, webp, bmp; in the order of their names, without folders
 * inside it). HS_ENOTFOUND, HS_EIO, HS_ENOMEM. */
int hs_picture_files_add(struct hs_picture_files *files, const char *name, const char *path, struct hs_error *err);

/* Adds the pictures of each folder in `folder`, whose name is that of the identity. HS_EINVAL: there are none. */
int hs_picture_files_add_tree(struct hs_picture_files *files, const char *folder, struct hs_error *err);
void hs_picture_files_finish(struct hs_picture_files *files);

#endif
