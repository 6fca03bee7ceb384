/* `compare-devices`: pictures through the same models on two devices, and how far the answers are apart. All services
 * share options, pictures, the matching of boxes and the report. */
#ifndef HS_SERVICE_COMPARE_DEVICES_H
#define HS_SERVICE_COMPARE_DEVICES_H

#include "service/app.h"
#include "service/sample_stats.h"
#include "vision/iou_match.h"

/* The device under test, and the one that it is compared with. */
enum { HS_COMPARE_DEVICE, HS_COMPARE_AGAINST, HS_COMPARE_SIDES };

/* Filled by the functions below; printed on the way, or as one line of JSON at the end. */
struct hs_compare_report {
    bool json, ok;
    json_t *root, *checks;
};

/* The program's part. `states` are both sides' states; the other side has the device's models. */
struct hs_compare_command {
    const struct hs_option *options; /* the program's own, beside --against, --json and --least-agreement */
    size_t option_count;
    const char *what; /* "people" */
    const char *set;  /* a setting for both sides: "name=value" */

    /* Runs a picture on both sides. The boxes found are borrowed until the next call. Messages name the file. */
    int (*look)(void *arg, void *const *states, const char *path, struct hs_boxes ret_boxes[HS_COMPARE_SIDES],
                struct hs_error *err);

    /* Box i of the device and box k of the other side, of the picture that `look` ran last, are the same. */
    int (*match)(void *arg, size_t i, size_t k, struct hs_error *err);

    /* Adds its findings to the report, after the models and before the counts. */
    int (*report)(void *arg, void *const *states, struct hs_compare_report *report, struct hs_error *err);
};

/* Reads the options, opens both sides, runs all pictures and prints. Returns the exit code: failure if a check failed,
 * a picture could not be read, or nothing was found. */
int hs_compare_command_run(struct hs_invocation *call, const struct hs_compare_command *command, void *arg);

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
