/* Reads a runner's status, and waits for a condition on it. */
#ifndef HS_TESTS_RUNNER_STATUS_H
#define HS_TESTS_RUNNER_STATUS_H

#include "../unit.h"

#include "base/clock.h"
#include "infer/runner.h"

/* Long enough for any machine: a test that waits this long has failed. */
enum { PATIENCE_MS = 20000 };

static inline struct hs_runner_status status_of(struct hs_runner *runner)
{
    struct hs_runner_status status;
    hs_runner_get_status(runner, &status);
    return status;
}

/* Polls the status `s` until the condition holds, because no event reports it. Fails the test after
 * PATIENCE_MS. */
#define WAIT_FOR(runner, condition)                                                                                    \
    do {                                                                                                               \
        int64_t give_up_ns = hs_deadline_in_ms(PATIENCE_MS);                                                           \
        struct hs_runner_status s = status_of(runner);                                                                 \
        while (!(condition) && hs_clock_now_ns() < give_up_ns)                                                         \
            s = status_of(runner);                                                                                     \
        assert_true(condition);                                                                                        \
    } while (0)

#endif
