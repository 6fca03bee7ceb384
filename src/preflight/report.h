/* Reports on a Hailo device: one line per check, with a fix, from the state of the host and the results of HailoRT.
 * The functions depend only on their arguments. */
#ifndef HS_PREFLIGHT_REPORT_H
#define HS_PREFLIGHT_REPORT_H

#include "hs/status.h"
#include "preflight/host.h"

enum { HS_PREFLIGHT_LINES = 32 };

/* Results of the backend. Zeros and "" mean unknown. */
struct hs_preflight_runtime {
    struct hs_error module; /* code 0: the backend's module is open; else why it is not */
    char version[32];       /* of the library, "5.1.1" */
    int devices;            /* number of devices that HailoRT finds */
    char device_id[64];     /* of the first one */
    bool opened;
    struct hs_error open; /* why opening failed; code 0: not tried */
    char firmware[32];
};

struct hs_preflight_line {
    char name[16];
    bool ok;
    char detail[400];
    char fix[300]; /* how to fix it; "": none */
};

struct hs_preflight_report {
    size_t count;
    struct hs_preflight_line lines[HS_PREFLIGHT_LINES];
};

/* Returns true if this machine has a Hailo board, node or driver, or a device that HailoRT finds. */
bool hs_preflight_present(const struct hs_host *host, const struct hs_preflight_runtime *runtime);

/* Writes the report in this order: node, access, driver, library, firmware (and if the three versions match), pcie,
 * users. On a machine without a Hailo device, if it is not `wanted`, the report is a single line, which is not a
 * failure. */
void hs_preflight_check(const struct hs_host *host, const struct hs_preflight_runtime *runtime, bool wanted,
                        struct hs_preflight_report *ret_report);

/* Returns the first line that is a failure, borrowed; NULL if there is none. */
const struct hs_preflight_line *hs_preflight_failure(const struct hs_preflight_report *report);

#endif
