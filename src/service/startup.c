#include "service/startup.h"

#include <stdio.h>

#include "base/log.h"
#include "base/str.h"
#include "preflight/host.h"

void hs_startup_error(const char *what, const char *solution)
{
    fprintf(stderr, "Error: %s\n→ Solution: %s\n", what, solution);
}

void hs_startup_log_holders(void)
{
    struct hs_host host;
    hs_host_look(hs_host_root(), &host);
    for (size_t i = 0; i < host.holder_count; i++)
        hs_log_error("%s (pid %d) has %s open", host.holders[i].command, host.holders[i].pid, host.holders[i].node);
}

void hs_startup_report_model(const char *file)
{
    char what[512];
    if (!file[0])
        return;
    hs_str_format(what, sizeof(what), "Cannot load model '%s'", file);
    hs_startup_error(what, "Download model or check model path");
}
