#include "unit.h"

#include <string.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/stage.h"
#include "base/str.h"

enum { OUT_MAX = 1 << 16 };

static const char *const colours[] = { "red", "green" };
static HS_COUNTERS(things, "x_things_total", "Things by colour.", "colour", colours);

static void expect(struct hs_metrics_writer *writer, const char *text)
{
    assert_int_equal(hs_buf_error(writer->out), 0);
    assert_string_equal(hs_buf_str(writer->out), text);
    hs_buf_clear(writer->out);
}

static void test_text(void **state)
{
    (void) state;
    static const struct hs_metric gauge = { "x_wait_seconds", "Wait.", HS_METRIC_GAUGE, false },
                                  info = { "x_build_info", "Build.", HS_METRIC_INFO, false };
    struct hs_buf out;
    struct hs_metrics_writer writer = { .out = &out };
    hs_buf_init(&out, OUT_MAX);
    hs_metrics_put_single(&writer, &gauge, 0.25);
    expect(&writer, "# HELP x_wait_seconds Wait.\n# TYPE x_wait_seconds gauge\nx_wait_seconds 0.25\n");
    hs_metrics_begin(&writer, &info);
    const struct hs_metric_label labels[] = { { "name", "a\"b\\c\nx" }, { "empty", "" } };
    hs_metrics_put(&writer, labels, 2, 1);
    hs_metrics_end(&writer);
    expect(&writer, "# HELP x_build_info Build.\n# TYPE x_build_info gauge\n"
                    "x_build_info{name=\"a\\\"b\\\\c\\nx\",empty=\"\"} 1\n");
    hs_count(&things, 1);
    hs_count(&things, 1);
    hs_metrics_put_counters(&writer, &things);
    expect(&writer, "# HELP x_things_total Things by colour.\n# TYPE x_things_total counter\n"
                    "x_things_total{colour=\"red\"} 0\nx_things_total{colour=\"green\"} 2\n");
    hs_metrics_put_single(&writer, &gauge, 9007199254740991);
    assert_non_null(strstr(hs_buf_str(&out), "x_wait_seconds 9007199254740991\n"));
    hs_buf_finish(&out);
}

/* Counters and infos have another name than their series; the unit is part of the name. */
static void test_openmetrics(void **state)
{
    (void) state;
    static const struct hs_metric cpu = { "x_cpu_seconds_total", "Time.", HS_METRIC_COUNTER, true },
                                  model = { "x_runs_total", "Runs.", HS_METRIC_COUNTER, false },
                                  info = { "x_build_info", "Build.", HS_METRIC_INFO, false },
                                  heat = { "x_heat_celsius", "Heat.", HS_METRIC_GAUGE, false },
                                  bytes = { "x_megabytes", "No unit.", HS_METRIC_GAUGE, false };
    struct hs_buf out;
    struct hs_metrics_writer writer = { .out = &out, .openmetrics = true, .created_s = 1764512345.5 };
    hs_buf_init(&out, OUT_MAX);
    hs_metrics_put_single(&writer, &cpu, 3);
    expect(&writer, "# HELP x_cpu_seconds Time.\n# TYPE x_cpu_seconds counter\n# UNIT x_cpu_seconds seconds\n"
                    "x_cpu_seconds_total 3\nx_cpu_seconds_created 1764512345.5\n");
    hs_metrics_put_single(&writer, &model, 3);
    expect(&writer, "# HELP x_runs Runs.\n# TYPE x_runs counter\nx_runs_total 3\n");
    hs_metrics_put_single(&writer, &info, 1);
    expect(&writer, "# HELP x_build Build.\n# TYPE x_build info\nx_build_info 1\n");
    hs_metrics_put_single(&writer, &heat, 55.5);
    expect(&writer, "# HELP x_heat_celsius Heat.\n# TYPE x_heat_celsius gauge\n# UNIT x_heat_celsius celsius\n"
                    "x_heat_celsius 55.5\n");
    hs_metrics_put_single(&writer, &bytes, 1);
    expect(&writer, "# HELP x_megabytes No unit.\n# TYPE x_megabytes gauge\nx_megabytes 1\n");
    hs_metrics_end(&writer);
    expect(&writer, "# EOF\n");
    hs_buf_finish(&out);
}

/* Returns the value of the series that begins with this text. */
static double value_of(const char *text, const char *series)
{
    const char *at = strstr(text, series);
    char text_value[32];
    double value;
    assert_non_null(at);
    at += strlen(series);
    assert_true(hs_str_copy_n(text_value, sizeof(text_value), at, strcspn(at, "\n")));
    assert_true(hs_str_to_double(text_value, &value));
    return value;
}

static void test_histogram(void **state)
{
    (void) state;
    static const struct hs_metric metric = { "x_seconds", "Time.", HS_METRIC_HISTOGRAM, true };
    struct hs_histogram histogram = { 0 };
    struct hs_buf out;
    struct hs_metrics_writer writer = { .out = &out };
    const int64_t durations[] = { -5, 0, 100000, 100001, HS_NS_PER_S, 30 * HS_NS_PER_S, 31 * HS_NS_PER_S };
    hs_buf_init(&out, OUT_MAX);
    for (size_t i = 0; i < HS_ARRAY_LEN(durations); i++)
        hs_histogram_record(&histogram, durations[i]);
    assert_int_equal(hs_histogram_count(&histogram), 7);
    hs_metrics_begin(&writer, &metric);
    hs_metrics_put_histogram(&writer, &(struct hs_metric_label) { "stage", "a" }, 1, &histogram);
    const char *text = hs_buf_str(&out);
    /* An upper bound is inclusive, and each bucket contains the ones below it. */
    assert_true(value_of(text, "x_seconds_bucket{stage=\"a\",le=\"0.0001\"} ") == 3);
    assert_true(value_of(text, "x_seconds_bucket{stage=\"a\",le=\"0.00025\"} ") == 4);
    assert_true(value_of(text, "x_seconds_bucket{stage=\"a\",le=\"0.5\"} ") == 4);
    assert_true(value_of(text, "x_seconds_bucket{stage=\"a\",le=\"1.0\"} ") == 5);
    assert_true(value_of(text, "x_seconds_bucket{stage=\"a\",le=\"30.0\"} ") == 6);
    assert_true(value_of(text, "x_seconds_bucket{stage=\"a\",le=\"+Inf\"} ") == 7);
    assert_true(value_of(text, "x_seconds_count{stage=\"a\"} ") == 7);
    assert_float_equal(value_of(text, "x_seconds_sum{stage=\"a\"} "), 62.000200001, 1e-9);
    assert_null(strstr(text, "_created"));
    hs_buf_finish(&out);
}

static void test_stages(void **state)
{
    (void) state;
    struct hs_buf out;
    struct hs_metrics_writer writer = { .out = &out, .openmetrics = true };
    int64_t at = hs_clock_now_ns() - 2 * HS_NS_PER_MS;
    hs_buf_init(&out, OUT_MAX);
    assert_true(hs_stage_lap_ms(HS_STAGE_SEARCH, &at) >= 2);
    assert_true(hs_clock_now_ns() - at < HS_NS_PER_S);
    hs_stage_put_metrics(&writer);
    const char *text = hs_buf_str(&out);
    assert_true(value_of(text, "hailo_stage_duration_seconds_count{stage=\"search\"} ") == 1);
    assert_true(value_of(text, "hailo_stage_duration_seconds_bucket{stage=\"search\",le=\"0.001\"} ") == 0);
    assert_true(value_of(text, "hailo_stage_duration_seconds_count{stage=\"decode\"} ") == 0);
    hs_buf_finish(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_openmetrics),
        cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_stages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
