/* Actions of `db` for the encryption of the gallery and for tests of its backups. */
#ifndef HS_FACE_DB_ENCRYPTION_H
#define HS_FACE_DB_ENCRYPTION_H

#include "cli/program.h"
#include "face/settings.h"
#include "gallery/encryption.h"

/* Borrowed during a call. */
struct hs_face_db_encryption {
    const struct hs_invocation *call;
    struct hs_gallery *gallery;
    const struct hs_database_section *settings;
    const char *new_key; /* rotate: source of the new key; NULL: the key stays */
    bool reencrypt;      /* rotate: also encrypt all vectors again */
    bool json;
};

/* Each prints its report and returns an exit code, or a negative status with *err set. *ret_changed: vectors or keys
 * were changed, so older backups no longer match. */
int hs_face_db_encrypt(const struct hs_face_db_encryption *db, bool *ret_changed, struct hs_error *err);
int hs_face_db_decrypt(const struct hs_face_db_encryption *db, bool *ret_changed, struct hs_error *err);
int hs_face_db_rotate(const struct hs_face_db_encryption *db, bool *ret_changed, struct hs_error *err);

/* Verifies the named backups; without names the newest one. HS_EXIT_FAILURE if one of them is not good. */
int hs_face_db_verify(const struct hs_face_db_encryption *db, const char *const *backups, size_t count,
                      struct hs_error *err);

/* `key generate FILE`. Needs no gallery. */
int hs_face_db_generate_key(const struct hs_invocation *call, const char *path);

/* Describes the encryption of the gallery; `sealed` and `plain` are from its audit. The JSON has the members of
 * docs/face.md. hs_face_print_encryption prints nothing if it is off. */
int hs_face_encryption_json(struct hs_gallery *gallery, int64_t sealed, int64_t plain, json_t **ret_json,
                            struct hs_error *err);
int hs_face_print_encryption(struct hs_gallery *gallery, int64_t plain, struct hs_error *err);

#endif
