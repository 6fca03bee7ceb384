/* The parts of hailo-pose: its state, commands and HTTP API. */
#ifndef HS_POSE_APP_H
#define HS_POSE_APP_H

#include "pose/pipeline.h"
#include "pose/settings.h"
#include "service/app.h"

struct hs_pose_app {
    struct hs_app_core core;                 /* must be the first member */
    const struct hs_pose_settings *settings; /* the values of core.config */
    struct hs_model_pool *pool;              /* the configured model, from core.caches[0] */
};

/* hs_app.init of hailo-pose. */
int hs_pose_app_init(void *state, struct hs_error *err);

/* hs_app.revise of hailo-pose. */
void hs_pose_app_revise(void *state);

/* Returns the configured parameters of a picture, without a deadline. */
struct hs_pose_params hs_pose_app_params(const struct hs_pose_app *app);

/* Reads a file and runs hs_pose_detect on it with the configured model. Messages name the file. */
int hs_pose_app_detect_file(const struct hs_pose_app *app, const char *path, const struct hs_pose_params *params,
                            struct hs_pose_result *result, struct hs_error *err);

/* The subcommands, and the program's parts of `bench` and `selftest`. */
int hs_pose_cmd_detect(struct hs_invocation *call);
extern const struct hs_command hs_pose_command_eval, hs_pose_command_compare_devices;
extern const struct hs_app_bench hs_pose_bench;
int hs_pose_check_picture(struct hs_selftest *test, const void *state, const struct hs_buf *picture,
                          struct hs_error *err);

/* The server's context is a struct hs_pose_app. */
extern const struct hs_http_route hs_pose_routes[];
extern const size_t hs_pose_route_count;

#endif
