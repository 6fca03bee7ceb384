/* Runs a fuzz target on all files and folders named on the command line, with any compiler. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int run_file(const char *path)
{
    struct hs_error err;
    uint8_t *data;
    size_t len;
    if (hs_file_read(path, 64u << 20, &data, &len, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    /* An exact copy, so that a sanitizer detects a read past the end. */
    uint8_t *exact = malloc(len ? len : 1);
    if (exact) {
        memcpy(exact, data, len);
        LLVMFuzzerTestOneInput(exact, len);
    }
    free(exact);
    free(data);
    return exact ? 0 : 1;
}

int main(int argc, char **argv)
{
    int count = 0, failed = 0;
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        if (!dir) {
            failed += run_file(argv[i]);
            count++;
            continue;
        }
        struct dirent *entry;
        while ((entry = readdir(dir))) {
            char path[4096];
            if (entry->d_name[0] == '.' || !hs_path_join(path, sizeof(path), argv[i], entry->d_name))
                continue;
            failed += run_file(path);
            count++;
        }
        closedir(dir);
    }
    printf("%d inputs, %d could not be read\n", count, failed);
    return count == 0 || failed ? 1 : 0;
}
