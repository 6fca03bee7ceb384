/* Makes allocations of our own code fail, one after the other. A library's own count if the test hands them to
 * hs_alloc_fails. */
#ifndef HS_TESTS_ALLOC_FAIL_H
#define HS_TESTS_ALLOC_FAIL_H

#include <stdbool.h>
#include <stddef.h>

/* Calls scenario(arg) with its first allocation failing, again with its second one, and so on, and at last with none.
 * The scenario does the whole of something, frees all of it, asserts the result if that is said to be good, and returns
 * 0 or the code of the failure. With a failed allocation that must be HS_ENOMEM, or 0 if it could do without. Leaks and
 * wrong accesses on the way are AddressSanitizer's to find. Returns how many allocations failed. */
int hs_fail_each_allocation(int (*scenario)(void *arg), void *arg);

/* From now on hs_fail_each_allocation runs the scenario once before, and asserts after each further run that our code
 * has freed as many blocks as it allocated. For scenarios whose blocks no library frees. */
void hs_alloc_watch_leaks(void);

/* Blocks that our code has allocated since then and not freed. */
size_t hs_alloc_live(void);

/* The same by hand: the nth allocation from now on fails, once. Disarming returns true if it came to that. */
void hs_alloc_fail_arm(int nth);
bool hs_alloc_fail_disarm(void);

/* Counts an allocation; true: it is the one that has to fail. */
bool hs_alloc_fails(void);

#endif
