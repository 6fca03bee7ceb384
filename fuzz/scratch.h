/* Temporary files for targets whose code reads or writes by path. */
#ifndef HS_FUZZ_SCRATCH_H
#define HS_FUZZ_SCRATCH_H

#include <stddef.h>
#include <stdint.h>

enum { HS_FUZZ_PATH_SIZE = 32 };

/* Returns the path of a file with that name in a new folder of this process, in /dev/shm if possible. The
 * folder is removed at exit. The string is static and changes with the next call. */
const char *hs_fuzz_scratch(const char *name);

/* Creates an unnamed file in memory with these bytes and returns its descriptor. ret_path refers to it until
 * the caller closes the descriptor. */
int hs_fuzz_memory_file(const void *data, size_t len, char ret_path[HS_FUZZ_PATH_SIZE]);

#endif
