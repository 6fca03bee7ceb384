#include "base/mem.h"
#include "cli/program.h"
#include "pose/app.h"
#include "service/openapi.h"
#include "service/route_docs.h"

static const struct hs_example detect_examples[] = {
    { "detect .deps/samples/bus.jpg --models .deps/models", "Find the people in a picture" },
    { "detect .deps/samples/bus.jpg --models .deps/models --draw people.jpg", "Draw them into a copy of the picture" },
    { "detect .deps/samples/*.jpg --models .deps/models --jsonl", "Print one line of JSON for each of many pictures" },
};
static const struct hs_command detect = {
    .name = "detect",
    .arguments = "PICTURE|FOLDER…",
    .summary = "Find people in pictures",
    .run = hs_pose_cmd_detect,
    HS_EXAMPLES(detect_examples),
};

static const struct hs_command *const commands[] = {
    &hs_command_serve,    &detect,          &hs_pose_command_eval, &hs_command_bench,  &hs_pose_command_compare_devices,
    &hs_command_models,   &hs_command_keys, &hs_command_backends,  &hs_command_config, &hs_command_openapi,
    &hs_command_selftest,
};

static const struct hs_app_model models[] = {
    { .task = HS_TASK_POSE,
      .name = "pose-estimation",
      .label = "pose",
      .role = "pose",
      .setting = "model.name",
      .batch = 1,
      .free_size = true,
      .border = HS_LETTERBOX_BORDER },
};

static const struct hs_app app = {
    .program = {
        .name = "hailo-pose",
        .summary = "Find people and their keypoints in pictures",
        .version = HS_VERSION,
        .schema = &hs_pose_schema,
        .app = &app,
        .commands = commands,
        .command_count = HS_ARRAY_LEN(commands),
    },
    .models = models,
    .model_count = HS_ARRAY_LEN(models),
    .exposure_warning = "use this service",
    .state_size = sizeof(struct hs_pose_app),
    .init = hs_pose_app_init,
    .revise = hs_pose_app_revise,
    .routes = hs_pose_routes,
    .route_count = &hs_pose_route_count,
    .error_object = &hs_object_error,
    .bench = &hs_pose_bench,
    .check_picture = hs_pose_check_picture,
};

int main(int argc, char **argv)
{
    return hs_program_main(&app.program, argc, argv);
}
