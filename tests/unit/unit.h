/* What every unit test includes: cmocka with the headers that it wants first, and the runner line. */
#ifndef HS_TESTS_UNIT_H
#define HS_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* 1 under a sanitizer, which keeps freed memory for a while, so that bounds on memory do not hold. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HS_SANITIZED 1
#endif
#endif
#ifndef HS_SANITIZED
#define HS_SANITIZED 0
#endif

#define HS_RUN_TESTS(tests) cmocka_run_group_tests(tests, NULL, NULL)

#endif
