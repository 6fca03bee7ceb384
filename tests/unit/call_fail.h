/* Makes system calls of our own code fail. For tests that link call_fail.c with call_fail_args
 * (tests/unit/meson.build). */
#ifndef HS_TESTS_CALL_FAIL_H
#define HS_TESTS_CALL_FAIL_H

#include <stdbool.h>

/* Makes the nth call of `name` ("read", "fsync") from now on fail with `error`, once. A failing
 * "close" still closes the descriptor. Only one name can be armed at a time. Disarming returns true
 * if the call has failed. */
void hs_call_fail_arm(const char *name, int nth, int error);
bool hs_call_fail_disarm(void);

#endif
