#include "base/mem.h"
#include "cli/cmd_backends.h"
#include "face/commands.h"

static const struct hs_command commands[] = {
    { "serve", "", "answer over HTTP", hs_face_cmd_serve },
    { "detect", "PICTURE...", "find faces in pictures, without a server", hs_face_cmd_look },
    { "embed", "PICTURE...", "the vector of the best face", hs_face_cmd_look },
    { "recognize", "PICTURE...", "whose faces they are", hs_face_cmd_look },
    { "compare", "PICTURE PICTURE", "whether the best faces of two pictures are one person's", hs_face_cmd_look },
    { "db", "ACTION [NAME]...", "the gallery: list, show, add, rename, merge, remove, backup, restore, check, import",
      hs_face_cmd_db },
    { "eval", "", "how well people are told apart, over labelled pairs of pictures", hs_face_cmd_eval },
    { "bench", "[PICTURE...]", "measure the stages here, or a server", hs_face_cmd_bench },
    { "compare-devices", "PICTURE|FOLDER...", "whether two devices find the same faces and make the same vectors",
      hs_face_cmd_compare_devices },
    { "models", "list|pull|verify|import|remove", "model files", hs_face_cmd_models },
    { "backends", "list|build", "what runs networks; and the Hailo's module, built on its machine", hs_cmd_backends },
    { "config", "render|check|show|reference|example", "settings", hs_face_cmd_config },
    { "selftest", "", "what this machine has and whether the models run on it", hs_face_cmd_selftest },
};

static const struct hs_program program = {
    .name = "hailo-face",
    .summary = "faces in pictures, and whose they are",
    .version = HS_VERSION,
    .commands = commands,
    .command_count = HS_ARRAY_LEN(commands),
};

int main(int argc, char **argv)
{
    return hs_program_main(&program, argc, argv);
}
