/* The routes common to all services. The server's context is a struct hs_app_core. Each handler
 * replies. */
#ifndef HS_SERVICE_APP_ROUTES_H
#define HS_SERVICE_APP_ROUTES_H

#include "http/request.h"
#include "http/route.h"
#include "service/app.h"
#include "service/heavy.h"
#include "service/route_docs.h"

/* Returns the reason why requests cannot be answered, with details or ""; NULL if they can. Never waits. */
const char *hs_app_not_ready(const struct hs_app_core *core, char ret_detail[HS_ERROR_MESSAGE_SIZE]);

/* /health/ready: 503 with `reason` and possibly `detail` if a model cannot answer or app->not_ready
 * returns a reason. */
void hs_app_get_ready(struct hs_http_request *req);

/* /openapi.json: hs_openapi_write (service/openapi.h) with the settings of this service. */
void hs_app_get_openapi(struct hs_http_request *req);

/* /metrics in the Prometheus text format 0.0.4, or in OpenMetrics 1.0.0 for clients that prefer it. */
void hs_app_get_metrics(struct hs_http_request *req);

/* /v1/models: {"data": [{"id", "object", "created", "owned_by", "task", "state"}…], "object":
 * "list"}. Lists the configured models first, then other models that are installed, loaded or being
 * pulled; `?all=true` adds absent ones. */
void hs_app_get_models(struct hs_http_request *req);

/* Load the model with the path's {id}, wait for it until the request's deadline, and reply with its
 * state; or unload it as soon as it has no users. */
void hs_app_post_load(struct hs_http_request *req);
void hs_app_post_unload(struct hs_http_request *req);

/* Fetches the file of the pack with the path's {id}: the one for this machine's device, or else for
 * the processor. Replies with {"model", "file", "backend", "size", "sha256", "already", "recorded"}
 * when done. A client that prefers text/event-stream receives `progress` events {"file", "bytes",
 * "total"}, then `done` or `error`. Only one pull runs at a time: 409 while another is running. 403
 * unless model.allow_pull is set. The request timeout does not apply. A pull is cancelled when its
 * client disconnects, and the next pull resumes it. */
void hs_app_post_pull(struct hs_http_request *req);

/* Returns true while hs_app_post_pull fetches the file of this pack. */
bool hs_app_is_pulling(const struct hs_pack *pack);

/* Rows for a program's route table. */
#define HS_APP_ROUTES                                                                                                  \
    { .method = "GET", .path = "/openapi.json", .handle = hs_app_get_openapi, .doc = &hs_route_doc_openapi },          \
        { .method = "GET",                                                                                             \
          .path = "/health/ready",                                                                                     \
          .handle = hs_app_get_ready,                                                                                  \
          .flags = HS_HTTP_INLINE | HS_HTTP_PROBE,                                                                     \
          .doc = &hs_route_doc_ready },                                                                                \
        { .method = "GET",                                                                                             \
          .path = "/metrics",                                                                                          \
          .handle = hs_app_get_metrics,                                                                                \
          .flags = HS_HTTP_INLINE | HS_HTTP_PROBE,                                                                     \
          .doc = &hs_route_doc_metrics },                                                                              \
        { .method = "GET", .path = "/v1/models", .handle = hs_app_get_models, .doc = &hs_route_doc_models },           \
        { .method = "POST",                                                                                            \
          .path = "/v1/models/{id}/load",                                                                              \
          .handle = hs_app_post_load,                                                                                  \
          .is_heavy = hs_heavy_always,                                                                                 \
          .flags = HS_HTTP_CHANGES | HS_HTTP_ADMIN,                                                                    \
          .scope = HS_SCOPE_ADMIN,                                                                                     \
          .doc = &hs_route_doc_load },                                                                                 \
        { .method = "POST",                                                                                            \
          .path = "/v1/models/{id}/unload",                                                                            \
          .handle = hs_app_post_unload,                                                                                \
          .flags = HS_HTTP_CHANGES | HS_HTTP_ADMIN,                                                                    \
          .scope = HS_SCOPE_ADMIN,                                                                                     \
          .doc = &hs_route_doc_unload },                                                                               \
    {                                                                                                                  \
        .method = "POST", .path = "/v1/models/{id}/pull", .handle = hs_app_post_pull,                                  \
        .flags = HS_HTTP_CHANGES | HS_HTTP_ADMIN, .scope = HS_SCOPE_ADMIN, .doc = &hs_route_doc_pull                   \
    }

/* Adds the device members of /health: `device` that answers, and `degraded` if the fallback
 * answers. If they apply, also `detail` about a device that is down, `no_fallback` with the reason
 * why the processor cannot be the fallback, and `devices` of the first model that report their
 * health: `name`, `runtime`, `ok`, `firmware`, `temperature_c` and `note`. With several models, a
 * degraded one takes precedence. Takes and returns the reference. */
json_t *hs_app_add_devices(json_t *response, const struct hs_app_core *core);

/* Replies to /health with the members of `health` and those of hs_app_add_devices; with `status` alone if the server
 * needs API keys and the client has none. An administrator also gets a warning if anyone can use the service. Takes
 * the reference. */
void hs_app_reply_health(struct hs_http_request *req, json_t *health);

#endif
