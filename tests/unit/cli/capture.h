/* Captures standard output and standard error of a call. */
#ifndef HS_TESTS_CAPTURE_H
#define HS_TESTS_CAPTURE_H

#include "unit.h"

#include <fcntl.h>
#include <stdio.h>

/* From capture_begin to capture_end both go to files; out and err are what came there. */
struct capture {
    int before[2], files[2];
    char out[1 << 15], err[1 << 13];
};

/* `output`: where standard output goes instead, -1: captured. */
static inline void capture_begin(struct capture *c, int output)
{
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        char path[] = "/tmp/hs-capture-XXXXXX";
        c->before[i] = dup(i + 1);
        c->files[i] = mkstemp(path);
        assert_true(c->files[i] >= 0);
        unlink(path);
        dup2(i == 0 && output >= 0 ? output : c->files[i], i + 1);
    }
}

static inline void capture_end(struct capture *c)
{
    char *texts[] = { c->out, c->err };
    const size_t sizes[] = { sizeof(c->out), sizeof(c->err) };
    fflush(NULL);
    clearerr(stdout);
    for (int i = 0; i < 2; i++) {
        ssize_t n = pread(c->files[i], texts[i], sizes[i] - 1, 0);
        dup2(c->before[i], i + 1);
        close(c->before[i]);
        close(c->files[i]);
        texts[i][n > 0 ? n : 0] = '\0';
    }
}

#endif
