#include "base/mem.h"
#include "cli/program.h"
#include "pose/app.h"

static const struct hs_command commands[] = {
    { "serve", "", "answer over HTTP", hs_cmd_serve },
    { "detect", "PICTURE...", "find people in pictures, without a server", hs_pose_cmd_detect },
    { "eval", "--coco FILE --images DIR", "keypoint AP over a COCO annotations file", hs_pose_cmd_eval },
    { "bench", "[PICTURE...]", "measure the stages here, or a server", hs_cmd_bench },
    { "compare-devices", "PICTURE|FOLDER...", "whether two devices find the same people", hs_pose_cmd_compare_devices },
    { "models", "list|pull|verify|import|remove", "model files", hs_cmd_models },
    { "backends", "list|build", "what runs networks; and the Hailo's module, built on its machine", hs_cmd_backends },
    { "config", "render|check|show|reference|example", "settings", hs_cmd_config },
    { "selftest", "", "what this machine has and whether the model runs on it", hs_cmd_selftest },
};

static const struct hs_app_model models[] = {
    { .task = HS_TASK_POSE,
      .name = "pose-estimation",
      .label = "pose",
      .role = "pose",
      .setting = "model.name",
      .batch = 1,
      .sized = true,
      .border = HS_LETTERBOX_BORDER },
};

static const struct hs_app app = {
    .program = {
        .name = "hailo-pose",
        .summary = "people and their keypoints in pictures",
        .version = HS_VERSION,
        .schema = &hs_pose_schema,
        .app = &app,
        .commands = commands,
        .command_count = HS_ARRAY_LEN(commands),
    },
    .models = models,
    .model_count = HS_ARRAY_LEN(models),
    .strangers_may = "use this service",
    .state_size = sizeof(struct hs_pose_app),
    .init = hs_pose_app_init,
    .routes = hs_pose_routes,
    .route_count = &hs_pose_route_count,
    .bench = &hs_pose_bench,
    .check_picture = hs_pose_check_picture,
};

int main(int argc, char **argv)
{
    return hs_program_main(&app.program, argc, argv);
}
