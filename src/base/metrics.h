/* Metrics: counters and histograms in fixed memory, and a writer of Prometheus' text format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/) and of OpenMetrics 1.0.0
 * (https://github.com/prometheus/OpenMetrics).
 *
 * The module that owns a metric describes it in a static table. Labels have values from fixed
 * tables only, never text of a client, so the number of series is bounded. An update is one or two
 * relaxed atomic additions. Any thread. */
#ifndef HS_BASE_METRICS_H
#define HS_BASE_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"

/* INFO: always 1; the labels describe something. */
enum hs_metric_type { HS_METRIC_GAUGE, HS_METRIC_COUNTER, HS_METRIC_HISTOGRAM, HS_METRIC_INFO };

/* A family of series. The name ends with _total for a counter and with _info for an info. A unit
 * stands before that: _seconds, _bytes or _celsius. */
struct hs_metric {
    const char *name, *help; /* help: one line without quotes and backslashes */
    enum hs_metric_type type;
    bool since_start; /* a counter or histogram that counts from the start of the process */
};

struct hs_metric_label {
    const char *name, *value;
};

/* ---- Counters ---- */

/* A family with one counter for each value of one label. Define it at file scope with HS_COUNTERS,
 * and name it in `counters` in service/metrics.c. */
struct hs_counters {
    struct hs_metric metric;
    const char *label;         /* NULL: a single counter without label */
    const char *const *values; /* `count` values of the label */
    size_t count;
    atomic_ullong *counts;
};

/* `table` is an array of the label's values: HS_COUNTERS(hs_x, "hailo_x_total", "Xs by reason.", "reason", reasons); */
#define HS_COUNTERS(variable, metric_name, text, label_name, table)                                                    \
    struct hs_counters variable = {                                                                                    \
        .metric = { .name = (metric_name), .help = (text), .type = HS_METRIC_COUNTER, .since_start = true },           \
        .label = (label_name),                                                                                         \
        .values = (table),                                                                                             \
        .count = HS_ARRAY_LEN(table),                                                                                  \
        .counts = (atomic_ullong[HS_ARRAY_LEN(table)]) { 0 },                                                          \
    }

/* Counts one event, or several, of the label's value with that index. */
static inline void hs_count_several(struct hs_counters *counters, size_t index, uint64_t events)
{
    atomic_fetch_add_explicit(&counters->counts[index], events, memory_order_relaxed);
}
static inline void hs_count(struct hs_counters *counters, size_t index)
{
    hs_count_several(counters, index, 1);
}

/* A family with a counter for each error code of hs/status.h: HS_ERROR_COUNTERS(hs_x, "hailo_x_errors_total", "…"); */
#define HS_ERROR_COUNTERS(variable, metric_name, text)                                                                 \
    HS_COUNTERS(variable, metric_name, text, "code", hs_error_code_names)

enum {
    HS_ERROR_CODES = 0
#define HS_ERROR_ONE_MORE(name, value, text, http, recovery) +1
    HS_STATUS_MAP(HS_ERROR_ONE_MORE)
#undef HS_ERROR_ONE_MORE
};
extern const char *const hs_error_code_names[HS_ERROR_CODES];

/* Counts an error; an unknown code counts as HS_EINTERNAL. Does nothing for 0. */
void hs_count_error(struct hs_counters *counters, int code);

/* ---- Histograms of durations ---- */

enum { HS_HISTOGRAM_BUCKETS = 17 }; /* 0.1 ms to 30 s, plus one without an upper bound */

/* All zeros: nothing was recorded. */
struct hs_histogram {
    atomic_ullong counts[HS_HISTOGRAM_BUCKETS + 1], sum_ns;
};

void hs_histogram_record(struct hs_histogram *histogram, int64_t duration_ns);
uint64_t hs_histogram_count(const struct hs_histogram *histogram);

/* ---- Writing ---- */

struct hs_metrics_writer {
    struct hs_buf *out; /* borrowed; errors are sticky in it */
    bool openmetrics;
    double created_s;               /* start of the process, in seconds since 1970 */
    const struct hs_metric *metric; /* the current family */
};

/* Content types of the two formats. */
#define HS_METRICS_TEXT "text/plain; version=0.0.4; charset=utf-8"
#define HS_METRICS_OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* Begins a family. All its series follow before the next family. Borrows `metric`. */
void hs_metrics_begin(struct hs_metrics_writer *writer, const struct hs_metric *metric);

/* Writes a series of the current family, with `count` labels. */
void hs_metrics_put(struct hs_metrics_writer *writer, const struct hs_metric_label *labels, size_t count, double value);
void hs_metrics_put_histogram(struct hs_metrics_writer *writer, const struct hs_metric_label *labels, size_t count,
                              const struct hs_histogram *histogram);

/* Writes a whole family: with one series without labels, or with all counters. */
void hs_metrics_put_single(struct hs_metrics_writer *writer, const struct hs_metric *metric, double value);
void hs_metrics_put_counters(struct hs_metrics_writer *writer, const struct hs_counters *counters);

/* Ends the output; required after the last family. */
void hs_metrics_end(struct hs_metrics_writer *writer);

#endif
