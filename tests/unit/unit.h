/* What every unit test includes: cmocka with the headers that it wants first, and the runner line. */
#ifndef HS_TESTS_UNIT_H
#define HS_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define HS_RUN_TESTS(tests) cmocka_run_group_tests(tests, NULL, NULL)

#endif
