/* Picture files that a command line names, by themselves or by their folders. */
#ifndef HS_SERVICE_PICTURE_FILES_H
#define HS_SERVICE_PICTURE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "cli/program.h"
#include "hs/status.h"

/* Reads a picture that a command line names: a file, a named pipe or a device (/dev/stdin, <(…)) to its end, or
 * standard input, called "-". At most `max` bytes. The caller frees *ret_data with free(). HS_ENOTFOUND, HS_ETOOLARGE,
 * HS_EIO, HS_ENOMEM; messages begin with the path. */
int hs_picture_read(const char *path, size_t max, uint8_t **ret_data, size_t *ret_len, struct hs_error *err);

/* A path, or a text with one in it, for an answer: JSON has only UTF-8, and other bytes become U+FFFD. A new reference;
 * NULL without memory. */
json_t *hs_system_text_json(const char *text);

/* How a command prints an answer for each picture, one a line. */
struct hs_picture_answers {
    bool json, jsonl; /* its options */
    bool named;       /* each answer holds its picture's path as `file`, in UTF-8 */
};

/* The rows of a command's options that fill `answers`. */
#define HS_PICTURE_ANSWERS_OPTIONS(answers)                                                                            \
    HS_FLAG("json", &(answers)->json, "print the API's answers, with their pictures' names if there are several"),     \
        HS_FLAG("jsonl", &(answers)->jsonl, "the same, always with the names")

/* Settles what the options mean for so many pictures; `named_by_default` if neither is given. False: both are, which
 * the call has been told. */
bool hs_picture_answers_settle(struct hs_picture_answers *answers, const struct hs_invocation *call,
                               bool named_by_default, int *ret_code);

/* Adds the path to an answer if it is to be named. Takes and gives the reference; NULL is passed through, and comes
 * without memory. */
json_t *hs_picture_answers_name(const struct hs_picture_answers *answers, json_t *answer, const char *path);

/* The same, and prints it as hs_print_json does. Takes the reference; NULL means that there was no memory. */
int hs_picture_answers_print(const struct hs_picture_answers *answers, json_t *answer, const char *path,
                             enum hs_json_style style, struct hs_error *err);

/* A picture, and the name of its identity or "". Texts are owned. */
struct hs_picture_file {
    char *name, *path;
};

struct hs_picture_files {
    struct hs_picture_file *items;
    size_t count, capacity;
};

/* Adds a file, or the picture files of a folder (jpg, jpeg, png, webp, bmp; in the order of their names, without
 * folders and pipes inside it). HS_EINVAL for a pipe or a device, which could be read only once; HS_ENOTFOUND, HS_EIO,
 * HS_ENOMEM. */
int hs_picture_files_add(struct hs_picture_files *files, const char *name, const char *path, struct hs_error *err);

/* Adds the pictures of each folder in `folder`, whose name is that of the identity. HS_EINVAL: there are none. */
int hs_picture_files_add_tree(struct hs_picture_files *files, const char *folder, struct hs_error *err);
void hs_picture_files_finish(struct hs_picture_files *files);

#endif
