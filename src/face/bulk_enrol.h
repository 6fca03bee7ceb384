/* Picture files into the gallery, one after the other: `db add` and `db import FOLDER`. */
#ifndef HS_FACE_BULK_ENROL_H
#define HS_FACE_BULK_ENROL_H

#include "face/enrol.h"
#include "service/picture_files.h"

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

/* Looks at one file and adds it. Fails (and says so in err) only if going on makes no sense: the gallery or a
 * network failed. The file's SHA-256 is kept with the vector. */
int hs_face_add_file(const struct hs_face_app *app, const struct hs_picture_file *file, enum hs_enrol_gate gate,
                     struct hs_face_add_result *ret_result, struct hs_error *err);

#endif
