/* Several pictures in one request: answered side by side, in the request's order, each on its own. */
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
    const json_t *more;       /* members that the answer has besides: `index`, and `id` if the picture came with one */
};

struct hs_batch {
    /* Appends the JSON object that answers one picture, as for a request of its own, with picture->more; or returns a
     * code and err. Several at once, by threads that are not the handler's. */
    int (*answer)(void *ctx, const struct hs_batch_picture *picture, struct hs_buf *out, struct hs_error *err);
    /* The JSON for a picture that failed; NULL: hs_http_error_json. */
    json_t *(*failure)(const struct hs_http_request *req, int code, const struct hs_error *err);
    int together; /* pictures that the device takes at a time; 0: one */
    void *ctx;
};

/* Appends `answer` with picture->more as one line. Takes the reference; NULL: no memory. HS_ETOOLARGE, HS_ENOMEM and
 * err. */
int hs_batch_append(const struct hs_batch_picture *picture, json_t *answer, struct hs_buf *out, struct hs_error *err);

/* Answers the request, whose body has a list of pictures: {"results": [...], "count", "failed"}; each result is
 * an answer or an error and has `index` (and `id` if the picture came with one). If the client prefers
 * application/x-ndjson, a line for each result as soon as it and all before it are there, then one with the counts.
 * Pictures that are not done at the deadline get its error; a client that leaves cancels the rest, and one that reads
 * its lines too slowly is cut off.
 *
 * Each result is held as text. Past HS_ANSWER_MAX (service/answer.h) a whole answer becomes an error, and no further
 * picture is started; lines are started only a few ahead of those that were sent. The server's context begins with a
 * struct hs_app_core. */
void hs_batch_reply(struct hs_http_request *req, const struct hs_batch *batch);

#endif
