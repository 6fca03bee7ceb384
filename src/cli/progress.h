/* How far something is (a download, or a number of things), on stderr: a bar that redraws itself on a terminal, else a
 * line at every tenth part. */
#ifndef HS_CLI_PROGRESS_H
#define HS_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct hs_progress {
    bool terminal;
    bool counts;     /* of things and not of bytes */
    bool drawn;      /* a bar stands in the current line */
    int64_t last_ns; /* of the last drawing */
    int last_step;   /* of the last line */
    char what[128];  /* whose steps those are, cut */
};

void hs_progress_init(struct hs_progress *progress, bool counts);

/* Fits hs_fetch_progress, with the struct as its arg. `total` 0: not known. */
void hs_progress_show(void *arg, const char *what, uint64_t done, uint64_t total);

/* Clears the bar, so that something else can be printed. */
void hs_progress_clear(struct hs_progress *progress);

/* "11.5 MB" */
void hs_progress_size(uint64_t bytes, char ret_text[32]);

#endif
