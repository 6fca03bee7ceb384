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
 * its end, or standard input as "-". At most `max` bytes. Caller frees *ret_data with free().
 * HS_ENOTFOUND, HS_ETOOLARGE, HS_EIO, HS_ENOMEM; messages begin with the path. */
int hs_picture_read(const char *path, size_t max, uint8_t **ret_data, size_t *ret_len, struct hs_error *err);

/* Returns a path, or a text that contains one, as JSON. Bytes that are not UTF-8 become U+FFFD,
 * because JSON allows only UTF-8. Returns a new reference; NULL if memory runs out. */
json_t *hs_system_text_json(const char *text);

/* How a command prints the answers, one picture per line. */
struct hs_picture_answers {
    bool json, jsonl; /* the command-line options */
    bool named;       /* each answer has the picture's path as `file`, in UTF-8 */
};

/* The option rows that fill `answers`. */
#define HS_PICTURE_ANSWERS_OPTIONS(answers)                                                                            \
    HS_FLAG("json", &(answers)->json, "print the API's answers, with their pictures' names if there are several"),     \
        HS_FLAG("jsonl", &(answers)->jsonl, "the same, always with the names")

/* Sets `named` from the options and the number of pictures; `named_by_default` applies if neither
 * option is given. Returns false if both are given, after reporting it as a usage error. */
bool hs_picture_answers_settle(struct hs_picture_answers *answers, const struct hs_invocation *call,
                               bool named_by_default, int *ret_code);

/* Adds the path to an answer if `named` is set. Takes and returns the reference. Returns NULL if
 * `answer` is NULL or memory runs out. */
json_t *hs_picture_answers_name(const struct hs_picture_answers *answers, json_t *answer, const char *path);

/* Does the same, then prints the answer as hs_print_json does. Takes the reference; NULL is reported as HS_ENOMEM. */
int hs_picture_answers_print(const struct hs_picture_answers *answers, json_t *answer, const char *path,
                             enum hs_json_style style, struct hs_error *err);

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
void hs_picture_files_finish(struct hs_picture_files *files);

#endif
