/* What the scripted device shall do; sim.h explains the keys. */
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
    int64_t at;      /* the call that it begins with, from 1; 0: it begins by time */
    double at_ms;    /* since the start, where `at` is 0 */
    int64_t count;   /* how many calls it hits; 0: no bound */
    double for_ms;   /* how long it lasts; negative: no bound */
    double extra_ms; /* late, load_slow: by how much */
    int device;      /* -1: each of them */
};

struct hs_sim_batch {
    int pictures;
    double ms;
};

struct hs_sim_script {
    double latency_ms, p99_ms; /* of one picture; the same where it never varies */
    double load_ms;
    int leak_kb; /* memory that each run takes until the device is closed */
    int slots, devices;
    bool has_temperature;
    double temperature_c;
    enum hs_dtype outputs; /* U8, U16 or F32 */
    int64_t seed;
    int batch_count; /* 0: single pictures only; else the first is of one picture, by ascending number */
    struct hs_sim_batch batches[HS_MODEL_MAX_BATCH];
    int fault_count;
    struct hs_sim_fault faults[HS_SIM_MAX_FAULTS];
};

/* The device's ordinary way, without a script. */
void hs_sim_script_default(struct hs_sim_script *ret_script);

/* `name` is what messages call the text. HS_EINVAL names it with line and key; ret_script is untouched then. */
int hs_sim_script_parse(const char *text, size_t len, const char *name, struct hs_sim_script *ret_script,
                        struct hs_error *err);

#endif
