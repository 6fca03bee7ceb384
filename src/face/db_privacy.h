/* Actions of `db` for the audit log, the time of expiry and the erasure of a person with proof. */
#ifndef HS_FACE_DB_PRIVACY_H
#define HS_FACE_DB_PRIVACY_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/program.h"
#include "gallery/gallery.h"

/* The options of these actions; NULL, false or 0: not given. */
struct hs_face_db_privacy {
    const struct hs_invocation *call;
    struct hs_gallery *gallery;
    bool json;
    const char *since, *until, *action; /* audit: only these entries; `until` also of retain */
    int64_t days;                       /* retain */
    bool forever, by_default;           /* retain */
    const char *proof;                  /* forget */
};

/* Each prints its report and returns an exit code, or a negative status with *err set. */

/* what: "verify", "show" or "export"; `path` (NULL: none) is the file of an export, "-" for standard output. A broken
 * or incomplete log is HS_EXIT_FAILURE. */
int hs_face_db_audit(const struct hs_face_db_privacy *db, const char *what, const char *path, struct hs_error *err);

int hs_face_db_retain(const struct hs_face_db_privacy *db, const char *name, struct hs_error *err);

/* HS_EXIT_FAILURE also if the person is erased, but something of them was found. */
int hs_face_db_forget(const struct hs_face_db_privacy *db, const char *name, struct hs_error *err);

#endif
