/* Counts the entries of a folder: test files, or this process's threads and descriptors. */
#ifndef HS_TESTS_ENTRIES_H
#define HS_TESTS_ENTRIES_H

#include "unit.h"

#include <dirent.h>

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

static inline int count_descriptors(void)
{
    return count_entries("/proc/self/fd");
}

#endif
