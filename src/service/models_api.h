/* The handlers of /v1/models, which all services share. Each of them answers. */
#ifndef HS_SERVICE_MODELS_API_H
#define HS_SERVICE_MODELS_API_H

#include <stdint.h>

#include "http/request.h"
#include "service/model_cache.h"

enum { HS_MODELS_API_PARTS = 2 };

/* One kind of model that the service has. All is borrowed. */
struct hs_models_api_part {
    struct hs_model_cache *cache;
    enum hs_task task;
    const char *name; /* what the list calls it: "pose-estimation" */
};

struct hs_models_api {
    const struct hs_store *store;
    int64_t created_s; /* when the service began */
    struct hs_models_api_part parts[HS_MODELS_API_PARTS];
    size_t part_count;
};

/* {"data": [{"id", "object", "created", "owned_by", "task", "state"}…], "object": "list"}: the configured models first,
 * then the others that are here, loaded or being pulled; with `?all=true` those that are absent, too. */
void hs_models_api_list(struct hs_http_request *req, const struct hs_models_api *api);

/* Loads the model that the path's {id} names, waits for that within the request's time, and answers with its state. */
void hs_models_api_load(struct hs_http_request *req, const struct hs_models_api *api);

/* Unloads it as soon as nobody uses it, and answers with its state. */
void hs_models_api_unload(struct hs_http_request *req, const struct hs_models_api *api);

#endif
