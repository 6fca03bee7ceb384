/* The scripted device's script: an accepted script is within its limits, and a refusal has a message. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends/sim/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool truth)
{
    if (!truth)
        abort();
}

static void check_fault(const struct hs_sim_fault *fault)
{
    require(fault->kind <= HS_SIM_LOAD_SLOW);
    require(fault->at >= 0 && fault->count >= 0 && fault->extra_ms >= 0);
    require(fault->at > 0 || fault->at_ms >= 0);
    require(isfinite(fault->at_ms) && isfinite(fault->for_ms) && isfinite(fault->extra_ms));
    require(fault->device >= -1 && fault->device < HS_PROBE_MAX_DEVICES);
}

static void check(const struct hs_sim_script *script)
{
    require(script->slots >= 1 && script->slots <= HS_MODEL_MAX_SLOTS);
    require(script->devices >= 1 && script->devices <= HS_PROBE_MAX_DEVICES);
    require(script->latency_ms >= 0 && script->p99_ms >= script->latency_ms && script->load_ms >= 0);
    require(isfinite(script->latency_ms) && isfinite(script->p99_ms) && isfinite(script->load_ms));
    require(script->batch_count >= 0 && script->batch_count <= HS_MODEL_MAX_BATCH);
    for (int i = 0; i < script->batch_count; i++) {
        require(script->batches[i].pictures > (i == 0 ? 0 : script->batches[i - 1].pictures));
        require(script->batches[i].pictures <= HS_MODEL_MAX_BATCH && script->batches[i].ms >= 0);
    }
    require(script->batch_count == 0 || script->batches[0].pictures == 1);
    require(script->fault_count >= 0 && script->fault_count <= HS_SIM_MAX_FAULTS);
    for (int i = 0; i < script->fault_count; i++)
        check_fault(&script->faults[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct hs_sim_script script;
    struct hs_error err = { 0 };
    int r = hs_sim_script_parse((const char *) data, len, "fuzz", &script, &err);
    if (r == 0) {
        check(&script);
        return 0;
    }
    require(err.code == r && err.message[0] &&
            hs_sim_script_parse((const char *) data, len, "fuzz", &script, NULL) == r);
    /* The error has a line number, unless the text as a whole is too long. */
    require(r != HS_EINVAL || err.line > 0 || len > HS_SIM_SCRIPT_MAX_BYTES);
    require(strncmp(err.message, "fuzz:", 5) == 0 || r == HS_ENOMEM);
    return 0;
}
