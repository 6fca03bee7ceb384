/* Makes allocations of our own code fail, one at a time. A library's allocations count if the test
 * routes them through hs_alloc_fails. */
#ifndef HS_TESTS_ALLOC_FAIL_H
#define HS_TESTS_ALLOC_FAIL_H

#include <stdbool.h>
#include <stddef.h>

/* Calls scenario(arg) with its first allocation failing, then with its second one, and so on, and
 * finally with none. The scenario runs a complete operation, frees everything, asserts the result
 * of a success, and returns 0 or the error code. If an allocation fails, the scenario must return
 * HS_ENOMEM, or 0 if it can continue without the memory. AddressSanitizer detects leaks and invalid
 * accesses. Returns the number of allocations that failed. */
int hs_fail_each_allocation(int (*scenario)(void *arg), void *arg);

/* Enables leak checks: hs_fail_each_allocation first runs the scenario once, and asserts after each
 * further run that our code has freed as many blocks as it allocated. For scenarios whose blocks no
 * library frees. */
void hs_alloc_watch_leaks(void);

/* Returns the number of blocks that our code has allocated since hs_alloc_watch_leaks and not freed. */
size_t hs_alloc_live(void);

/* Arms a single failure: the nth allocation from now on fails, once. Disarming returns true if it
 * has failed. */
void hs_alloc_fail_arm(int nth);
bool hs_alloc_fail_disarm(void);

/* Counts an allocation; returns true if it must fail. */
bool hs_alloc_fails(void);

#endif
