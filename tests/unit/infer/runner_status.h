/* What a runner says of itself, and waiting until it says what it should. */
#ifndef HS_TESTS_RUNNER_STATUS_H
#define HS_TESTS_RUNNER_STATUS_H

#include "../unit.h"

#include "base/clock.h"
#include "infer/runner.h"

/* Long enough for any machine; a test that waits for it has failed. */
enum { PATIENCE_MS = 20000 };

static inline struct hs_runner_status status_of(struct hs_runner *runner)
{
    struct hs_runner_status status;
    hs_runner_get_status(runner, &status);
    return status;
}

/* Asks again and again until the condition, on the status `s`, holds: it has no event of its own. */
#define WAIT_FOR(runner, condition)                                                                                    \
    do {                                                                                                               \
        int64_t give_up_ns = hs_deadline_in_ms(PATIENCE_MS);                                                           \
        struct hs_runner_status s = status_of(runner);                                                                 \
        while (!(condition) && hs_clock_now_ns() < give_up_ns)                                                         \
            s = status_of(runner);                                                                                     \
        assert_true(condition);                                                                                        \
    } while (0)

#endif
