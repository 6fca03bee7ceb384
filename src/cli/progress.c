#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

enum { BAR_WIDTH = 30, STEPS = 10 };

void hs_progress_init(struct hs_progress *progress, bool counts)
{
    *progress = (struct hs_progress) { .terminal = isatty(STDERR_FILENO), .counts = counts, .last_step = -1 };
}

void hs_progress_size(uint64_t bytes, char ret_text[32])
{
    if (bytes < 1000 * 1000)
        hs_str_format(ret_text, 32, "%.1f kB", (double) bytes / 1e3);
    else
        hs_str_format(ret_text, 32, "%.1f MB", (double) bytes / 1e6);
}

static void format_amount(const struct hs_progress *progress, uint64_t value, char ret_text[32])
{
    if (progress->counts)
        hs_str_format(ret_text, 32, "%llu", (unsigned long long) value);
    else
        hs_progress_size(value, ret_text);
}

static void print_step(struct hs_progress *progress, const char *what, uint64_t done, uint64_t total)
{
    int step = total ? (int) (STEPS * (double) done / (double) total) : (int) (done / (10 * 1000 * 1000));
    if (strncmp(progress->what, what, sizeof(progress->what) - 1) != 0) {
        hs_str_copy(progress->what, sizeof(progress->what), what);
        progress->last_step = -1;
    }
    if (step <= progress->last_step)
        return;
    char text[32];
    format_amount(progress, done, text);
    progress->last_step = step;
    if (total)
        fprintf(stderr, "  %s: %3.0f %% (%s)\n", what, 100.0 * (double) done / (double) total, text);
    else
        fprintf(stderr, "  %s: %s\n", what, text);
}

void hs_progress_show(void *arg, const char *what, uint64_t done, uint64_t total)
{
    struct hs_progress *progress = arg;
    if (progress->quiet)
        return;
    if (total > 0 && done > total)
        total = done;
    if (!progress->terminal) {
        print_step(progress, what, done, total);
        return;
    }
    int64_t now = hs_clock_now_ns();
    if (progress->drawn && done != total && now - progress->last_ns < 100 * HS_NS_PER_MS)
        return;
    progress->last_ns = now;
    progress->drawn = true;
    static const char full[] = "##############################";
    char done_text[32], total_text[32];
    format_amount(progress, done, done_text);
    format_amount(progress, total, total_text);
    double share = total ? (double) done / (double) total : 0;
    int width = (int) (share * BAR_WIDTH);
    if (total)
        fprintf(stderr, "\r  %.40s  [%.*s%*s] %3.0f %%  %s of %s\x1b[K", what, width, full, BAR_WIDTH - width, "",
                100.0 * share, done_text, total_text);
    else
        fprintf(stderr, "\r  %.40s  %s\x1b[K", what, done_text);
    fflush(stderr);
}

void hs_progress_clear(struct hs_progress *progress)
{
    if (progress->drawn)
        fprintf(stderr, "\r\x1b[K");
    progress->drawn = false;
}
