/* Pictures named on a command line, directly or by folder. */
#ifndef HS_SERVICE_PICTURE_FILES_H
#define HS_SERVICE_PICTURE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "cli/program.h"
#include "hs/status.h"

/* Reads a picture named on a command line: a file, a named pipe or a device (/dev/stdin, <(…)) to
 * its end, or standard input as "-". A folder is one without pictures. At most `max` bytes. Caller frees *ret_data with
 * free(). HS_ENOTFOUND, HS_ETOOLARGE, HS_EIO, HS_ENOMEM; messages begin with the path. */
int hs_picture_read(const char *path, size_t max, uint8_t **ret_data, size_t *ret_len, struct hs_error *err);

/* Returns a path, or a text that contains one, as JSON. Bytes that are not UTF-8 become U+FFFD,
 * because JSON allows only UTF-8. Returns a new reference; NULL if memory runs out. */
json_t *hs_system_text_json(const char *text);

/* A picture, and the name of its identity or "". Both texts are owned. */
struct hs_picture_file {
    char *name, *path;
};

struct hs_picture_files {
    struct hs_picture_file *items;
    size_t count, capacity;
};

/* Adds a file, or the picture files in a folder (jpg, jpeg, png, webp, bmp), sorted by name,
 * without subfolders and pipes. HS_EINVAL for a pipe or a device, because these can be read only
 * once; HS_ENOTFOUND, HS_EIO, HS_ENOMEM. */
int hs_picture_files_add(struct hs_picture_files *files, const char *name, const char *path, struct hs_error *err);

/* Adds the pictures of each folder in `folder`; each subfolder's name is that of the identity.
 * HS_EINVAL if there are none. */
int hs_picture_files_add_tree(struct hs_picture_files *files, const char *folder, struct hs_error *err);

/* Adds each word of a command line: a folder as hs_picture_files_add does; the picture files that match a pattern
 * ("*.jpg") unless a file has that name; any other word as it is. A folder or pattern without pictures is added as it
 * is, and hs_picture_read then reports it. HS_ENOMEM. */
int hs_picture_files_expand(struct hs_picture_files *files, const struct hs_text_list *words, struct hs_error *err);

void hs_picture_files_finish(struct hs_picture_files *files);

#endif
