/* The same work for each of many things, by several threads. */
#ifndef HS_SERVICE_EACH_H
#define HS_SERVICE_EACH_H

#include <stddef.h>

#include "hs/status.h"

struct hs_each {
    size_t count;
    int threads;
    int (*run)(void *arg, size_t index, struct hs_error *err); /* by any of the threads */
    void (*progress)(void *arg, size_t done, size_t total);    /* one call at a time; NULL allowed */
    void *arg;
};

/* Runs index 0..count - 1. The first that fails ends it: nothing is begun any more, and its error is given. */
int hs_each_run(const struct hs_each *each, struct hs_error *err);

#endif
