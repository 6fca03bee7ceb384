#include "base/stage.h"

#include "base/clock.h"

static struct hs_histogram stages[HS_STAGE_COUNT];

static const char *const names[HS_STAGE_COUNT] = {
    [HS_STAGE_DECODE] = "decode",       [HS_STAGE_PREPROCESS] = "preprocess",   [HS_STAGE_QUEUE] = "queue",
    [HS_STAGE_INFERENCE] = "inference", [HS_STAGE_POSTPROCESS] = "postprocess", [HS_STAGE_EMBED] = "embed",
    [HS_STAGE_SEARCH] = "search",       [HS_STAGE_DATABASE] = "database",
};

void hs_stage_record(enum hs_stage stage, int64_t duration_ns)
{
    hs_histogram_record(&stages[stage], duration_ns);
}

double hs_stage_lap_ms(enum hs_stage stage, int64_t *at)
{
    int64_t now = hs_clock_now_ns(), duration_ns = now - *at;
    hs_stage_record(stage, duration_ns);
    *at = now;
    return hs_ns_to_ms(duration_ns);
}

void hs_stage_put_metrics(struct hs_metrics_writer *writer)
{
    static const struct hs_metric metric = {
        .name = "hailo_stage_duration_seconds",
        .help = "Time of the stages of requests.",
        .type = HS_METRIC_HISTOGRAM,
        .since_start = true,
    };
    hs_metrics_begin(writer, &metric);
    for (size_t i = 0; i < HS_STAGE_COUNT; i++)
        hs_metrics_put_histogram(writer, &(struct hs_metric_label) { "stage", names[i] }, 1, &stages[i]);
}
