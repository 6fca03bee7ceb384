#include "faults.h"

#include <errno.h>
#include <sqlite3.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "../alloc_fail.h"

static long left[3]; /* calls until the failure; 0: none pending. alloc_fail.c counts allocations. */
static bool failed;
static enum fault armed;

static bool fails(enum fault fault)
{
    if (left[fault] == 0 || --left[fault] > 0)
        return false;
    failed = true;
    errno = EIO;
    return true;
}

void faults_arm(enum fault fault, long nth)
{
    failed = false;
    armed = fault;
    if (fault == FAULT_ALLOCATION)
        hs_alloc_fail_arm((int) nth);
    else
        left[fault] = nth;
}

bool faults_disarm(void)
{
    bool allocation_failed = hs_alloc_fail_disarm();
    left[FAULT_DISK] = left[FAULT_LOCK] = 0;
    return armed == FAULT_ALLOCATION ? allocation_failed : failed;
}

int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);

int __wrap_flock(int fd, int operation)
{
    return fails(FAULT_LOCK) ? -1 : __real_flock(fd, operation);
}

/* ---- SQLite's allocator ---- */

static sqlite3_mem_methods real_memory;

static void *faulty_malloc(int size)
{
    return hs_alloc_fails() ? NULL : real_memory.xMalloc(size);
}

static void *faulty_realloc(void *old, int size)
{
    return hs_alloc_fails() ? NULL : real_memory.xRealloc(old, size);
}

/* ---- SQLite's files ---- */

struct faulty_file {
    sqlite3_file base;
    sqlite3_file *real;
};

static sqlite3_vfs *real_vfs;

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((struct faulty_file *) file)->real;
}

/* Methods that only forward the call. */
#define PASS(name, parameters, arguments)                                                                              \
    static int faulty_##name parameters                                                                                \
    {                                                                                                                  \
        sqlite3_file *real = real_of(file);                                                                            \
        return real->pMethods->name arguments;                                                                         \
    }

/* Methods that fail with `code` when the counter reaches zero. */
#define FAIL(name, code, parameters, arguments)                                                                        \
    static int faulty_##name parameters                                                                                \
    {                                                                                                                  \
        sqlite3_file *real = real_of(file);                                                                            \
        return fails(FAULT_DISK) ? code : real->pMethods->name arguments;                                              \
    }

PASS(xRead, (sqlite3_file * file, void *data, int len, sqlite3_int64 at), (real, data, len, at))
FAIL(xWrite, SQLITE_IOERR_WRITE, (sqlite3_file * file, const void *data, int len, sqlite3_int64 at),
     (real, data, len, at))
FAIL(xTruncate, SQLITE_IOERR_TRUNCATE, (sqlite3_file * file, sqlite3_int64 size), (real, size))
FAIL(xSync, SQLITE_IOERR_FSYNC, (sqlite3_file * file, int flags), (real, flags))
PASS(xFileSize, (sqlite3_file * file, sqlite3_int64 *ret), (real, ret))
PASS(xLock, (sqlite3_file * file, int level), (real, level))
PASS(xUnlock, (sqlite3_file * file, int level), (real, level))
PASS(xCheckReservedLock, (sqlite3_file * file, int *ret), (real, ret))
PASS(xFileControl, (sqlite3_file * file, int op, void *arg), (real, op, arg))
PASS(xSectorSize, (sqlite3_file * file), (real))
PASS(xDeviceCharacteristics, (sqlite3_file * file), (real))
PASS(xShmMap, (sqlite3_file * file, int page, int size, int extend, void volatile **ret),
     (real, page, size, extend, ret))
PASS(xShmLock, (sqlite3_file * file, int at, int n, int flags), (real, at, n, flags))
PASS(xShmUnmap, (sqlite3_file * file, int remove), (real, remove))

static void faulty_xShmBarrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int faulty_xClose(sqlite3_file *file)
{
    return real_of(file)->pMethods->xClose(real_of(file));
}

static const sqlite3_io_methods faulty_methods = {
    .iVersion = 2,
    .xClose = faulty_xClose,
    .xRead = faulty_xRead,
    .xWrite = faulty_xWrite,
    .xTruncate = faulty_xTruncate,
    .xSync = faulty_xSync,
    .xFileSize = faulty_xFileSize,
    .xLock = faulty_xLock,
    .xUnlock = faulty_xUnlock,
    .xCheckReservedLock = faulty_xCheckReservedLock,
    .xFileControl = faulty_xFileControl,
    .xSectorSize = faulty_xSectorSize,
    .xDeviceCharacteristics = faulty_xDeviceCharacteristics,
    .xShmMap = faulty_xShmMap,
    .xShmLock = faulty_xShmLock,
    .xShmBarrier = faulty_xShmBarrier,
    .xShmUnmap = faulty_xShmUnmap,
};

static int faulty_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    (void) vfs;
    struct faulty_file *faulty = (struct faulty_file *) file;
    faulty->real = (sqlite3_file *) (faulty + 1);
    int code = real_vfs->xOpen(real_vfs, name, faulty->real, flags, ret_flags);
    file->pMethods = faulty->real->pMethods ? &faulty_methods : NULL;
    return code;
}

void faults_install(void)
{
    static sqlite3_mem_methods memory;
    static sqlite3_vfs vfs;
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory);
    memory = real_memory;
    memory.xMalloc = faulty_malloc;
    memory.xRealloc = faulty_realloc;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &memory);
    real_vfs = sqlite3_vfs_find(NULL);
    vfs = *real_vfs;
    vfs.zName = FAULTY_VFS;
    vfs.szOsFile += (int) sizeof(struct faulty_file);
    vfs.xOpen = faulty_open;
    sqlite3_vfs_register(&vfs, 0);
}
