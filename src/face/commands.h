/* The subcommands of hailo-face that are its own; each lives in the cmd_<name>.c of its name. */
#ifndef HS_FACE_COMMANDS_H
#define HS_FACE_COMMANDS_H

#include "face/app.h"

/* Detectors take the built-in drawing (service/test_image.h) for a face with this little confidence. */
#define HS_FACE_TEST_IMAGE_SCORE .15f

int hs_face_cmd_db(struct hs_invocation *call);
int hs_face_cmd_pictures(struct hs_invocation *call); /* detect, embed, recognize, compare */
int hs_face_cmd_eval(struct hs_invocation *call);
int hs_face_cmd_compare_devices(struct hs_invocation *call);

/* Its parts of `bench` and `selftest`. */
extern const struct hs_app_bench hs_face_bench;
void hs_face_check_gallery(struct hs_selftest *test, const void *settings);
int hs_face_check_picture(struct hs_selftest *test, const void *state, const struct hs_buf *picture,
                          struct hs_error *err);

#endif
