/* The subcommands specific to hailo-face; each is defined in cmd_<name>.c. */
#ifndef HS_FACE_COMMANDS_H
#define HS_FACE_COMMANDS_H

#include "face/app.h"

/* Minimum score for the built-in drawing (service/test_image.h), which detectors accept as a face
 * with low confidence. */
#define HS_FACE_TEST_IMAGE_SCORE .15f

int hs_face_cmd_pictures(struct hs_invocation *call); /* detect, embed, recognize, compare */
extern const struct hs_command hs_face_command_db, hs_face_command_eval, hs_face_command_compare_devices;

/* The face service's parts of `bench` and `selftest`. */
extern const struct hs_app_bench hs_face_bench;
void hs_face_check_gallery(struct hs_selftest *test, const void *settings);
int hs_face_check_picture(struct hs_selftest *test, const void *state, const struct hs_buf *picture,
                          struct hs_error *err);

#endif
