/* The routes that all services have. Handlers find a struct hs_app_core as the server's context; each of them answers.
 */
#ifndef HS_SERVICE_APP_ROUTES_H
#define HS_SERVICE_APP_ROUTES_H

#include "http/request.h"
#include "http/route.h"
#include "service/app.h"
#include "service/heavy.h"

/* /health/ready: 503 with `reason` and perhaps `detail` while a model cannot answer or app->not_ready says so. */
void hs_app_get_ready(struct hs_http_request *req);

/* /metrics: counters and states as Prometheus reads them (text format 0.0.4). */
void hs_app_get_metrics(struct hs_http_request *req);

/* {"data": [{"id", "object", "created", "owned_by", "task", "state"}…], "object": "list"}: the configured models first,
 * then the others that are here, loaded or being pulled; with `?all=true` those that are absent, too. */
void hs_app_get_models(struct hs_http_request *req);

/* Loads the model that the path's {id} names, waits for that within the request's time, and answers with its state;
 * unloads it as soon as nobody uses it. */
void hs_app_post_load(struct hs_http_request *req);
void hs_app_post_unload(struct hs_http_request *req);

/* Fetches the file of the pack that the path's {id} names, for this machine's device, else for the processor. Answers
 * with {"model", "file", "backend", "size", "sha256", "already", "recorded"} at the end; a client that prefers
 * text/event-stream gets `progress` events {"file", "bytes", "total"} meanwhile and then `done` or `error`. One pull at
 * a time: 409 while another one runs. 403 unless model.allow_pull. The request's time limit does not count; a client
 * that leaves ends it, and the next pull goes on from there. */
void hs_app_post_pull(struct hs_http_request *req);

/* True while that handler fetches the file of this pack. */
bool hs_app_is_pulling(const struct hs_pack *pack);

/* Rows of a program's route table. */
#define HS_APP_ROUTES                                                                                                  \
    { .method = "GET", .path = "/health/ready", .handle = hs_app_get_ready, .flags = HS_HTTP_INLINE },                 \
        { .method = "GET", .path = "/metrics", .handle = hs_app_get_metrics, .flags = HS_HTTP_INLINE },                \
        { .method = "GET", .path = "/v1/models", .handle = hs_app_get_models },                                        \
        { .method = "POST",                                                                                            \
          .path = "/v1/models/{id}/load",                                                                              \
          .handle = hs_app_post_load,                                                                                  \
          .is_heavy = hs_heavy_always,                                                                                 \
          .flags = HS_HTTP_CHANGES | HS_HTTP_ADMIN },                                                                  \
        { .method = "POST",                                                                                            \
          .path = "/v1/models/{id}/unload",                                                                            \
          .handle = hs_app_post_unload,                                                                                \
          .flags = HS_HTTP_CHANGES | HS_HTTP_ADMIN },                                                                  \
    {                                                                                                                  \
        .method = "POST", .path = "/v1/models/{id}/pull", .handle = hs_app_post_pull,                                  \
        .flags = HS_HTTP_CHANGES | HS_HTTP_ADMIN                                                                       \
    }

/* Adds what /health says of the devices: `device` that answers come from, `degraded` if the fallback answers; if there
 * is something to say, `detail` of a device that is down, `no_fallback` why the processor cannot be the fallback, and
 * `devices` of the first model that report their health: `name`, `runtime`, `ok`, `firmware`, `temperature_c` and
 * `note`. Of several models the one that is worse off counts. Takes and gives the reference. */
json_t *hs_app_add_devices(json_t *answer, const struct hs_app_core *core);

#endif
