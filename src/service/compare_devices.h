/* `compare-devices`: runs the same models on two devices and reports how far their answers differ.
 * Options, pictures, box matching and the report are shared by all services. */
#ifndef HS_SERVICE_COMPARE_DEVICES_H
#define HS_SERVICE_COMPARE_DEVICES_H

#include "service/app.h"
#include "service/sample_stats.h"
#include "vision/iou_match.h"

/* The device under test, and the one that it is compared against. */
enum { HS_COMPARE_DEVICE, HS_COMPARE_AGAINST, HS_COMPARE_SIDES };

/* Filled by the functions below. Printed line by line, or as one line of JSON at the end. */
struct hs_compare_report {
    bool json, ok;
    json_t *root, *checks;
};

/* The program's part. `states` holds the state of each side. The against side runs the models of the device side. */
struct hs_compare_command {
    const struct hs_option *options; /* the program's own options, in addition to --against, --json and
                                      * --least-agreement */
    size_t option_count;
    const char *what; /* objects found, for messages: "people" */
    const char *one;  /* one of them: "person" */
    const char *set;  /* a setting applied to both sides: "name=value" */

    /* Runs a picture on both sides. The boxes are borrowed until the next call. Messages name the file. */
    int (*run)(void *arg, void *const *states, const char *path, struct hs_boxes ret_boxes[HS_COMPARE_SIDES],
               struct hs_error *err);

    /* Called if box i of the device and box k of the other side match; both are of the last `run`. */
    int (*match)(void *arg, size_t i, size_t k, struct hs_error *err);

    /* Adds the program's findings to the report, after the models and before the counts. */
    int (*report)(void *arg, void *const *states, struct hs_compare_report *report, struct hs_error *err);
};

/* Parses the options, opens both sides, runs all pictures and prints the report. Returns the exit
 * code: failure if a check failed, a picture could not be read, or nothing was found. */
int hs_compare_command_run(struct hs_invocation *call, const struct hs_compare_command *command, void *arg);

/* Returns the largest distance between corresponding sides of two boxes, in pixels. */
double hs_compare_box_distance(const struct hs_rect *a, const struct hs_rect *b);

/* Reports the minimum, median, mean and maximum of the samples. */
void hs_compare_report_numbers(struct hs_compare_report *report, const char *key, const char *text,
                               struct hs_samples *samples);

/* Adds a check that passes if value >= least. */
void hs_compare_report_check(struct hs_compare_report *report, const char *key, const char *text, double value,
                             double least);

/* Prints a line of text, or adds it as `key` in JSON. */
void hs_compare_report_note(struct hs_compare_report *report, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
