/* Bounded JSON answers, written as text without building a tree. */
#ifndef HS_SERVICE_RESPONSE_H
#define HS_SERVICE_RESPONSE_H

#include "base/buf.h"
#include "base/json_writer.h"
#include "http/request.h"

enum {
    HS_RESPONSE_MAX = 16 << 20,      /* bytes of one answer; the results of a batch are one answer */
    HS_RESPONSES_HELD_MAX = 64 << 20 /* bytes of batch results not yet sent, over all requests */
};

/* Returns the configured one-line JSON style: HS_JSON_SPACED or HS_JSON_SORTED. */
enum hs_json_style hs_response_style(const struct hs_http_request *req);

/* Replies 200 with the text. Takes the buffer's content. */
void hs_response_send(struct hs_http_request *req, struct hs_buf *text);

/* Sets err for an answer that could not be written. `code` is the buffer's error. Returns code. */
int hs_response_failed(int code, struct hs_error *err);

#endif
