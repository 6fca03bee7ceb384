#include "service/picture_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json_build.h"
#include "base/str.h"
#include "base/terminal.h"

enum {
    BAR_FROM = 5,         /* pictures; fewer are done before a bar can be read */
    PATH_COLUMN_MAX = 40, /* longer paths do not widen the column */
    SIZE_COLUMN = 9,      /* "4032x3024" */
    COUNT_COLUMN = 9,     /* "10 people" */
    PATH_TEXT = 4096 * 4, /* of an escaped path */
    FAILURE_TEXT = 1000,  /* less than hs_invocation_fail cuts, so that no character is cut */
};

/* ---- text ---- */

static int width_of(const char *text)
{
    return hs_terminal_width(text, strlen(text));
}

/* Returns "" if colours are off. */
static const char *style(const struct hs_picture_report *report, const char *sequence)
{
    return report->call->color ? sequence : "";
}

/* ---- set-up ---- */

static int init_paths(struct hs_picture_report *report, struct hs_error *err)
{
    int r = hs_picture_files_expand(&report->files, &report->call->operands, err);
    for (size_t i = 0; r == 0 && i < report->files.count; i++) {
        if (!hs_text_list_add(&report->paths, report->files.items[i].path))
            r = hs_error_set(err, HS_ENOMEM, "no memory for %zu pictures", report->files.count);
    }
    return r;
}

static int widest(const struct hs_text_list *paths)
{
    int width = 0;
    for (size_t i = 0; paths->count > 1 && i < paths->count; i++) {
        char text[PATH_TEXT];
        hs_terminal_text(text, sizeof(text), paths->items[i]);
        int w = width_of(text);
        if (w > width && w <= PATH_COLUMN_MAX)
            width = w;
    }
    return width;
}

static int fail(struct hs_picture_report *report, int code, const struct hs_error *err)
{
    char text[FAILURE_TEXT];
    hs_progress_clear(&report->progress);
    hs_terminal_text(text, sizeof(text), err->message);
    return hs_invocation_fail(report->call, code, "%s", text);
}

int hs_picture_report_init(struct hs_picture_report *report, const struct hs_invocation *call)
{
    struct hs_error err;
    report->call = call;
    if (report->json && report->jsonl)
        return hs_invocation_fail(call, HS_EXIT_USAGE, "--json and --jsonl exclude each other");
    if (init_paths(report, &err) < 0)
        return fail(report, HS_EXIT_FAILURE, &err);
    if (hs_drawing_target_resolve(&report->draw, &report->paths, &err) < 0)
        return fail(report, HS_EXIT_USAGE, &err);
    /* A folder or a pattern may stand for a single picture, whose name the caller does not know. */
    bool expanded = report->paths.count != 1 || strcmp(report->paths.items[0], call->operands.items[0]) != 0;
    report->named = report->jsonl || expanded || (report->named_by_default && !report->json);
    report->lines = !report->json && !report->jsonl && isatty(STDOUT_FILENO);
    report->path_width = widest(&report->paths);
    return HS_EXIT_OK;
}

void hs_picture_report_finish(struct hs_picture_report *report)
{
    hs_drawing_target_finish(&report->draw);
    hs_text_list_finish(&report->paths);
    hs_picture_files_finish(&report->files);
}

/* ---- output ---- */

json_t *hs_picture_report_name(const struct hs_picture_report *report, json_t *response, const char *path)
{
    return report->named ? hs_json_with_member(response, "file", hs_system_text_json(path)) : response;
}

void hs_picture_report_print(struct hs_picture_report *report, const struct hs_buf *text)
{
    hs_progress_clear(&report->progress);
    fwrite(text->data, 1, text->len, stdout);
    fflush(stdout);
}

__attribute__((format(printf, 2, 0))) static void print_line(struct hs_picture_report *report, const char *format,
                                                             va_list args)
{
    hs_progress_clear(&report->progress);
    vprintf(format, args);
    putchar('\n');
}

void hs_picture_report_result(struct hs_picture_report *report, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (report->lines)
        print_line(report, format, args);
    va_end(args);
}

void hs_picture_report_remark(struct hs_picture_report *report, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (report->lines && !report->call->quiet)
        print_line(report, format, args);
    va_end(args);
}

static void format_count(const struct hs_picture_report *report, const struct hs_picture_line *line, char *dst,
                         size_t size)
{
    const char *noun = line->found == 1 ? report->one : report->many;
    if (line->found > line->count)
        hs_str_format(dst, size, "%zu of %zu %s", line->count, line->found, noun);
    else
        hs_str_format(dst, size, "%zu %s", line->count, noun);
}

static void format_ms(double ms, char ret_text[32])
{
    hs_str_format(ret_text, 32, "%.*f ms", ms < 10 ? 1 : 0, ms);
}

void hs_picture_report_line(struct hs_picture_report *report, const struct hs_picture_line *line)
{
    char path[PATH_TEXT], size[32], count[128], ms[32];
    bool columns = report->path_width > 0;
    hs_terminal_text(path, sizeof(path), line->path);
    hs_str_format(size, sizeof(size), "%dx%d", line->width, line->height);
    format_count(report, line, count, sizeof(count));
    format_ms(line->ms, ms);
    int pad = report->path_width - width_of(path), end = COUNT_COLUMN - width_of(count) - width_of(line->details);
    hs_picture_report_result(report, "%s%s%s%*s  %-*s  %s%s%*s  %s", style(report, HS_TERMINAL_BOLD), path,
                             style(report, HS_TERMINAL_NORMAL), pad > 0 ? pad : 0, "", columns ? SIZE_COLUMN : 0, size,
                             count, line->details, columns && end > 0 ? end : 0, "", ms);
    hs_picture_report_warnings(report, line->path, NULL, line->response);
    report->printed++;
    report->found += line->count;
    report->ms += line->ms;
    report->device = line->device;
}

void hs_picture_report_warnings(struct hs_picture_report *report, const char *path, const char *path2,
                                const json_t *response)
{
    size_t i;
    json_t *warning;
    json_array_foreach(json_object_get(response, "warnings"), i, warning)
    {
        char name[PATH_TEXT], message[4 * HS_ERROR_MESSAGE_SIZE];
        if (report->call->quiet)
            return;
        /* The message begins with the field of a request, in place of which the path is printed. */
        const char *text = json_string_value(json_object_get(warning, "message"));
        const char *field = json_string_value(json_object_get(warning, "field"));
        hs_terminal_text(name, sizeof(name), path2 && field && strcmp(field, "image2") == 0 ? path2 : path);
        hs_terminal_text(message, sizeof(message), field ? text + strlen(field) + 2 : text);
        hs_progress_clear(&report->progress);
        fprintf(stderr, "%s: warning: %s: %s\n", report->call->prefix, name, message);
    }
}

static void print_summary(struct hs_picture_report *report)
{
    char failures[32] = "", speed[64] = "", ms[32], target[PATH_TEXT];
    if (report->failed)
        hs_str_format(failures, sizeof(failures), ", %zu failed", report->failed);
    if (report->printed) {
        format_ms(report->ms / (double) report->printed, ms);
        hs_str_format(speed, sizeof(speed), ", %s per picture on %s", ms, report->device);
    }
    if (report->done + report->failed > 1)
        hs_picture_report_remark(report, "%zu pictures, %zu %s%s%s", report->done + report->failed, report->found,
                                 report->found == 1 ? report->one : report->many, failures, speed);
    if (!report->draw.path || report->done == 0)
        return;
    hs_terminal_text(target, sizeof(target), report->draw.count == 1 ? report->draw.files[0] : report->draw.path);
    if (report->draw.count == 1)
        hs_picture_report_remark(report, "Annotated picture: %s%s%s", style(report, HS_TERMINAL_BOLD), target,
                                 style(report, HS_TERMINAL_NORMAL));
    else
        hs_picture_report_remark(report, "Annotated pictures: %zu in %s%s%s", report->done,
                                 style(report, HS_TERMINAL_BOLD), target, style(report, HS_TERMINAL_NORMAL));
}

int hs_picture_report_run(struct hs_picture_report *report, size_t count, hs_picture_step *step, void *arg)
{
    hs_progress_init(&report->progress, true);
    report->progress.quiet = report->call->quiet || !report->progress.terminal || count < BAR_FROM;
    hs_progress_show(&report->progress, "pictures", 0, count);
    for (size_t i = 0; i < count; i++) {
        struct hs_error err;
        if (step(arg, i, &err) < 0) {
            fail(report, HS_EXIT_FAILURE, &err);
            report->failed++;
        } else {
            report->done++;
        }
        hs_progress_show(&report->progress, "pictures", i + 1, count);
    }
    hs_progress_clear(&report->progress);
    print_summary(report);
    fflush(stdout);
    if (report->failed == 0)
        return HS_EXIT_OK;
    return count == 1
               ? HS_EXIT_FAILURE
               : hs_invocation_fail(report->call, HS_EXIT_FAILURE, "%zu of %zu pictures failed", report->failed, count);
}
