#include "backends/openvino/blob_pages.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/str.h"

/* A line of /proc/self/maps: "7f00a000-7f00b000 r--p 00000000 fe:00 123   /path/of/a.blob" (proc(5)). */
static bool read_line(char *line, uintptr_t *ret_start, uintptr_t *ret_end, const char **ret_path)
{
    char *end;
    uintmax_t first = strtoumax(line, &end, 16);
    if (*end != '-')
        return false;
    uintmax_t last = strtoumax(end + 1, &end, 16);
    const char *path = strchr(end, '/');
    line[strcspn(line, "\n")] = '\0';
    *ret_start = (uintptr_t) first;
    *ret_end = (uintptr_t) last;
    *ret_path = path;
    return path && last > first;
}

void hs_openvino_release_blobs(const char *cache_dir)
{
    FILE *maps = cache_dir ? fopen("/proc/self/maps", "re") : NULL;
    char *folder = maps ? realpath(cache_dir, NULL) : NULL;
    char *line = NULL;
    size_t capacity = 0;
    while (folder && getline(&line, &capacity, maps) > 0) {
        uintptr_t start, end;
        const char *path;
        if (read_line(line, &start, &end, &path) && hs_str_starts(path, folder) && path[strlen(folder)] == '/')
            madvise((void *) start, end - start, MADV_PAGEOUT); /* an older kernel refuses: then it stays as it is */
    }
    free(line);
    free(folder);
    if (maps)
        fclose(maps);
}
