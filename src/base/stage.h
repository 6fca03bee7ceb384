/* The time that requests spend in each stage of their processing, as a metric. Any thread. */
#ifndef HS_BASE_STAGE_H
#define HS_BASE_STAGE_H

#include <stdint.h>

#include "base/metrics.h"

enum hs_stage {
    HS_STAGE_DECODE,      /* a picture to pixels */
    HS_STAGE_PREPROCESS,  /* pixels to the input of the first network */
    HS_STAGE_QUEUE,       /* waiting for a slot of a device */
    HS_STAGE_INFERENCE,   /* waiting for the result of a network */
    HS_STAGE_POSTPROCESS, /* outputs of the first network to boxes and points */
    HS_STAGE_EMBED,       /* all faces of a picture to embeddings, the waits of these included */
    HS_STAGE_SEARCH,      /* one embedding to names */
    HS_STAGE_DATABASE,    /* one change of the gallery, from its lock to its commit */
    HS_STAGE_COUNT,
};

void hs_stage_record(enum hs_stage stage, int64_t duration_ns);

/* Records the time since *at, sets *at to now, and returns that time in milliseconds. */
double hs_stage_lap_ms(enum hs_stage stage, int64_t *at);

/* Writes the histograms of all stages. */
void hs_stage_put_metrics(struct hs_metrics_writer *writer);

#endif
