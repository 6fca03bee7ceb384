/* A cache of compiled models on disk, for runtimes that write and read their own files in a folder. The cache gives the
 * runtime a folder of its own for each model, runtime and setting, seals what it wrote there with a hash, and
 * compares that before the runtime reads it again.
 *
 * An entry is the folder <cache>/<model file>.<runtime>.<model>.<settings>, the last three as 16 hexadecimal digits of
 * a hash, with one *.blob and the file `sum`. A blob that differs from its sum, or has none because the writer did not
 * get that far, is deleted. At most HS_COMPILED_ENTRIES_MAX entries of HS_COMPILED_BYTES_MAX stay, those used last;
 * entries of another runtime, or of another file under the same name, go first. Nothing else in the cache's folder is
 * touched. */
#ifndef HS_BASE_COMPILED_CACHE_H
#define HS_BASE_COMPILED_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "hs/status.h"

enum { HS_COMPILED_ENTRIES_MAX = 24 };
#define HS_COMPILED_BYTES_MAX (UINT64_C(1) << 30)

struct hs_compiled_key {
    const char *cache;    /* folder; exists and is writable */
    const char *model;    /* path of the model file, which is read and hashed */
    const char *runtime;  /* all that a compiled model depends on beside the model: version, processor */
    const char *settings; /* and the settings that it was compiled with */
};

struct hs_compiled_entry;

/* Opens and locks the entry, makes its folder and compares what is in it. *ret_damaged (untouched on failure): there
 * was something that could not be used; it has been deleted. HS_EBUSY: another program compiles this model; HS_EIO:
 * also if the disk has no room for a compiled model; HS_ENOMEM: what is there stays. Then the model is compiled without
 * a cache. The caller calls hs_compiled_close. */
int hs_compiled_open(const struct hs_compiled_key *key, struct hs_compiled_entry **ret_entry, bool *ret_damaged,
                     struct hs_error *err);

/* The folder for the runtime, borrowed. */
const char *hs_compiled_dir(const struct hs_compiled_entry *entry);

/* `keep`: the runtime could use the folder; what it wrote is synced and sealed, and the cache is brought within its
 * bounds. Else the entry is deleted. Frees the entry. NULL allowed. */
void hs_compiled_close(struct hs_compiled_entry *entry, bool keep);

struct hs_compiled_sum {
    int entries, damaged; /* damaged: only if they were verified */
    uint64_t bytes;
};

/* The entries of a model file (its name without folders). `verify` reads and compares all of it. A cache that is
 * not there has nothing. */
void hs_compiled_sum(const char *cache, const char *model_file, bool verify, struct hs_compiled_sum *ret_sum);

/* Deletes that, except for what another program compiles at the moment. Gives the bytes deleted. */
uint64_t hs_compiled_remove(const char *cache, const char *model_file);

#endif
