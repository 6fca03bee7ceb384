/* Progress of a download or of a number of items, on stderr: on a terminal a bar that is redrawn in place, else one
 * line for every tenth of the total. */
#ifndef HS_CLI_PROGRESS_H
#define HS_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct hs_progress {
    bool terminal;
    bool quiet;      /* set by the caller after hs_progress_init to show nothing */
    bool counts;     /* amounts are items, not bytes */
    bool drawn;      /* the current line shows a bar */
    int64_t last_ns; /* time of the last drawing */
    int last_step;   /* step of the last line */
    char what[128];  /* name in the last line, cut */
};

void hs_progress_init(struct hs_progress *progress, bool counts);

/* Shows progress. Has the type hs_fetch_progress, with the struct as `arg`. `total` 0: unknown. */
void hs_progress_show(void *arg, const char *what, uint64_t done, uint64_t total);

/* Clears the bar, so that something else can be printed. */
void hs_progress_clear(struct hs_progress *progress);

/* Writes a size as "11.5 MB". */
void hs_progress_size(uint64_t bytes, char ret_text[32]);

#endif
