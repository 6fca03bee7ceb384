/* GET /metrics: counters and states as Prometheus reads them (text format 0.0.4). */
#ifndef HS_SERVICE_METRICS_H
#define HS_SERVICE_METRICS_H

#include <stddef.h>

#include "http/request.h"
#include "service/fleet.h"

/* One of the service's configured models. Borrowed. */
struct hs_metrics_model {
    const char *name; /* the label `task`: "pose" */
    struct hs_fleet *fleet;
};

/* Answers the request. */
void hs_metrics_reply(struct hs_http_request *req, const struct hs_metrics_model *models, size_t count);

#endif
