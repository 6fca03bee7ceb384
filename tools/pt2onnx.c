/* Converts a pose checkpoint to ONNX during the build. A separate program that needs no settings and no model store. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "convert/pt2onnx.h"

static const char usage[] = "usage: pt2onnx CHECKPOINT.pt OUTPUT.onnx [--sigmoid] [--decoded]\n";
static const char help[] =
    "Converts an Ultralytics YOLOv8 or YOLO11 pose checkpoint to ONNX. No code from the checkpoint is executed.\n  "
    "--sigmoid  write class outputs as probabilities, as in a Hailo HEF\n  --decoded  add output0, in the layout of "
    "Ultralytics' export\n  --help     print this help\n";

static int fail_usage(const char *why, const char *what)
{
    fprintf(stderr, "%spt2onnx: %s%s\n", usage, why, what);
    return 2;
}

static int convert(const char *checkpoint, const char *output, const struct hs_pt2onnx_options *options)
{
    struct hs_error err;
    struct stat st;
    char sha256[65];
    if (hs_pt2onnx_convert(checkpoint, output, options, NULL, &err) < 0 || hs_file_sha256(output, sha256, &err) < 0) {
        fprintf(stderr, "pt2onnx: %s\n", err.message);
        return 1;
    }
    if (stat(output, &st) < 0) {
        perror("pt2onnx");
        return 1;
    }
    printf("%s: %lld bytes, sha256 %s\n", output, (long long) st.st_size, sha256);
    return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *paths[2] = { NULL, NULL };
    int count = 0;
    struct hs_pt2onnx_options options = { false, false };
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            printf("%s\n%s", usage, help);
            return 0;
        }
        if (strcmp(argv[i], "--sigmoid") == 0)
            options.sigmoid = true;
        else if (strcmp(argv[i], "--decoded") == 0)
            options.decoded = true;
        else if (argv[i][0] == '-' && argv[i][1] != '\0')
            return fail_usage("unknown option: ", argv[i]);
        else if (count == 2)
            return fail_usage("too many arguments: ", argv[i]);
        else
            paths[count++] = argv[i];
    }
    if (count < 2)
        return fail_usage("a checkpoint and an output file are required", "");
    return convert(paths[0], paths[1], &options);
}
