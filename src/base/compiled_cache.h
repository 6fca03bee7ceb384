/* A cache of compiled models on disk, for runtimes that write and read their own files in a folder. The cache provides
 * one folder per model, runtime and settings, stores a checksum of the file that the runtime wrote there, and verifies
 * it before the runtime reads the file again.
 *
 * An entry is the folder <cache>/<model file>.<runtime>.<model>.<settings>, the last three as 16 hexadecimal digits of
 * a hash. It contains one *.blob and the file `sum`. A blob that does not match its sum, or has none because the write
 * was interrupted, is deleted. At most HS_COMPILED_ENTRIES_MAX entries with HS_COMPILED_BYTES_MAX bytes in total stay;
 * the least recently used ones are evicted. Entries of another runtime, or of another file with the same name, are
 * evicted regardless of these limits. Other files in the cache's folder stay untouched. */
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
    const char *runtime;  /* all other inputs of the compilation: version, processor */
    const char *settings; /* the settings of the compilation */
};

struct hs_compiled_entry;

/* Opens and locks the entry, makes its folder and verifies its blob. *ret_damaged (untouched on failure) is true if the
 * entry was unusable and its files were deleted. HS_EBUSY: another program compiles this model; HS_EIO: also if the
 * disk has no room for a compiled model; HS_ENOMEM: the entry's files stay. After an error the model is compiled
 * without a cache. Caller frees with hs_compiled_close. */
int hs_compiled_open(const struct hs_compiled_key *key, struct hs_compiled_entry **ret_entry, bool *ret_damaged,
                     struct hs_error *err);

/* Returns the folder for the runtime, borrowed from the entry. */
const char *hs_compiled_dir(const struct hs_compiled_entry *entry);

/* Closes and frees the entry. With `keep`, syncs the blob that the runtime wrote, writes its checksum and evicts other
 * entries down to the cache's limits; without it, deletes the entry's folder. NULL allowed. */
void hs_compiled_close(struct hs_compiled_entry *entry, bool keep);

struct hs_compiled_stats {
    int entries, damaged; /* damaged is counted only with `verify` */
    uint64_t bytes;
};

/* Counts the entries of a model file (its name without folders). `verify` also reads and verifies every blob. A
 * missing cache folder counts as empty. */
void hs_compiled_stats(const char *cache, const char *model_file, bool verify, struct hs_compiled_stats *ret_stats);

/* Deletes the entries of a model file, except those that another program has locked. Returns the bytes deleted. */
uint64_t hs_compiled_remove(const char *cache, const char *model_file);

#endif
