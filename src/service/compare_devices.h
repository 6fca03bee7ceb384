/* `compare-devices`: pictures through the same models on two devices, and how far the answers are apart. All services
 * share options, pictures and the report. */
#ifndef HS_SERVICE_COMPARE_DEVICES_H
#define HS_SERVICE_COMPARE_DEVICES_H

#include "service/app.h"
#include "service/picture_files.h"
#include "service/sample_stats.h"
#include "vision/match.h"

/* The device under test, and the one that it is compared with. */
enum { HS_COMPARE_DEVICE, HS_COMPARE_AGAINST, HS_COMPARE_SIDES };

/* Findings of both, and of one alone. */
struct hs_compare_counts {
    size_t pictures, both, only[HS_COMPARE_SIDES];
};

/* Filled by the functions below; printed on the way, or as one line of JSON at the end. */
struct hs_compare_report {
    bool json, ok;
    json_t *root, *checks;
};

/* The program's part. `states` are both sides' states: the device comes first, the other side has the same models. */
struct hs_compare_command {
    const struct hs_option *options; /* the program's own, beside --against, --json and --least-agreement */
    size_t option_count;
    const char *what; /* "people" */
    const char *set;  /* a setting for both sides: "name=value" */

    /* Runs a picture on both sides, and counts. */
    int (*look)(void *arg, void *const *states, const char *path, struct hs_compare_counts *counts,
                struct hs_error *err);

    /* Adds its findings to the report, after the models and before the counts. */
    int (*report)(void *arg, void *const *states, struct hs_compare_report *report,
                  struct hs_error *err);
};

/* Reads the options, opens both sides, runs all pictures and prints. Returns the exit code: failure if a check failed,
 * a picture could not be read, or nothing was found. */
int hs_compare_command_run(struct hs_invocation *call, const struct hs_compare_command *command, void *arg);

/* Matches boxes, and counts. *ret_of[i] is the index of the other side's box for the device's box i, or HS_MATCH_NONE;
 * the caller frees it with free(). HS_ENOMEM. */
int hs_compare_match(const struct hs_boxes *device, const struct hs_boxes *against, struct hs_compare_counts *counts,
                     size_t **ret_of, struct hs_error *err);

/* How far the sides of two boxes are apart at most, in pixels. */
double hs_compare_box_distance(const struct hs_rect *a, const struct hs_rect *b);

/* Least, median, mean and most of the samples. */
void hs_compare_report_numbers(struct hs_compare_report *report, const char *key, const char *text,
                               struct hs_samples *samples);

/* A check: the value must be at least so much. */
void hs_compare_report_check(struct hs_compare_report *report, const char *key, const char *text, double value,
                             double least);

/* A line for people, a text under `key` in JSON. */
void hs_compare_report_note(struct hs_compare_report *report, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
