/* Several pictures in one request: answered side by side, in the request's order, each on its own. */
#ifndef HS_SERVICE_BATCH_H
#define HS_SERVICE_BATCH_H

#include <jansson.h>

#include "http/request.h"

struct hs_batch_picture {
    const uint8_t *data;
    size_t len;
    int64_t deadline_ns;
    struct hs_cancel *cancel;
};

struct hs_batch {
    /* The answer for one picture, as for a request of its own, into *ret_answer; or a code and err. Several at once, by
     * threads that are not the handler's. */
    int (*answer)(void *ctx, const struct hs_batch_picture *picture, json_t **ret_answer, struct hs_error *err);
    /* The JSON for a picture that failed; NULL: hs_http_error_json. */
    json_t *(*failure)(const struct hs_http_request *req, int code, const struct hs_error *err);
    int together; /* pictures that the device takes at a time; 0: one */
    void *ctx;
};

/* Answers the request, whose body has a list of pictures: {"results": [...], "count", "failed"}; each result is
 * an answer or an error and has `index` (and `id` if the picture came with one). If the client prefers
 * application/x-ndjson, a line for each result as soon as it and all before it are there, then one with the counts.
 * Pictures that are not done at the deadline get its error; a client that leaves cancels the rest. */
void hs_batch_reply(struct hs_http_request *req, const struct hs_batch *batch);

#endif
