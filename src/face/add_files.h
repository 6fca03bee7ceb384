/* Picture files into the gallery, one after the other: `db add` and `db import FOLDER`. */
#ifndef HS_FACE_ADD_FILES_H
#define HS_FACE_ADD_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "face/enrol.h"

/* A picture of somebody. Texts are owned. */
struct hs_face_file {
    char *name, *path;
};

struct hs_face_files {
    struct hs_face_file *items;
    size_t count, capacity;
};

/* Adds a file, or the pictures of a folder (jpg, jpeg, png, webp, bmp; in the order of their names, without folders
 * inside it). HS_ENOTFOUND, HS_EIO, HS_ENOMEM. */
int hs_face_files_add(struct hs_face_files *files, const char *name, const char *path, struct hs_error *err);

/* Adds the pictures of each folder in `folder`, whose name is that of the identity. HS_EINVAL: there is none. */
int hs_face_files_add_tree(struct hs_face_files *files, const char *folder, struct hs_error *err);
void hs_face_files_finish(struct hs_face_files *files);

enum hs_face_add_state {
    HS_FACE_ADDED,
    HS_FACE_PRESENT, /* this very file was added to this identity before */
    HS_FACE_REFUSED,
};

struct hs_face_add_result {
    enum hs_face_add_state state;
    char code[HS_ENROL_CODE_SIZE]; /* of a refusal, the first of them: "no_face", "multiple_faces", "not_a_picture"… */
    char reason[300];
};

/* Looks at one file and adds it. Fails (and says so in err) only where going on makes no sense: the gallery or a
 * network failed. The file's SHA-256 is kept with the vector. */
int hs_face_add_file(const struct hs_face_app *app, const struct hs_face_file *file, enum hs_enrol_gate gate,
                     struct hs_face_add_result *ret_result, struct hs_error *err);

#endif
