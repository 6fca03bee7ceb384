/* The part of `db` that looks at pictures. */
#ifndef HS_FACE_CMD_DB_ADD_H
#define HS_FACE_CMD_DB_ADD_H

#include "face/commands.h"
#include "face/enrol.h"
#include "service/picture_files.h"

struct hs_db_add_options {
    const char *gate; /* a word of hs_enrol_gates; NULL: as configured */
    bool json;
};

/* Adds the files and prints what became of them. Gives the exit code: HS_EXIT_FAILURE also if one was refused or it
 * was interrupted; what was added stays. */
int hs_face_db_add(struct hs_invocation *call, const struct hs_picture_files *files,
                   const struct hs_db_add_options *options);

#endif
