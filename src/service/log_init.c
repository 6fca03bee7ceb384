#include "service/log_init.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

void hs_log_init(const struct hs_invocation *call, const struct hs_logging_settings *logging,
                  const struct hs_problems *problems)
{
    bool serving = strcmp(call->command->name, "serve") == 0;
    hs_log_setup(call->program->name, (enum hs_log_level) logging->level, (enum hs_log_format) logging->format);
    /* HailoRT has no way to hand its messages to us; what it offers beside files and stderr is syslog. */
    if (logging->hailort == HS_HAILORT_LOG_JOURNAL)
        setenv("HAILO_PRINT_TO_SYSLOG", "1", 0);
    for (size_t i = 0; i < problems->count; i++) {
        if (problems->items[i].level != HS_PROBLEM_NOTE)
            continue;
        if (serving)
            hs_log_info("%s", problems->items[i].text);
        else
            hs_log_debug("%s", problems->items[i].text);
    }
}
