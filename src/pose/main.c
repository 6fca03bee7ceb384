#include "base/mem.h"
#include "cli/cmd_backends.h"
#include "pose/commands.h"

static const struct hs_command commands[] = {
    { "serve", "", "answer over HTTP", hs_pose_cmd_serve },
    { "detect", "PICTURE...", "find people in pictures, without a server", hs_pose_cmd_detect },
    { "eval", "", "keypoint AP over a COCO annotations file", hs_pose_cmd_eval },
    { "bench", "[PICTURE...]", "measure the stages here, or a server", hs_pose_cmd_bench },
    { "compare-devices", "PICTURE|FOLDER...", "whether two devices find the same people", hs_pose_cmd_compare_devices },
    { "models", "list|pull|verify|import|remove", "model files", hs_pose_cmd_models },
    { "backends", "list|build", "what runs networks; and the Hailo's module, built on its machine", hs_cmd_backends },
    { "config", "render|check|show|reference|example", "settings", hs_pose_cmd_config },
    { "selftest", "", "what this machine has and whether the model runs on it", hs_pose_cmd_selftest },
};

static const struct hs_program program = {
    .name = "hailo-pose",
    .summary = "people and their keypoints in pictures",
    .version = HS_VERSION,
    .commands = commands,
    .command_count = HS_ARRAY_LEN(commands),
};

int main(int argc, char **argv)
{
    return hs_program_main(&program, argc, argv);
}
