/* Counts the entries of a folder: test files, or this process's threads and descriptors. */
#ifndef HS_TESTS_ENTRIES_H
#define HS_TESTS_ENTRIES_H

#include "unit.h"

#include <dirent.h>
#include <time.h>

static inline int count_entries(const char *folder)
{
    int count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* The kernel, and qemu-user even later, removes a thread only after pthread_join has returned: waits up to a second
 * until at most `expected` threads are left. */
static inline int count_threads(int expected)
{
    int count = count_entries("/proc/self/task");
    for (int i = 0; i < 1000 && count > expected; i++) {
        nanosleep(&(struct timespec) { .tv_nsec = 1000000 }, NULL);
        count = count_entries("/proc/self/task");
    }
    return count;
}

static inline int count_descriptors(void)
{
    return count_entries("/proc/self/fd");
}

#endif
