/* Finds a Hailo device in /dev, /sys and /proc, without HailoRT, so that it works if HailoRT is missing.
 *
 * All paths are below a root folder: "" for the real one. The environment variable HS_HOST_ROOT names another one, for
 * tests on machines without a device. */
#ifndef HS_PREFLIGHT_HOST_H
#define HS_PREFLIGHT_HOST_H

#include <stdbool.h>
#include <stddef.h>

enum { HS_HOST_NODES = 16, HS_HOST_BOARDS = 16, HS_HOST_LIBRARIES = 8, HS_HOST_HOLDERS = 16, HS_HOST_NAME = 64 };

/* /dev/hailo0 up to driver 5.2, /dev/h1x-0 from 5.3 on. */
struct hs_host_node {
    char path[HS_HOST_NAME];
    bool usable; /* this user may open it for reading and writing */
    char owner[HS_HOST_NAME], group[HS_HOST_NAME];
    unsigned mode; /* permission bits */
};

struct hs_host_board {
    char address[HS_HOST_NAME]; /* "0000:01:00.0" */
    unsigned device;            /* PCI id, such as HS_HOST_HAILO_10H */
    char driver[HS_HOST_NAME];  /* driver bound to it; "": none */
    double speed_gts;           /* link speed in GT/s; 0: unknown */
    int lanes;
    int generation; /* of PCIe, 1..6; 0: unknown */
};

enum { HS_HOST_HAILO_8 = 0x2864, HS_HOST_HAILO_10H = 0x45c4 };

struct hs_host_library {
    char version[32]; /* "5.1.1", from the file name libhailort.so.5.1.1 */
    char folder[256];
};

struct hs_host_holder {
    int pid;
    char command[HS_HOST_NAME];
    char node[HS_HOST_NAME];
};

/* Entries beyond the array sizes are left out. */
struct hs_host {
    size_t node_count, board_count, library_count, holder_count;
    struct hs_host_node nodes[HS_HOST_NODES];
    struct hs_host_board boards[HS_HOST_BOARDS];
    struct hs_host_library libraries[HS_HOST_LIBRARIES];
    struct hs_host_holder holders[HS_HOST_HOLDERS]; /* other processes that have a node open */
    int unreadable;                                 /* processes whose descriptors this user may not read */
    char module[HS_HOST_NAME];                      /* kernel module, "hailo1x_pci"; "": none is loaded */
    char module_version[32];                        /* "": unknown */
    char device_class[HS_HOST_NAME];                /* "hailo_chardev", from 5.3 on "hailo1x"; "": none */
    char user[HS_HOST_NAME];                        /* effective user of this process */
    char model[80];                                 /* "Raspberry Pi 5 Model B Rev 1.0"; "": unknown */
};

/* Returns the value of HS_HOST_ROOT, or "". */
const char *hs_host_root(void);

/* Reads everything. Never fails: an unreadable entry counts as absent. Any thread. */
void hs_host_inspect(const char *root, struct hs_host *ret_host);

/* Parts of hs_host_inspect: read the machine's model, and find HailoRT's libraries in the folders that the loader
 * searches. */
void hs_host_model(const char *root, char *dst, size_t size);
void hs_host_find_libraries(const char *root, struct hs_host *host);
void hs_host_find_libraries_in(const char *root, const char *folder, struct hs_host *host); /* appends to the list */

/* Explains the loader's message about a missing HailoRT library: the library, the versions that are installed, and the
 * fix. Returns false if the message has another cause. */
bool hs_host_explain_library(const char *root, const char *message, char *dst, size_t size);

#endif
