/* Checks that a message contains the reason, and prints both if it does not. */
#ifndef HS_TESTS_ASSERT_MESSAGE_H
#define HS_TESTS_ASSERT_MESSAGE_H

#include <stdbool.h>
#include <string.h>

#include "../unit.h"

static inline void assert_message(const char *message, const char *reason)
{
    bool says = message && reason && strstr(message, reason);
    if (!says && message && reason)
        print_error("%s instead of: %s\n", message, reason);
    assert_true(says);
}

#endif
