/* A pool with one simulated device, built by hand: the part of a model that a pipeline needs,
 * without a store and its files. */
#ifndef HS_TESTS_SIM_POOL_H
#define HS_TESTS_SIM_POOL_H

#include "../unit.h"

#include "backends/sim/sim.h"
#include "base/clock.h"
#include "service/model_pool.h"
#include "sim_script.h"

struct sim_pool {
    struct hs_model_runner runner;
    struct hs_model_pool pool;
};

/* Creates a runner and loads a model of one input size. `p` must not move. Borrows `pack` and `file`. */
static inline void sim_pool_init(struct sim_pool *p, const struct hs_pack *pack, const struct hs_pack_file *file,
                                 enum hs_output_kind output_kind, int side, const char *script)
{
    const struct hs_runner_options options = {
        .backend = &hs_backend_sim,
        .script = sim_script(script),
        .slots = 1,
        .batch = 2,
        .queue_max = 4,
        .keep_alive_s = -1,
    };
    const struct hs_model_spec spec = {
        .std = { 1, 1, 1 }, .input_h = side, .input_w = side, .output_kind = output_kind
    };
    *p = (struct sim_pool) {
        .runner = { .choice = { .pack = pack, .file = file },
                    .model = pack->name,
                    .device = "sim",
                    .backend = &hs_backend_sim,
                    .input = { side, side } },
        .pool = { .count = 1 },
    };
    p->pool.runners = &p->runner;
    assert_int_equal(hs_runner_create(&options, &spec, &p->runner.runner, NULL), 0);
    hs_runner_preload(p->runner.runner);
    assert_int_equal(hs_runner_wait_loaded(p->runner.runner, hs_deadline_in_ms(20000), NULL), 0);
}

/* Checks that no slot is in use and no request waits, then frees the runner. */
static inline void sim_pool_finish(struct sim_pool *p)
{
    struct hs_runner_status status;
    hs_runner_get_status(p->runner.runner, &status);
    assert_int_equal(status.in_use + status.waiting + status.stuck, 0);
    hs_runner_destroy(p->runner.runner);
}

#endif
