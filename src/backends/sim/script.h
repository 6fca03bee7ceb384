/* Parses the script of the simulated device. sim.h explains the keys. */
#ifndef HS_BACKENDS_SIM_SCRIPT_H
#define HS_BACKENDS_SIM_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/backend.h"
#include "hs/status.h"

enum { HS_SIM_MAX_FAULTS = 64, HS_SIM_SCRIPT_MAX_BYTES = 64 * 1024 };

enum hs_sim_kind {
    HS_SIM_TRANSIENT,
    HS_SIM_BUSY,
    HS_SIM_NONE,
    HS_SIM_MISMATCH,
    HS_SIM_BAD_MODEL,
    HS_SIM_MEMORY,
    HS_SIM_QUEUE_FULL,
    HS_SIM_LATE,
    HS_SIM_HANG,
    HS_SIM_ERROR,
    HS_SIM_LOST,
    HS_SIM_LOAD_FAIL,
    HS_SIM_LOAD_SLOW,
};

struct hs_sim_fault {
    enum hs_sim_kind kind;
    int64_t at;      /* number of the call at which it begins, from 1; 0: it begins at a time */
    double at_ms;    /* time since the start, if `at` is 0 */
    int64_t count;   /* number of calls that it hits; 0: no limit */
    double for_ms;   /* duration; negative: no limit */
    double extra_ms; /* delay of late and load_slow */
    int device;      /* index of the device; -1: all devices */
};

struct hs_sim_batch {
    int pictures;
    double ms;
};

struct hs_sim_script {
    double latency_ms, p99_ms; /* of one picture; equal if the latency never varies */
    double load_ms;
    int leak_kb; /* memory that each run allocates; freed when the device is closed */
    int slots, devices;
    bool has_temperature;
    double temperature_c;
    enum hs_dtype outputs; /* U8, U16 or F32 */
    int64_t seed;
    int batch_count; /* 0: single pictures only; else ascending by pictures, and the first is for one */
    struct hs_sim_batch batches[HS_MODEL_MAX_BATCH];
    int fault_count;
    struct hs_sim_fault faults[HS_SIM_MAX_FAULTS];
};

/* Fills in the behaviour without a script. */
void hs_sim_script_default(struct hs_sim_script *ret_script);

/* Parses a script. `name` names the text in messages. On HS_EINVAL the message has the name, line
 * and key, and *ret_script is untouched. */
int hs_sim_script_parse(const char *text, size_t len, const char *name, struct hs_sim_script *ret_script,
                        struct hs_error *err);

#endif
