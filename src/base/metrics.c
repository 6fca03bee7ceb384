#include "base/metrics.h"

#include <string.h>

#include "base/clock.h"

/* The upper bounds as text are the same in both formats, because a label "1" and a label "1.0" are two series. */
static const struct {
    int64_t ns;
    const char *text;
} bounds[HS_HISTOGRAM_BUCKETS] = {
    { 100000, "0.0001" },          { 250000, "0.00025" },          { 500000, "0.0005" },
    { HS_NS_PER_MS, "0.001" },     { 2500000, "0.0025" },          { 5 * HS_NS_PER_MS, "0.005" },
    { 10 * HS_NS_PER_MS, "0.01" }, { 25 * HS_NS_PER_MS, "0.025" }, { 50 * HS_NS_PER_MS, "0.05" },
    { 100 * HS_NS_PER_MS, "0.1" }, { 250 * HS_NS_PER_MS, "0.25" }, { 500 * HS_NS_PER_MS, "0.5" },
    { HS_NS_PER_S, "1.0" },        { 2500 * HS_NS_PER_MS, "2.5" }, { 5 * HS_NS_PER_S, "5.0" },
    { 10 * HS_NS_PER_S, "10.0" },  { 30 * HS_NS_PER_S, "30.0" },
};

static unsigned long long load(const atomic_ullong *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

/* ---- Counters ---- */

const char *const hs_error_code_names[HS_ERROR_CODES] = {
#define ERROR_NAME(name, value, text, http, recovery) text,
    HS_STATUS_MAP(ERROR_NAME)
#undef ERROR_NAME
};

void hs_count_error(struct hs_counters *counters, int code)
{
    const char *name = hs_status_name(code);
    for (size_t i = 0; code != 0 && i < HS_ERROR_CODES; i++) {
        if (strcmp(hs_error_code_names[i], name) == 0)
            hs_count(counters, i);
    }
}

/* ---- Histograms ---- */

void hs_histogram_record(struct hs_histogram *histogram, int64_t duration_ns)
{
    size_t i = 0;
    while (i < HS_HISTOGRAM_BUCKETS && duration_ns > bounds[i].ns)
        i++;
    atomic_fetch_add_explicit(&histogram->counts[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum_ns, duration_ns > 0 ? (unsigned long long) duration_ns : 0,
                              memory_order_relaxed);
}

uint64_t hs_histogram_count(const struct hs_histogram *histogram)
{
    uint64_t count = 0;
    for (size_t i = 0; i <= HS_HISTOGRAM_BUCKETS; i++)
        count += load(&histogram->counts[i]);
    return count;
}

/* ---- Writing ---- */

/* Integers up to this one are exact in a double. */
#define EXACT_MAX 9007199254740991.0

static bool ends_with(const char *name, size_t len, const char *end)
{
    size_t end_len = strlen(end);
    return len > end_len && memcmp(name + len - end_len, end, end_len) == 0;
}

/* Returns the length of the family's name: OpenMetrics names it without the suffix of its series. */
static size_t family_len(const struct hs_metrics_writer *writer, const struct hs_metric *metric)
{
    size_t len = strlen(metric->name);
    if (writer->openmetrics && metric->type == HS_METRIC_COUNTER && ends_with(metric->name, len, "_total"))
        return len - strlen("_total");
    if (writer->openmetrics && metric->type == HS_METRIC_INFO && ends_with(metric->name, len, "_info"))
        return len - strlen("_info");
    return len;
}

static const char *type_name(const struct hs_metrics_writer *writer, const struct hs_metric *metric)
{
    static const char *const names[] = {
        [HS_METRIC_GAUGE] = "gauge",
        [HS_METRIC_COUNTER] = "counter",
        [HS_METRIC_HISTOGRAM] = "histogram",
        [HS_METRIC_INFO] = "info",
    };
    /* The text format has no infos. */
    return metric->type == HS_METRIC_INFO && !writer->openmetrics ? "gauge" : names[metric->type];
}

void hs_metrics_begin(struct hs_metrics_writer *writer, const struct hs_metric *metric)
{
    static const char *const units[] = { "seconds", "bytes", "celsius" };
    int len = (int) family_len(writer, metric);
    writer->metric = metric;
    hs_buf_printf(writer->out, "# HELP %.*s %s\n# TYPE %.*s %s\n", len, metric->name, metric->help, len, metric->name,
                  type_name(writer, metric));
    for (size_t i = 0; writer->openmetrics && i < HS_ARRAY_LEN(units); i++) {
        size_t unit_len = strlen(units[i]);
        if (ends_with(metric->name, (size_t) len, units[i]) && metric->name[(size_t) len - unit_len - 1] == '_')
            hs_buf_printf(writer->out, "# UNIT %.*s %s\n", len, metric->name, units[i]);
    }
}

static void put_label(struct hs_buf *out, char before, const char *name, const char *value)
{
    hs_buf_printf(out, "%c%s=\"", before, name);
    for (size_t len; *value; value += len + (value[len] != '\0')) {
        len = strcspn(value, "\"\\\n");
        hs_buf_append(out, value, len);
        if (value[len])
            hs_buf_printf(out, "\\%c", value[len] == '\n' ? 'n' : value[len]);
    }
    hs_buf_append_str(out, "\"");
}

/* Writes the name of a series and its labels; `le` is one more label, or NULL. */
static void put_name(struct hs_metrics_writer *writer, size_t len, const char *suffix,
                     const struct hs_metric_label *labels, size_t count, const char *le)
{
    char before = '{';
    hs_buf_printf(writer->out, "%.*s%s", (int) len, writer->metric->name, suffix);
    for (size_t i = 0; i < count; i++, before = ',')
        put_label(writer->out, before, labels[i].name, labels[i].value);
    if (le) {
        put_label(writer->out, before, "le", le);
        before = ',';
    }
    hs_buf_append_str(writer->out, before == ',' ? "} " : " ");
}

static void put_value(struct hs_metrics_writer *writer, double value)
{
    bool whole = value >= -EXACT_MAX && value <= EXACT_MAX && value == (double) (int64_t) value;
    hs_buf_printf(writer->out, whole ? "%.0f\n" : "%.15g\n", value);
}

/* The first value of a series that counts from the start may be more than 0. Its time of creation
 * is the time at which it was 0. */
static void put_created(struct hs_metrics_writer *writer, const struct hs_metric_label *labels, size_t count)
{
    if (!writer->openmetrics || !writer->metric->since_start)
        return;
    put_name(writer, family_len(writer, writer->metric), "_created", labels, count, NULL);
    put_value(writer, writer->created_s);
}

void hs_metrics_put(struct hs_metrics_writer *writer, const struct hs_metric_label *labels, size_t count, double value)
{
    put_name(writer, strlen(writer->metric->name), "", labels, count, NULL);
    put_value(writer, value);
    put_created(writer, labels, count);
}

void hs_metrics_put_histogram(struct hs_metrics_writer *writer, const struct hs_metric_label *labels, size_t count,
                              const struct hs_histogram *histogram)
{
    size_t len = strlen(writer->metric->name);
    unsigned long long total = 0, sum_ns = load(&histogram->sum_ns);
    for (size_t i = 0; i <= HS_HISTOGRAM_BUCKETS; i++) {
        total += load(&histogram->counts[i]);
        put_name(writer, len, "_bucket", labels, count, i < HS_HISTOGRAM_BUCKETS ? bounds[i].text : "+Inf");
        hs_buf_printf(writer->out, "%llu\n", total);
    }
    put_name(writer, len, "_sum", labels, count, NULL);
    put_value(writer, (double) sum_ns / 1e9);
    put_name(writer, len, "_count", labels, count, NULL);
    hs_buf_printf(writer->out, "%llu\n", total);
    put_created(writer, labels, count);
}

void hs_metrics_put_single(struct hs_metrics_writer *writer, const struct hs_metric *metric, double value)
{
    hs_metrics_begin(writer, metric);
    hs_metrics_put(writer, NULL, 0, value);
}

void hs_metrics_put_counters(struct hs_metrics_writer *writer, const struct hs_counters *counters)
{
    hs_metrics_begin(writer, &counters->metric);
    for (size_t i = 0; i < counters->count; i++)
        hs_metrics_put(writer, &(struct hs_metric_label) { counters->label, counters->values[i] },
                       counters->label != NULL, (double) load(&counters->counts[i]));
}

void hs_metrics_end(struct hs_metrics_writer *writer)
{
    if (writer->openmetrics)
        hs_buf_append_str(writer->out, "# EOF\n");
}
