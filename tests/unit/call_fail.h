/* Makes calls of the system fail when our own code makes them. For tests that are linked with call_fail.c and
 * call_fail_args (tests/unit/meson.build). */
#ifndef HS_TESTS_CALL_FAIL_H
#define HS_TESTS_CALL_FAIL_H

#include <stdbool.h>

/* The nth call of `name` ("read", "fsync") from now on fails with `error`, once; "close" closes nevertheless. One name
 * at a time. Disarming returns true if it came to that. */
void hs_call_fail_arm(const char *name, int nth, int error);
bool hs_call_fail_disarm(void);

#endif
