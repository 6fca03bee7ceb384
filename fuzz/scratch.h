/* Files for targets whose subject reads or writes by path. */
#ifndef HS_FUZZ_SCRATCH_H
#define HS_FUZZ_SCRATCH_H

#include <stddef.h>
#include <stdint.h>

enum { HS_FUZZ_PATH_SIZE = 32 };

/* A file of that name in a new folder of this process, in memory where that is to be had. The folder goes with the
 * process. The text stays valid. */
const char *hs_fuzz_scratch(const char *name);

/* A nameless file in memory with these bytes; ret_path names it until the caller closes the descriptor. */
int hs_fuzz_memory_file(const void *data, size_t len, char ret_path[HS_FUZZ_PATH_SIZE]);

#endif
