#include "scratch.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char folder[64];

static void remove_folder(void)
{
    char path[400];
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(path);
    }
    if (dir)
        closedir(dir);
    rmdir(folder);
}

static void make_folder(void)
{
    static const char *const parents[] = { "/dev/shm", "/tmp" };
    for (size_t i = 0; i < sizeof(parents) / sizeof(parents[0]); i++) {
        snprintf(folder, sizeof(folder), "%s/hs-fuzz-XXXXXX", parents[i]);
        if (mkdtemp(folder)) {
            atexit(remove_folder);
            return;
        }
    }
    abort();
}

const char *hs_fuzz_scratch(const char *name)
{
    static char path[128];
    if (!folder[0])
        make_folder();
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

int hs_fuzz_memory_file(const void *data, size_t len, char ret_path[HS_FUZZ_PATH_SIZE])
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, len) != (ssize_t) len)
        abort();
    snprintf(ret_path, HS_FUZZ_PATH_SIZE, "/proc/self/fd/%d", fd);
    return fd;
}
