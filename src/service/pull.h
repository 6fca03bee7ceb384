/* POST /v1/models/{id}/pull, the same in every service: a model's file is brought here on a client's word. */
#ifndef HS_SERVICE_PULL_H
#define HS_SERVICE_PULL_H

#include <stdbool.h>

#include "config/common.h"
#include "http/request.h"
#include "models/store.h"

struct hs_pull {
    struct hs_store *store;
    const enum hs_task *tasks; /* of models that the service can use */
    size_t task_count;
    const struct hs_model_settings *settings;
    const char *device; /* as configured: for which backend */
};

/* Fetches the file of the pack that the path's {id} names, for this machine's device, else for the processor. Answers
 * with {"model", "file", "backend", "size", "sha256", "already", "recorded"} at the end; a client that prefers
 * text/event-stream gets `progress` events {"file", "bytes", "total"} meanwhile and then `done` or `error`. One pull at
 * a time: 409 while another one runs. 403 unless settings->allow_pull. The request's time limit does not count; a
 * client that leaves ends it, and the next pull goes on from there. */
void hs_pull_reply(struct hs_http_request *req, const struct hs_pull *pull);

/* Whether the file of this pack is being fetched now. */
bool hs_pull_is_running(const struct hs_pack *pack);

#endif
