/* What the scripted device shall do; the words are listed in sim.h. */
#ifndef HS_BACKENDS_SIM_SCRIPT_H
#define HS_BACKENDS_SIM_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>

#include "hs/backend.h"
#include "hs/status.h"

struct hs_sim_script {
    int64_t latency_ms, load_ms;
    int slots;
    bool absent, hang;
    bool fail_open, fail_load, fail_submit, fail_wait;
    int64_t fail_at, hang_at; /* 0: never */
    int output_count;         /* 0: the nine heads */
    struct hs_tensor_desc outputs[HS_MODEL_MAX_OUTPUTS];
    double fill[HS_MODEL_MAX_OUTPUTS];
};

/* `text` may be NULL: all defaults. HS_EINVAL names the word that is not understood. */
int hs_sim_script_parse(const char *text, struct hs_sim_script *ret_script, struct hs_error *err);

#endif
