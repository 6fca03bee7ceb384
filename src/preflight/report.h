/* What is to be said of a Hailo device, a line each, with what to do: from what the host shows and what HailoRT said.
 * Plain functions of their arguments. */
#ifndef HS_PREFLIGHT_REPORT_H
#define HS_PREFLIGHT_REPORT_H

#include "hs/status.h"
#include "preflight/host.h"

enum { HS_PREFLIGHT_LINES = 32 };

/* What the backend said. Zeros and "" stand for what is not known. */
struct hs_preflight_runtime {
    struct hs_error module; /* code 0: the backend's module is open; else why it is not */
    char version[32];       /* of the library, "5.1.1" */
    int devices;            /* that HailoRT finds */
    char device_id[64];     /* of the first one */
    bool opened;
    struct hs_error open; /* where it was tried, and not opened: why */
    char firmware[32];
};

struct hs_preflight_line {
    char name[16];
    bool ok;
    char detail[400];
    char mend[300]; /* what to do; "": nothing */
};

struct hs_preflight_report {
    size_t count;
    struct hs_preflight_line lines[HS_PREFLIGHT_LINES];
};

/* Whether anything at all of a Hailo is on this machine: a board, a node, a driver, or a device that HailoRT finds. */
bool hs_preflight_present(const struct hs_host *host, const struct hs_preflight_runtime *runtime);

/* In this order: node, access, driver, library, firmware (and whether the three are of one version), pcie, users. Where
 * nothing of a Hailo is here and none is `wanted`, one line says so and is no failure. */
void hs_preflight_tell(const struct hs_host *host, const struct hs_preflight_runtime *runtime, bool wanted,
                       struct hs_preflight_report *ret_report);

/* The first line that is a failure; NULL: all is well. */
const struct hs_preflight_line *hs_preflight_failure(const struct hs_preflight_report *report);

#endif
