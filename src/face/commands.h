/* The subcommands of hailo-face; each lives in the cmd_<name>.c of its name. */
#ifndef HS_FACE_COMMANDS_H
#define HS_FACE_COMMANDS_H

#include "cli/load_settings.h"
#include "cli/program.h"
#include "face/app.h"

/* Detectors take the built-in drawing (service/figure.h) for a face with this little confidence. */
#define HS_FACE_FIGURE_SCORE .15f

int hs_face_cmd_serve(struct hs_invocation *call);
int hs_face_cmd_db(struct hs_invocation *call);
int hs_face_cmd_look(struct hs_invocation *call); /* detect, embed, recognize, compare */
int hs_face_cmd_eval(struct hs_invocation *call);
int hs_face_cmd_bench(struct hs_invocation *call);
int hs_face_cmd_compare_devices(struct hs_invocation *call);
int hs_face_cmd_selftest(struct hs_invocation *call);
int hs_face_cmd_models(struct hs_invocation *call);
int hs_face_cmd_config(struct hs_invocation *call);

/* hs_load_settings for this program; the log is set up as they say. HS_EXIT_OK, or the exit code to end with. Caller
 * frees with hs_settings_destroy. */
int hs_face_load_settings(const struct hs_invocation *call, const struct hs_config_override *extra, size_t extra_count,
                          struct hs_settings **ret_settings);

/* The same, put together: an app with its networks, for commands that work through given pictures; with the gallery or
 * without (which is not backed up: this is no start of the service). HS_EXIT_OK, or the exit code to end with. The
 * caller finishes it. */
int hs_face_start_app(const struct hs_invocation *call, bool gallery, struct hs_face_app *ret_app);

#endif
