/* Writes scripts for the simulated device. Each script is in a new file that lasts as long as the
 * process, so its state and its call counts start from the beginning. */
#ifndef HS_TESTS_SIM_SCRIPT_H
#define HS_TESTS_SIM_SCRIPT_H

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../unit.h"

/* Returns the path of a file with this text, valid until as many other files were made as `paths` holds. */
static inline const char *sim_script(const char *yaml)
{
    static char paths[256][40];
    static size_t next;
    int fd = memfd_create("script", MFD_CLOEXEC);
    char *path = paths[next++ % 256];
    assert_true(fd >= 0);
    assert_int_equal(write(fd, yaml, strlen(yaml)), strlen(yaml));
    snprintf(path, sizeof(paths[0]), "/proc/self/fd/%d", fd);
    return path;
}

#endif
