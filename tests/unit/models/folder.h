/* A temporary folder for each test, and files in it. */
#ifndef HS_TESTS_FOLDER_H
#define HS_TESTS_FOLDER_H

#include <ftw.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

/* Returns the path of a name. The last eight results stay valid. */
static inline const char *folder_path(const char *folder, const char *name)
{
    static char paths[8][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 8];
    assert_true(hs_path_join(path, PATH_MAX, folder, name));
    return path;
}

static inline void folder_write(const char *folder, const char *name, const void *data, size_t len)
{
    assert_int_equal(hs_file_write_atomic(folder_path(folder, name), data, len, 0644, NULL), 0);
}

static inline bool folder_has(const char *folder, const char *name)
{
    return hs_file_exists(folder_path(folder, name));
}

static inline bool folder_holds(const char *folder, const char *name, const void *data, size_t len)
{
    uint8_t *found = NULL;
    size_t found_len = 0;
    bool same = hs_file_read(folder_path(folder, name), 1 << 20, &found, &found_len, NULL) == 0 && found_len == len &&
                memcmp(found, data, len) == 0;
    free(found);
    return same;
}

static inline int folder_remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void) st;
    (void) type;
    (void) ftw;
    return remove(path);
}

/* Setup and teardown of a test; *state is the folder. */
static inline int folder_make(void **state)
{
    char *folder = strdup("/tmp/hs-models-XXXXXX");
    if (!folder || !mkdtemp(folder))
        return -1;
    *state = folder;
    return 0;
}

static inline int folder_remove(void **state)
{
    int failed = nftw(*state, folder_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return failed;
}

/* Runs each test in its own empty folder. */
#define FOLDER_TEST(test) cmocka_unit_test_setup_teardown(test, folder_make, folder_remove)

#endif
