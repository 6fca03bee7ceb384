/* The handlers of /v1/models that all services share. Each of them answers. */
#ifndef HS_SERVICE_MODELS_API_H
#define HS_SERVICE_MODELS_API_H

#include <stdint.h>

#include "http/request.h"
#include "service/fleets.h"

struct hs_models_api_task {
    enum hs_task task;
    const char *name; /* what the list calls it: "pose-estimation" */
};

/* {"data": [{"id", "object", "created", "owned_by", "task", "state"}…], "object": "list"}: the configured model first,
 * then the others of the task that are here or loaded. */
void hs_models_api_list(struct hs_http_request *req, const struct hs_store *store, struct hs_fleets *fleets,
                        const struct hs_models_api_task *task, int64_t created_s);

/* The fleet that the path's {id} names; false: answered 404 or what else stands in the way. */
bool hs_models_api_take(struct hs_http_request *req, struct hs_fleets *fleets, struct hs_fleet **ret_fleet);

/* Loads it for this input size, waits for that within the request's time, gives the fleet back, and answers with the
 * model's state. */
void hs_models_api_load(struct hs_http_request *req, struct hs_fleets *fleets, struct hs_fleet *fleet, int h, int w);

/* Unloads the model that the path's {id} names, and answers with its state. */
void hs_models_api_unload(struct hs_http_request *req, const struct hs_store *store, struct hs_fleets *fleets,
                          const struct hs_models_api_task *task);

#endif
