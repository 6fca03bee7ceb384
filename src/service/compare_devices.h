/* `compare-devices`: pictures through the same model on two devices, and how far the answers are apart. What every
 * service shares: options, pictures, the report. */
#ifndef HS_SERVICE_COMPARE_DEVICES_H
#define HS_SERVICE_COMPARE_DEVICES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli/program.h"
#include "hs/status.h"
#include "service/model_runner.h"
#include "service/series.h"
#include "vision/iou_match.h"

/* The device that is looked at, and the one that it is held against. */
enum { HS_COMPARE_DEVICE, HS_COMPARE_AGAINST, HS_COMPARE_SIDES };

/* What was found by both, and by one alone. */
struct hs_compare_counts {
    size_t pictures, both, only[HS_COMPARE_SIDES];
};

/* Filled by the functions below; printed on the way, or as one line of JSON at the end. */
struct hs_compare_report {
    bool json, ok;
    json_t *root, *checks;
};

struct hs_compare_command {
    const struct hs_option *options; /* the program's own, beside --against, --json and --least-agreement */
    size_t option_count;
    const char *what; /* "people" */

    /* Puts the program together as `call` says; its sets may be added to. The device comes first; the other side is to
     * have the same models. HS_EXIT_OK, or the exit code to end with, and why was said. */
    int (*open)(void *arg, int side, struct hs_invocation *call);

    /* Looks at a picture with both, and counts. */
    int (*look)(void *arg, const char *path, struct hs_compare_counts *counts, struct hs_error *err);

    /* Adds what it has found beyond the counts. */
    int (*report)(void *arg, struct hs_compare_report *report, struct hs_error *err);
};

/* Reads the options, opens both sides, looks at all pictures and prints. Gives the exit code: failure where a check
 * failed, a picture could not be looked at, or nothing was found. Whatever was opened stays the caller's. */
int hs_compare_command_run(struct hs_invocation *call, const struct hs_compare_command *command, void *arg);

/* Finds who is the same, and counts. *ret_of[i] is the index of the other side's box for the device's box i, or
 * HS_IOU_MATCH_NONE; the caller frees it with free(). HS_ENOMEM. */
int hs_compare_match(const struct hs_boxes *device, const struct hs_boxes *against, struct hs_compare_counts *counts,
                     size_t **ret_of, struct hs_error *err);

/* How far the sides of two boxes are apart at most, in pixels. */
double hs_compare_box_distance(const struct hs_rect *a, const struct hs_rect *b);

/* Says which model a side runs, where. */
void hs_compare_report_side(struct hs_compare_report *report, int side, const char *key,
                            const struct hs_model_runner *network);

/* Least, median, mean and most of them. `unit` may be "". */
void hs_compare_report_numbers(struct hs_compare_report *report, const char *key, const char *text,
                               struct hs_series *series);

/* A check: the value must be at least so much. */
void hs_compare_report_check(struct hs_compare_report *report, const char *key, const char *text, double value,
                             double least);

/* A line for people, a text under `key` in JSON. */
void hs_compare_report_note(struct hs_compare_report *report, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
