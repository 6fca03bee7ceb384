/* GET /metrics: counters and states as Prometheus reads them (text format 0.0.4). */
#ifndef HS_SERVICE_METRICS_H
#define HS_SERVICE_METRICS_H

#include <stddef.h>

#include "http/request.h"
#include "service/model_cache.h"

enum { HS_METRICS_PARTS = 2 };

/* The models for one task. Borrowed. */
struct hs_metrics_part {
    const char *task; /* the label `task`: "pose" */
    struct hs_model_cache *cache;
};

/* Answers the request. At most HS_METRICS_PARTS. */
void hs_metrics_reply(struct hs_http_request *req, const struct hs_metrics_part *parts, size_t count);

#endif
