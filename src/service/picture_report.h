/* The output of commands that process the pictures of their command line. On a terminal: a line for each picture and a
 * summary. Otherwise, and with --json or --jsonl: the API's answers on standard output and nothing else. Failures go to
 * standard error, and so does a progress bar if that is a terminal. */
#ifndef HS_SERVICE_PICTURE_REPORT_H
#define HS_SERVICE_PICTURE_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/buf.h"
#include "cli/program.h"
#include "cli/progress.h"
#include "hs/status.h"
#include "service/drawing.h"
#include "service/picture_files.h"

struct hs_picture_report {
    /* set by the caller */
    bool json, jsonl;              /* the command-line options */
    struct hs_drawing_target draw; /* with HS_DRAWING_OPTION */
    const char *one, *many;        /* names of the objects: "person", "people" */
    bool named_by_default;         /* without an option, answers have `file` also if there is a single picture */

    /* set by hs_picture_report_init */
    const struct hs_invocation *call;
    struct hs_picture_files files;
    struct hs_text_list paths; /* those of `files` */
    bool lines;                /* lines instead of answers */
    bool named;                /* each response has the picture's path as `file`, in UTF-8 */

    /* the rest is private */
    int path_width; /* of the column with the paths; 0: a single picture */
    size_t done, failed, printed, found;
    double ms;
    const char *device;
    struct hs_progress progress;
};

/* The option rows that fill `report`. */
#define HS_PICTURE_REPORT_OPTIONS(report)                                                                              \
    HS_FLAG("json", &(report)->json, "print the API's responses, also on a terminal"),                                 \
        HS_FLAG("jsonl", &(report)->jsonl, "the same, and each response names its picture as `file`")

/* Expands the words of the command line (hs_picture_files_expand) and chooses the output. The caller sets the first
 * members before and calls hs_picture_report_finish after every call. Returns HS_EXIT_OK, or the command's exit code
 * after reporting an error. */
int hs_picture_report_init(struct hs_picture_report *report, const struct hs_invocation *call);
void hs_picture_report_finish(struct hs_picture_report *report);

/* Processes the picture or, for a pair, the pictures, and prints the result with the functions below. */
typedef int hs_picture_step(void *arg, size_t index, struct hs_error *err);

/* Calls `step` with 0..count-1, reports failures, then the summary. Returns HS_EXIT_FAILURE if a step failed, else
 * HS_EXIT_OK. */
int hs_picture_report_run(struct hs_picture_report *report, size_t count, hs_picture_step *step, void *arg);

/* Adds the path to a response if `named` is set. Takes and returns the reference. Returns NULL if `response` is NULL or
 * memory runs out. */
json_t *hs_picture_report_name(const struct hs_picture_report *report, json_t *response, const char *path);

/* Prints text, which ends with a line feed, to standard output after hiding the progress bar. */
void hs_picture_report_print(struct hs_picture_report *report, const struct hs_buf *text);

/* The result of a picture. */
struct hs_picture_line {
    const char *path;
    int width, height;
    size_t count, found;    /* found: before a limit on their number */
    const char *details;    /* follows the count, for example ": Unknown"; "" for none */
    const json_t *response; /* its `warnings` are printed to standard error; NULL: none */
    const char *device;     /* static */
    double ms;
};

/* Prints "bus.jpg  810x1080  3 people  84 ms", only with `lines`. Control characters are escaped. */
void hs_picture_report_line(struct hs_picture_report *report, const struct hs_picture_line *line);

/* Prints the response's warnings about `path`, and `path2` of a pair or NULL, to standard error unless --quiet is
 * given.
 */
void hs_picture_report_warnings(struct hs_picture_report *report, const char *path, const char *path2,
                                const json_t *response);

/* Prints a result for a person: a line on standard output, only with `lines`. */
void hs_picture_report_result(struct hs_picture_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints a summary or a hint in the same way, but not with --quiet. */
void hs_picture_report_remark(struct hs_picture_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
