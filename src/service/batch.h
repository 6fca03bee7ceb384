/* Several pictures in one request, processed concurrently; each has its own result, in the order of the request. */
#ifndef HS_SERVICE_BATCH_H
#define HS_SERVICE_BATCH_H

#include <jansson.h>

#include "base/buf.h"
#include "base/json_writer.h"
#include "http/request.h"

struct hs_batch_picture {
    const uint8_t *data;
    size_t len;
    int64_t deadline_ns;
    struct hs_cancel *cancel;
    enum hs_json_style style; /* of the answer */
    const json_t *extra;      /* members to add: `index`, and `id` if the client sent one */
};

struct hs_batch {
    /* Appends the JSON object that answers one picture, including picture->extra, as a line with its
     * line feed; or returns an error code and sets err. Called concurrently, on threads other than the handler's. */
    int (*process)(void *ctx, const struct hs_batch_picture *picture, struct hs_buf *out, struct hs_error *err);
    /* Returns the JSON for a picture that failed. NULL: hs_http_error_json. */
    json_t *(*failure)(const struct hs_http_request *req, int code, const struct hs_error *err);
    int parallel; /* pictures that the device processes at a time; 0: one */
    void *ctx;
};

/* Appends `answer`, merged with picture->extra, as a line with its line feed. Takes the reference; NULL
 * is reported as HS_ENOMEM. Returns HS_ETOOLARGE or HS_ENOMEM and sets err on failure. */
int hs_batch_append(const struct hs_batch_picture *picture, json_t *answer, struct hs_buf *out, struct hs_error *err);

/* Answers a request whose body has a list of pictures, with {"results": [...], "count", "failed"}.
 * Each result is an answer or an error with `index`, and `id` if the client sent one. If the client
 * prefers application/x-ndjson, it receives one line per result as soon as that result and all
 * earlier ones are ready, then a line with the counts. Pictures not done at the deadline get its
 * error. If the client disconnects, the remaining pictures are cancelled; a client that reads its
 * lines too slowly is disconnected.
 *
 * Results are held as text. If a whole answer exceeds HS_RESPONSE_MAX (service/response.h), it becomes
 * an error and no further picture is started. For ndjson, processing runs only a few pictures ahead
 * of the lines sent. The first member of the server's context is a struct hs_app_core. */
void hs_batch_reply(struct hs_http_request *req, const struct hs_batch *batch);

#endif
