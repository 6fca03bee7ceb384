#include "base/mem.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

bool hs_array_reserve(void *items, size_t *capacity, size_t need, size_t item_size)
{
    if (need <= *capacity)
        return true;
    size_t wanted = need > 8 ? need : 8, doubled, size;
    if (hs_size_mul(*capacity, 2, &doubled) && doubled > wanted)
        wanted = doubled;
    void *old;
    memcpy(&old, items, sizeof(old)); /* `items` points to a pointer of any type */
    void *larger = hs_size_mul(wanted, item_size, &size) ? realloc(old, size) : NULL;
    if (!larger)
        return false;
    memcpy(items, &larger, sizeof(larger));
    *capacity = wanted;
    return true;
}

void hs_mem_free_wiped(void *data, size_t size)
{
    if (data)
        sodium_memzero(data, size);
    free(data);
}

void hs_mem_forbid_dumps(void)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit) { 0 });
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    prctl(PR_SET_DUMPABLE, 0);
#endif
}

int64_t hs_mem_resident(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long long pages = 0; /* the second number in the file, see proc(5) */
    if (!file)
        return 0;
    int skipped = fscanf(file, "%*d %lld", &pages);
    fclose(file);
    return skipped == 1 ? (int64_t) pages * sysconf(_SC_PAGESIZE) : 0;
}
