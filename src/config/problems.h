/* Collects all problems of a configuration, not only the first one. */
#ifndef HS_CONFIG_PROBLEMS_H
#define HS_CONFIG_PROBLEMS_H

#include <stdbool.h>
#include <stddef.h>

#include "hs/status.h"

/* NOTE: worth a line in a server's log (no configuration file). WARNING: most likely a mistake, yet the program runs
 * (an unknown key). ERROR: it must not run like this. */
enum hs_problem_level { HS_PROBLEM_NOTE, HS_PROBLEM_WARNING, HS_PROBLEM_ERROR };

/* Text is one line that starts with its place ("pose.yaml:3: …"); `line` is 1-based, 0 if there is none. */
struct hs_problem {
    enum hs_problem_level level;
    int line;
    char *text;
};

enum { HS_PROBLEMS_MAX = 100 };

/* In the order found. The first HS_PROBLEMS_MAX are kept, `dropped` counts the rest; errors and warnings count all.
 * Zero-initialised is empty. Not thread-safe. */
struct hs_problems {
    struct hs_problem *items;
    size_t count, dropped, errors, warnings;
    size_t usage_errors; /* those of the errors that the command line made */
    bool no_memory;      /* something is missing here, or a value was not set */
};

void hs_problems_finish(struct hs_problems *problems);

/* 0 or HS_ENOMEM; the counters count either way. */
int hs_problems_add(struct hs_problems *problems, enum hs_problem_level level, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
